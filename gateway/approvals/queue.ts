/**
 * The approval queue: files requests, takes answers, lets time pass. Every change is recorded in the
 * audit log, then stored, then shown, in that order; one that cannot be recorded or stored is not
 * made. Only an end by time is made all the same, because it takes away and gives nothing.
 *
 * @module
 */
import type { EntryDraft, EventType } from "../../core/audit/entry.ts";
import {
  advance,
  type Answer,
  answerRequest,
  type ApprovalRequest,
  type Approver,
  approverId,
  type CallDigest,
  dueAt,
  forwardRequest,
  type NewRequest,
  openRequest,
  type RefusalCode,
  type Requester,
  revokeRequest,
  spendGrant,
  type Transition,
} from "../../core/approval/mod.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import { clean } from "../engine/evidence.ts";
import { governanceEntry } from "../engine/governance.ts";
import { ApprovalBook, ASSERTED, countedAs } from "./book.ts";
import { approvalEntry, routeFacts, type StepFacts } from "./evidence.ts";
import { BusyError, Lanes } from "./lanes.ts";
import { QUEUE_LIMITS } from "./limits.ts";
import { SteadyTime } from "./steady_time.ts";
import { type ApprovalChange, Watchers } from "./watch.ts";

/** What the queue stands on. */
export interface QueueDependencies {
  readonly store: Pick<StateStore, "commit" | "records">;
  /** Makes an entry durable; a rejection stops the change. */
  readonly record: (entry: EntryDraft) => Promise<unknown>;
  readonly clock: Clock;
}

/** Why a change was not made. */
export type QueueRefusal =
  | RefusalCode
  | "not_found"
  | "full"
  | "agent_full"
  | "busy"
  /** The stored queue could not be understood; nothing is decided until it is mended. */
  | "damaged"
  /** The change could not be recorded or stored. */
  | "unavailable";

/** The request as it is now, or why it is as it was. */
export type Changed =
  | { readonly ok: true; readonly request: ApprovalRequest }
  | { readonly ok: false; readonly code: QueueRefusal; readonly message: string };

type Refused = Extract<Changed, { ok: false }>;

/** How the queue stands, for `status`. */
export interface QueueStatus {
  readonly state: "enforcing" | "damaged";
  readonly detail: string;
  readonly pending: number;
  readonly approved: number;
}

/** One step to be made: the entry that records it, and what watchers are told. */
interface Step {
  readonly event: EventType;
  readonly facts: StepFacts;
  readonly change: ApprovalChange;
  /** A second event of the same step. */
  readonly also?: EventType;
}

/** The queue of one gateway. */
export class ApprovalQueue {
  readonly watchers = new Watchers();
  readonly #on: QueueDependencies;
  readonly #lanes = new Lanes();
  readonly #time: SteadyTime;
  readonly #book: ApprovalBook | undefined;
  readonly #damage: string;
  /** Requests whose due change is under way. */
  readonly #moving = new Set<string>();
  #filing = 0;
  readonly #filing_of = new Map<string, number>();

  private constructor(on: QueueDependencies, book: ApprovalBook | undefined, damage: string) {
    this.#on = on;
    this.#book = book;
    this.#damage = damage;
    this.#time = new SteadyTime(on.clock, book?.latest_ms);
  }

  /**
   * Reads the queue back. A queue that cannot be understood opens as `damaged`: it refuses whatever
   * it is asked, and says which record to look at.
   */
  static async open(on: QueueDependencies): Promise<ApprovalQueue> {
    try {
      return new ApprovalQueue(on, await ApprovalBook.open(on.store), "");
    } catch (error) {
      const damage = clean(error instanceof Error ? error.message : String(error));
      await on.record(governanceEntry("approval_queue_damaged", { reason: damage }, on.clock));
      return new ApprovalQueue(on, undefined, damage);
    }
  }

  /** Time as the queue sees it. */
  now_ms(): number {
    return this.#time.now_ms();
  }

