/**
 * The requests themselves: in memory, where they are decided, and in the store, where a restart finds
 * them. A request is shown as changed only after the change is durable.
 *
 * @module
 */
import {
  ApprovalRecordError,
  type ApprovalRequest,
  readRequest,
  writeRequest,
} from "../../core/approval/mod.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { QUEUE_LIMITS } from "./limits.ts";

/** Requests that can still change live here. */
const LIVE = "approvals";
/** Ended ones, by the moment of their end. */
const ENDED = "approval_history";

/** Whether a request can still change. */
export function isLive(request: ApprovalRequest): boolean {
  return request.state.status === "pending" || request.state.status === "approved";
}

/** All requests of one gateway. */
export class ApprovalBook {
  readonly #store: Pick<StateStore, "commit">;
  readonly #live = new Map<string, ApprovalRequest>();
  /** In the order of their end. */
  readonly #ended = new Map<string, ApprovalRequest>();
  readonly #ended_keys = new Map<string, string>();
  readonly #by_call = new Map<string, string>();
  readonly #by_token = new Map<string, string>();
  readonly #live_of_agent = new Map<string, number>();
  #latest_ms = 0;
  /** Ends being stored: their places in the history are taken. */
  #ending = 0;

  private constructor(store: Pick<StateStore, "commit">) {
    this.#store = store;
  }

  /**
   * Reads everything back.
   *
   * @throws {ApprovalRecordError} naming a record that is damaged or stands where it must not.
   */
  static async open(store: Pick<StateStore, "commit" | "records">): Promise<ApprovalBook> {
    const book = new ApprovalBook(store);
    for await (const page of store.records(ENDED)) {
      for (const { key, value } of page) {
        const request = readRequest(key, value);
        if (key !== endedKey(request)) throw misplaced(key);
        book.#installEnded(request, key);
      }
    }
    for await (const page of store.records(LIVE)) {
      for (const { key, value } of page) {
        const request = readRequest(key, value);
        if (key !== request.request_id || !isLive(request) || book.get(key) !== undefined) {
          throw misplaced(key);
        }
        book.#installLive(request);
      }
    }
    return book;
  }

  /** The latest moment any record speaks of: time goes on from there. */
  get latest_ms(): number {
    return this.#latest_ms;
  }

  /** Requests that can still change. */
  get live(): number {
    return this.#live.size;
  }

  /** A request, ended or not. */
  get(request_id: string): ApprovalRequest | undefined {
    return this.#live.get(request_id) ?? this.#ended.get(request_id);
  }

  /** The live request for exactly this call of this agent. */
  ofCall(agent_key: string, digest: string): ApprovalRequest | undefined {
    const id = this.#by_call.get(`${agent_key} ${digest}`);
    return id === undefined ? undefined : this.#live.get(id);
  }

  /** The request a resume token was given out for, by the token's hash. */
  ofToken(hash: string): ApprovalRequest | undefined {
    const id = this.#by_token.get(hash);
    return id === undefined ? undefined : this.get(id);
  }

  /** How many live requests an agent has; of {@linkcode ASSERTED} those that are not proven. */
  liveOf(who: string): number {
    return this.#live_of_agent.get(who) ?? 0;
  }

  /** Live requests, oldest first. */
  liveRequests(): Iterable<ApprovalRequest> {
    return this.#live.values();
  }

  /** Ended requests, oldest end first. */
  endedRequests(): Iterable<ApprovalRequest> {
    return this.#ended.values();
  }

  /**
   * Makes the new form of a request durable. Memory is not touched.
   *
   * @throws {Error} of the store; nothing is stored then.
   */
  async persist(request: ApprovalRequest): Promise<void> {
    const ending = isLive(request) ? 0 : 1;
    this.#ending += ending;
    try {
      await this.#store.commit(this.#mutations(request));
    } finally {
      this.#ending -= ending;
    }
  }

