/**
 * The shapes by which the rooms of the runtime know each other: who is connected, who answers
 * queries, who takes events, who keeps them, who is told. `runtime.ts` puts the rooms together.
 *
 * @module
 */
import type { audit, event, policy } from "../proto/mod.ts";

/** One client of the socket, as the handshake and the kernel saw it; nothing here is a claim. */
export interface Connection {
  /** Unique in this process, ascending from 1. */
  readonly id: number;
  /**
   * Version signed in the handshake, without its build words (`proto/ipc/client_words.ts`); empty
   * when the client signed none.
   */
  readonly sdk_version: string;
  /** `public_id`: the reference's key, which anyone can compute; `installed`: a key that is secret. */
  readonly handshake: "public_id" | "installed";
  /**
   * Whether this client applies a REDACT answer before it acts. Measured: the reference's Python
   * client takes REDACT for ALLOW and goes on with the secret, so to such a client a redaction is a
   * denial (trap R9). A client of ours says it in the signed version, by the build word
   * `redacts`, e.g. `0.4.0+redacts`; it then redacts, asks again with the redacted text, and acts only on ALLOW.
   */
  readonly applies_redactions: boolean;
  /** What the kernel says of the other end; absent where it could not be asked. */
  readonly peer?: { readonly uid: number; readonly gid: number; readonly pid: number };
}

/** Where an act or an event comes from. */
export type Origin =
  | { readonly source: "sdk"; readonly connection: Connection }
  | { readonly source: "broker"; readonly pid: number }
  | { readonly source: "proxy" | "ebpf"; readonly pid?: number }
  /** The runtime's own word: no client's claim is in it. The connection is the one it is about. */
  | { readonly source: "runtime"; readonly connection?: Connection; readonly pid?: number };

/** The connection that an event came over, or is about; absent where there is none. */
export function connectionOf(origin: Origin): Connection | undefined {
  return origin.source === "sdk" || origin.source === "runtime" ? origin.connection : undefined;
}

/** Who decides. One promise a query; none blocks another, the socket keeps their order. */
export interface DecisionsPart {
  /**
   * Answers one query. Never rejects: what goes wrong is a denial with a name. Resolves only once
   * the answer's evidence is durable, here or at the gateway.
   */
  readonly answer: (
    query: policy.CheckActionRequest,
    origin: Origin,
    signal: AbortSignal,
  ) => Promise<policy.CheckActionResponse>;
  /**
   * A number that changes whenever an earlier answer may no longer hold: another policy, another
   * operator's order, another record of the agent. `undefined` while nothing may be kept, because
   * the gateway is away or has not pushed its policy.
   */
  readonly epoch: () => number | undefined;
  /** Whether an answer may be given again for the same question within the same epoch. */
  readonly repeatable: (response: policy.CheckActionResponse) => boolean;
  /**
   * What an agent should read of a refusal that {@linkcode DecisionsPart.answer} gave, where it is
   * known here: the rule that decided with its file and line, and the smallest change that would
   * make it an allow. Any length, any characters: whoever shows it bounds and flattens it.
   */
  readonly explain?: (response: policy.CheckActionResponse) => RefusalWords | undefined;
  /**
   * Waits on a PENDING answer, for those who can wait: resolves with the answer once a person has
   * decided, or with a denial by name at the policy's timeout or when `signal` aborts. Never
   * rejects, never gives PENDING. Absent: nothing can be waited for, so PENDING is a denial.
   */
  readonly settle?: (
    query: policy.CheckActionRequest,
    pending: policy.CheckActionResponse,
    origin: Origin,
    signal: AbortSignal,
  ) => Promise<policy.CheckActionResponse>;
}

/** Why something was refused, in the parts that a one-line message is put together from. */
export interface RefusalWords {
  /** The rule as an editor finds it, e.g. `policy.yaml:12 filesystem.read.allow`. */
  readonly rule?: string;
  /** Imperative, e.g. ``add `/data` to `filesystem.read.allow` ``. */
  readonly change?: string;
  /** Role that may make the change: `org_admin`, `operator`. */
  readonly who?: string;
}

/** Who takes what agents and sidecars report. */
export interface PipelinePart {
  /**
   * Takes one event: redacts it, keeps it, passes it on. Resolves once it is durable; waits instead
   * of losing when the queue is full, so that a socket that awaits it stops reading.
   */
  readonly report: (event: audit.AuditEvent, origin: Origin) => Promise<void>;
}

/** One kept record. Its bytes hold nothing in clear that must not be stored (design law 5). */
export interface SpoolRecord {
  /** Position in this spool, ascending without gaps from 1. */
  readonly seq: number;
  /** `event`: a redacted `audit.v1.AuditEvent`; `decision`: what the decisions room writes. */
  readonly kind: "event" | "decision";
  readonly bytes: Uint8Array;
}

/** The durable local record: an answer is never without evidence while the gateway is away. */
export interface SpoolPart {
  /** Identity of this spool, a UUID made with its file; with `seq` it names a record for good. */
  readonly id: string;
  /** Resolves with the record's position once it is on disk. Rejects when full or broken, by name. */
  readonly append: (kind: SpoolRecord["kind"], bytes: Uint8Array) => Promise<number>;
  /** Resolves once a full spool may take records again; rejects when it has failed, by name. */
  readonly writable: (signal: AbortSignal) => Promise<void>;
  readonly state: () => "ready" | "full" | "failed";
}

/**
 * One reader of the spool, with a place of its own in it: the gateway, NATS. A record is forgotten
 * once every required reader has acknowledged it.
 */
export interface SpoolReader {
  /** Oldest records that this reader did not acknowledge, in order. */
  readonly pending: (limit: number) => Promise<readonly SpoolRecord[]>;
  /**
   * The other side has everything up to `seq` durably: it may be forgotten here.
   *
   * @param note Kept with the reader's place, in one step; e.g. where a hash chain stands.
   */
  readonly acknowledge: (seq: number, note?: Uint8Array) => Promise<void>;
}

/** What the spool is emptied into. */
export interface SpoolSink {
  /**
   * Delivers records in order, each exactly once whatever fails between.
   *
   * @returns Position up to which the other side has everything durably.
   */
  readonly deliver: (
    spool_id: string,
    records: readonly SpoolRecord[],
    signal: AbortSignal,
  ) => Promise<number>;
}

/** What reaches a client that did not ask for it. Lost when the connection is gone. */
export interface ClientMessages {
  /** Frame `ViolationAlert`, to one connection. */
  readonly violation: (connection_id: number, violation: audit.PolicyViolation) => void;
  /**
   * Frame `ApprovalDecision`, to one connection, after an answer PENDING with the same approval id.
   * It wakes the client, which asks the very same question again (same bytes, any connection): the
   * answer to that is what holds, so that a person's yes is spent by whoever decides, once.
   */
  readonly approvalDecided: (connection_id: number, decision: event.ApprovalDecision) => void;
}

/** Counters and histograms behind `/metrics` (contract `interception` §1.8). */
export interface MetricsPart {
  /** @param labels e.g. `{ kind: "GitHubPat" }`; few values, never from input. */
  readonly add: (name: string, by?: number, labels?: Readonly<Record<string, string>>) => void;
  readonly set: (name: string, value: number) => void;
  readonly observe: (name: string, value: number) => void;
}