  /** The requests, or why nothing can be read. */
  get book(): ApprovalBook | Refused {
    return this.#book ?? {
      ok: false,
      code: "damaged",
      message: `the stored approval queue is damaged: ${this.#damage}; restore a backup of the ` +
        "state directory, then restart",
    };
  }

  /** How it stands. */
  status(): QueueStatus {
    const book = this.book;
    if ("ok" in book) return { state: "damaged", detail: book.message, pending: 0, approved: 0 };
    let pending = 0;
    for (const { state } of book.liveRequests()) if (state.status === "pending") pending++;
    return { state: "enforcing", detail: "", pending, approved: book.live - pending };
  }

  /** Files a request; it is pending once this resolves. */
  async file(given: Omit<NewRequest, "now_ms">): Promise<Changed> {
    const book = this.book;
    if ("ok" in book) return book;
    const full = this.#fullness(book, given.requester);
    if (full !== undefined) return full;
    this.#count(given.requester, 1);
    try {
      const request = openRequest({ ...given, now_ms: this.now_ms() });
      const facts = routeFacts(request);
      return await this.#lane(request.request_id, () =>
        this.#make(request, {
          event: "ApprovalRequested",
          facts,
          change: "submitted",
          also: "ApprovalRouted",
        }));
    } finally {
      this.#count(given.requester, -1);
    }
  }

  /** Takes an approver's answer. */
  answer(request_id: string, approver: Approver, answer: Answer): Promise<Changed> {
    return this.#change(request_id, approver, answer.verdict, (request, now_ms) => {
      const next = answerRequest(request, approver, answer, now_ms);
      return { next, step: (after) => answerStep(after, approver) };
    });
  }

  /** Hands a request to somebody else. */
  forward(request_id: string, approver: Approver, to: string, reason: string): Promise<Changed> {
    return this.#change(request_id, approver, "forward", (request, now_ms) => ({
      next: forwardRequest(request, approver, to, now_ms),
      step: (after) => ({
        event: "ApprovalRouted",
        facts: { ...routeFacts(after), forwarded_by: approverId(approver), reason },
        change: "forwarded",
      }),
    }));
  }

  /** Takes a request or an unused grant back. */
  revoke(request_id: string, by: string, reason: string): Promise<Changed> {
    return this.#change(request_id, by, "revoke", (request, now_ms) => ({
      next: revokeRequest(request, reason, now_ms),
      step: () => ({
        event: "ApprovalDenied",
        facts: { decided_by: by, outcome: "revoked", reason },
        change: "revoked",
      }),
    }));
  }

  /** Uses the grant of a request for one call; of several that try, as many succeed as it has uses. */
  spend(request_id: string, call: CallDigest): Promise<Changed> {
    return this.#change(request_id, undefined, "use", (request, now_ms) => ({
      next: spendGrant(request, call, now_ms),
      step: (after) => ({
        event: "GovernanceMutation",
        facts: { actor: "gateway", operation: "approval_used", uses: usesOf(after) },
        change: "used",
      }),
    }));
  }

  /** Puts a refused attempt on record; for refusals that are made before the queue is asked. */
  async refuse(request_id: string, by: string, what: string, code: string): Promise<void> {
    const book = this.book;
    const request = "ok" in book ? undefined : book.get(request_id);
    if (request !== undefined) await this.#recordRefusal(request, by, what, code);
  }

  /** Remembers one more resume token, by its hash. Not evidence: it decides nothing. */
  async remember(request_id: string, token_hash: string): Promise<Changed> {
    return await this.#lane(request_id, async () => {
      const book = this.book;
      if ("ok" in book) return book;
      const request = book.get(request_id);
      if (request === undefined) return unknown(request_id);
      const kept = request.resume_hashes.slice(1 - QUEUE_LIMITS.resume_tokens_per_request);
      const next = { ...request, resume_hashes: [...kept, token_hash] };
      try {
        await book.persist(next);
      } catch {
        return no("unavailable", "approval unavailable: the request could not be stored");
      }
      book.install(next);
      return { ok: true, request: next };
    });
  }

  /** Makes what has become due happen; resolves when all of it has. */
  async tick(): Promise<void> {
    const book = this.book;
    if ("ok" in book) return;
    const now_ms = this.now_ms();
    const due = [...book.liveRequests()].filter((request) =>
      dueAt(request) <= now_ms && !this.#moving.has(request.request_id)
    );
    await Promise.all(due.slice(0, DUE_AT_ONCE).map((request) => this.#move(request.request_id)));
  }

  /** Waits for what is under way, and ends the streams. */
  async close(): Promise<void> {
    this.watchers.stop();
    await this.#lanes.idle();
  }

  /** Makes what is due for one request happen now. */
  async settle(request_id: string): Promise<void> {
    await this.#move(request_id);
  }

  async #move(request_id: string): Promise<void> {
    this.#moving.add(request_id);
    try {
      await this.#lane(request_id, async () => {
        const book = this.book;
        if ("ok" in book) return book;
        const request = book.get(request_id);
        const moved = request && advance(request, this.now_ms());
        if (moved === undefined) return unknown(request_id);
        return await this.#make(moved.request, timeStep(moved.what, moved.request));
      });
    } finally {
      this.#moving.delete(request_id);
    }
  }

  /** One change of a known request, in its turn. */
  #change(
    request_id: string,
    by: Approver | string | undefined,
    what: string,
    decide: (
      request: ApprovalRequest,
      now_ms: number,
    ) => { readonly next: Transition; readonly step: (after: ApprovalRequest) => Step },
  ): Promise<Changed> {
    return this.#lane(request_id, async () => {
      const book = this.book;
      if ("ok" in book) return book;
      const request = book.get(request_id);
      if (request === undefined) return unknown(request_id);
      const { next, step } = decide(request, this.now_ms());
      if (next.ok) return await this.#make(next.request, step(next.request));
      if (by !== undefined) await this.#recordRefusal(request, by, what, next.code);
      return next;
    });
  }

  async #lane(request_id: string, change: () => Promise<Changed>): Promise<Changed> {
    try {
      return await this.#lanes.run(request_id, change);
    } catch (error) {
      if (error instanceof BusyError) return no("busy", error.message);
      throw error;
    }
  }

  /** Records, stores, shows. */
  async #make(request: ApprovalRequest, step: Step): Promise<Changed> {
    const book = this.book;
    if ("ok" in book) return book;
    const by_time = step.change === "expired";
    try {
      const events = step.also === undefined ? [step.event] : [step.event, step.also];
      await Promise.all(
        events.map((event) => this.#on.record(this.#entry(event, request, step.facts))),
      );
    } catch {
      if (!by_time) return no("unavailable", "approval unavailable: it could not be recorded");
    }
    try {
      await book.persist(request);
    } catch {
      // The log said that the change was coming; it must also say that it did not come.
      const facts = { actor: "gateway", operation: `${step.change}_not_applied` };
      if (!by_time) {
        await this.#on.record(this.#entry("GovernanceMutation", request, facts)).catch(() => {});
        return no("unavailable", "approval unavailable: it could not be stored");
      }
    }
    book.install(request);
    this.watchers.announce({ change: step.change, request });
    return { ok: true, request };
  }

  async #recordRefusal(
    request: ApprovalRequest,
    by: Approver | string,
    what: string,
    code: string,
  ): Promise<void> {
    const who = typeof by === "string" ? by : approverId(by);
    const facts = { actor: who, operation: "approval_answer_refused", attempted: what, code };
    await this.#on.record(this.#entry("GovernanceMutation", request, facts)).catch(() => {});
  }

  #entry(event: EventType, request: ApprovalRequest, facts: StepFacts): EntryDraft {
    return approvalEntry(event, request, facts, this.#on.clock.now_ns());
  }

  #fullness(book: ApprovalBook, requester: Requester): Refused | undefined {
    const wait = (who: string) => book.liveOf(who) + (this.#filing_of.get(who) ?? 0);
    const { live_requests, live_requests_per_agent, live_requests_asserted } = QUEUE_LIMITS;
    if (wait(requester.key) >= live_requests_per_agent) {
      return no(
        "agent_full",
        `approval queue is full for this agent: ${live_requests_per_agent} requests wait`,
      );
    }
    if (requester.assurance !== "bound" && wait(ASSERTED) >= live_requests_asserted) {
      return no(
        "full",
        `approval queue is full for unproven agents: ${live_requests_asserted} requests wait; register`,
      );
    }
    if (book.live + this.#filing >= live_requests) {
      return no("full", `approval queue is full: ${live_requests} requests wait`);
    }
    return undefined;
  }

  #count(requester: Requester, by: number): void {
    this.#filing += by;
    for (const who of countedAs(requester)) {
      const left = (this.#filing_of.get(who) ?? 0) + by;
      if (left > 0) this.#filing_of.set(who, left);
      else this.#filing_of.delete(who);
    }
  }
}