  /** Shows the new form of a request. */
  install(request: ApprovalRequest): void {
    const before = this.#live.get(request.request_id);
    if (before !== undefined) this.#forgetLive(before);
    if (isLive(request)) this.#installLive(request);
    else this.#installEnded(request, endedKey(request));
  }

  #mutations(request: ApprovalRequest): Mutation[] {
    const { request_id } = request;
    const value = writeRequest(request);
    if (isLive(request)) return [{ kind: "put_record", collection: LIVE, key: request_id, value }];
    const pruned = [
      ...this.#ended_keys.values().take(
        Math.max(0, this.#ended.size + this.#ending - QUEUE_LIMITS.history_requests),
      ),
    ].map((key): Mutation => ({ kind: "delete_record", collection: ENDED, key }));
    return [
      { kind: "delete_record", collection: LIVE, key: request_id },
      { kind: "put_record", collection: ENDED, key: endedKey(request), value },
      ...pruned,
    ];
  }

  #installLive(request: ApprovalRequest): void {
    const { request_id, requester } = request;
    this.#live.set(request_id, request);
    this.#by_call.set(callKey(request), request_id);
    for (const who of countedAs(requester)) this.#live_of_agent.set(who, this.liveOf(who) + 1);
    this.#index(request);
  }

  #forgetLive(request: ApprovalRequest): void {
    const { request_id, requester } = request;
    this.#live.delete(request_id);
    // A newer request for the same call may have taken the place of one whose time was over.
    if (this.#by_call.get(callKey(request)) === request_id) this.#by_call.delete(callKey(request));
    for (const who of countedAs(requester)) {
      const left = this.liveOf(who) - 1;
      if (left > 0) this.#live_of_agent.set(who, left);
      else this.#live_of_agent.delete(who);
    }
    for (const hash of request.resume_hashes) this.#by_token.delete(hash);
  }

  #installEnded(request: ApprovalRequest, key: string): void {
    this.#ended.set(request.request_id, request);
    this.#ended_keys.set(request.request_id, key);
    this.#index(request);
    const excess = this.#ended.size - QUEUE_LIMITS.history_requests;
    for (const old of [...this.#ended.values().take(Math.max(0, excess))]) {
      this.#ended.delete(old.request_id);
      this.#ended_keys.delete(old.request_id);
      for (const hash of old.resume_hashes) this.#by_token.delete(hash);
    }
  }

  #index(request: ApprovalRequest): void {
    for (const hash of request.resume_hashes) this.#by_token.set(hash, request.request_id);
    this.#latest_ms = Math.max(this.#latest_ms, latestOf(request));
  }
}

/** Stands for every agent whose identity is not proven: they share one bound. */
export const ASSERTED = "asserted";

/** The names under which a requester's live requests are counted. */
export function countedAs({ key, assurance }: ApprovalRequest["requester"]): readonly string[] {
  return assurance === "bound" ? [key] : [key, ASSERTED];
}

function callKey(request: ApprovalRequest): string {
  return `${request.requester.key} ${request.call.digest}`;
}

/** Orders by the end; two that end together are ordered by id. */
function endedKey(request: ApprovalRequest): string {
  const { state } = request;
  const ended_ms = "ended_at_ms" in state ? state.ended_at_ms : 0;
  return `${String(ended_ms).padStart(16, "0")}-${request.request_id}`;
}

/** The latest moment that has certainly been: nothing that only lies ahead. */
function latestOf({ state, steps, votes, submitted_at_ms }: ApprovalRequest): number {
  const ended_ms = "ended_at_ms" in state ? state.ended_at_ms : 0;
  const acts = [...steps, ...votes].map((act) => act.at_ms);
  return Math.max(submitted_at_ms, ended_ms, ...acts);
}

function misplaced(key: string): ApprovalRecordError {
  return new ApprovalRecordError(`record \`${key}\` stands where no such record can`);
}
