/**
 * An approval queue on a store in memory, a clock set by hand and an audit log that can fail.
 *
 * @module
 */
import type { EntryDraft } from "../../core/audit/entry.ts";
import { exactAction, type RoutingRow } from "../../core/approval/mod.ts";
import type { Action } from "../../core/action.ts";
import type { Principal } from "../../core/principal.ts";
import type { Decision } from "../../core/verdict.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { AgentRecord, Mutation } from "../../storage/sqlite/records.ts";
import { type ApprovalAsk, PLAIN_TERMS } from "../engine/parts.ts";
import { QueuedApprovals } from "./part.ts";
import { ApprovalQueue } from "./queue.ts";
import { ShownTexts } from "./shown_texts.ts";

/** Noon of a day. */
export const NOON_MS = Date.UTC(2026, 0, 7, 12);

/** A store that can refuse to write. */
export class FailingStore extends MemoryStore {
  failing = false;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    if (this.failing) return Promise.reject(new Error("disk full"));
    return super.commit(mutations);
  }
}

/** A queue under test. */
export class Rig {
  now_ms = NOON_MS;
  monotonic_ms = 0;
  audit_failing = false;
  readonly entries: EntryDraft[] = [];
  readonly agents = new Map<string, AgentRecord>();
  queue!: ApprovalQueue;
  part!: QueuedApprovals;
  texts = new ShownTexts();
  #ids = 0;

  private constructor(
    readonly store: FailingStore,
    readonly routing: readonly RoutingRow[],
  ) {}

  static async create(
    routing: readonly RoutingRow[] = [],
    store: FailingStore = new FailingStore(),
  ): Promise<Rig> {
    const rig = new Rig(store, routing);
    await rig.restart();
    return rig;
  }

  /** A new queue over the same store. */
  async restart(): Promise<void> {
    this.texts = new ShownTexts();
    this.queue = await ApprovalQueue.open({
      store: this.store,
      record: (entry) => {
        if (this.audit_failing) return Promise.reject(new Error("audit log failed"));
        this.entries.push(entry);
        return Promise.resolve();
      },
      clock: {
        now_ms: () => this.now_ms,
        now_ns: () => BigInt(this.now_ms) * 1_000_000n,
        monotonic_us: () => this.monotonic_ms * 1_000,
      },
    });
    this.part = new QueuedApprovals({
      queue: this.queue,
      texts: this.texts,
      routing: this.routing,
      agentByKey: (key) => this.agents.get(key),
      ownerOf: () => undefined,
      documentOf: () => undefined,
      random: {
        uuid: () => `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, "0")}`,
        token: () => `token-${++this.#ids}`,
      },
    });
  }

  /** Lets time pass on both clocks. */
  pass(ms: number): Promise<void> {
    this.now_ms += ms;
    this.monotonic_ms += ms;
    return this.queue.tick();
  }

  /** Names of the events recorded so far. */
  events(): string[] {
    return this.entries.map((entry) => entry.event_type);
  }

  /** Resolves when the queue has taken up what was asked of it: a bounded number of turns. */
  async settled(until: () => boolean): Promise<void> {
    for (let turn = 0; turn < 1_000 && !until(); turn++) await Promise.resolve();
    if (!until()) throw new Error("what was waited for did not happen");
  }

  /** The id of the only pending request. */
  pendingId(): string {
    const { book } = this.queue;
    if ("ok" in book) throw new Error(book.message);
    const pending = [...book.liveRequests()].filter(({ state }) => state.status === "pending");
    if (pending.length !== 1) throw new Error(`${pending.length} requests are pending`);
    return pending[0]?.request_id ?? "";
  }
}

/** A proven agent of team t1. */
export function principalOf(agent_id: string, team_id: string | undefined = "t1"): Principal {
  return {
    assurance: "bound",
    agent_id,
    engine_key: "e".repeat(32),
    registry_key: agent_id.padEnd(32, "-"),
    org_id: "o1",
    ...(team_id === undefined ? {} : { team_id }),
    status: "active",
  };
}

const ASKS: Decision = {
  outcome: "require_approval",
  reason: "",
  stage: "approval",
  approval_timeout_secs: 300,
  findings: [],
  narrowed: false,
  deny_action: "none",
  evidence: [],
};

/** A payment. */
export const PAY: Action = { kind: "tool_call", tool: "pay", args: '{"amount": 500}' };

/** The engine's question about a payment by agent a1. */
export function askOf(
  change: Partial<ApprovalAsk> = {},
  terms: Partial<ApprovalAsk["terms"]> = {},
): ApprovalAsk {
  const action = change.action ?? PAY;
  return {
    principal: principalOf("a1"),
    record: undefined,
    action,
    exact: exactAction(action),
    action_type: 2,
    now_ms: NOON_MS,
    trace_id: "trace",
    decision: ASKS,
    policy_digests: [`sha256:${"d".repeat(64)}`],
    micro_usd: 0,
    asked_by: "policy",
    terms: { ...PLAIN_TERMS, ...terms },
    ...change,
  };
}