/** Due changes begun in one look; the rest waits for the next. Below the bound of the lanes. */
const DUE_AT_ONCE = 2_048;

function answerStep(after: ApprovalRequest, approver: Approver): Step {
  const vote = after.votes.at(-1);
  const decided_by = approverId(approver);
  const { state } = after;
  if (state.status === "rejected") {
    const facts = { decided_by, outcome: "rejected", reason: state.reason };
    return { event: "ApprovalDenied", facts, change: "rejected" };
  }
  const facts = {
    decided_by,
    reason: vote?.reason ?? "",
    conditions: vote?.terms?.condition ?? "",
    votes: after.votes.length,
    quorum: after.quorum,
  };
  if (state.status === "approved") {
    const { valid_until_ms, max_uses } = state.terms;
    return {
      event: "ApprovalGranted",
      facts: { ...facts, valid_until_unix_ms: valid_until_ms, max_uses },
      change: "approved",
    };
  }
  const operation = "approval_vote";
  return { event: "GovernanceMutation", facts: { ...facts, operation }, change: "voted" };
}

function timeStep(what: "escalated" | "expired", after: ApprovalRequest): Step {
  if (what === "escalated") {
    return { event: "ApprovalEscalated", facts: routeFacts(after), change: "escalated" };
  }
  const outcome = after.state.status === "expired" && after.state.while === "approved"
    ? "grant_unused"
    : "unanswered";
  return { event: "ApprovalTimedOut", facts: { outcome }, change: "expired" };
}

function usesOf({ state }: ApprovalRequest): number {
  return "uses" in state ? state.uses : 0;
}

function unknown(request_id: string): Refused {
  return no("not_found", `not found: there is no approval request \`${request_id.slice(0, 64)}\``);
}

function no(code: QueueRefusal, message: string): Refused {
  return { ok: false, code, message };
}
