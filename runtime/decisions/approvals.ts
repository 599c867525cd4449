/**
 * Answers that wait for a person (trap R13): the queue is the gateway's and survives restarts; here is
 * remembered which question a resume token belongs to, and who is to be told.
 *
 * @module
 */
import { toBinary } from "@bufbuild/protobuf";
import { hash } from "node:crypto";
import { policy } from "../../proto/mod.ts";
import { DECISION_LIMITS } from "./limits.ts";

/** One remembered approval. */
export interface Remembered {
  readonly approval_id: string;
  /** Empty when the gateway gave none. */
  readonly resume_token: string;
  readonly question: string;
  /** Connections that asked. */
  readonly connections: Set<number>;
  readonly until_us: number;
}

/** What is remembered; bounded, and it ends. */
export class Approvals {
  readonly #by_question = new Map<string, Remembered>();
  readonly #by_id = new Map<string, Remembered>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #monotonic_us: () => number;

  constructor(monotonic_us: () => number) {
    this.#monotonic_us = monotonic_us;
  }

  /** Approvals remembered now. */
  get size(): number {
    return this.#by_id.size;
  }

  /** What is remembered of exactly this question. */
  find(query: policy.CheckActionRequest): Remembered | undefined {
    if (this.#by_question.size === 0) return undefined;
    const found = this.#by_question.get(questionOf(query));
    if (found === undefined) return undefined;
    if (this.#monotonic_us() < found.until_us) return found;
    this.#forget(found);
    return undefined;
  }

  /** Remembers a PENDING answer, and who asked. */
  remember(
    query: policy.CheckActionRequest,
    approval_id: string,
    resume_token: string,
    connection_id: number | undefined,
  ): void {
    if (approval_id === "") return;
    const question = questionOf(query);
    const known = this.#by_question.get(question);
    const connections = known?.approval_id === approval_id ? known.connections : new Set<number>();
    if (known !== undefined) this.#forget(known);
    if (connection_id !== undefined && connections.size < 64) connections.add(connection_id);
    if (this.#by_id.size >= DECISION_LIMITS.approvals) {
      const oldest = this.#by_id.values().next().value;
      if (oldest !== undefined) this.#forget(oldest);
    }
    const until_us = this.#monotonic_us() + DECISION_LIMITS.approval_remembered_ms * 1_000;
    // A repeated question may come back without a token: the first one still fits.
    const token = resume_token === "" ? known?.resume_token ?? "" : resume_token;
    const remembered = { approval_id, resume_token: token, question, connections, until_us };
    this.#by_question.set(question, remembered);
    this.#by_id.set(approval_id, remembered);
  }

  /** A question was answered: its token is spent, or of no use. */
  answered(query: policy.CheckActionRequest): void {
    if (this.#by_question.size === 0) return;
    const found = this.#by_question.get(questionOf(query));
    if (found !== undefined) this.#forget(found);
  }

  /** A person decided. @returns Connections that are to be told. */
  decided(approval_id: string): readonly number[] {
    for (const wake of this.#waiting.get(approval_id) ?? []) wake();
    this.#waiting.delete(approval_id);
    return [...this.#by_id.get(approval_id)?.connections ?? []];
  }

  /** Resolves once an approval is decided. */
  waitFor(approval_id: string): { readonly decided: Promise<void>; readonly stop: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const set = this.#waiting.get(approval_id) ?? new Set();
    this.#waiting.set(approval_id, set.add(resolve));
    return {
      decided: promise,
      stop: () => {
        set.delete(resolve);
        if (set.size === 0) this.#waiting.delete(approval_id);
      },
    };
  }

  #forget(remembered: Remembered): void {
    if (this.#by_question.get(remembered.question) === remembered) {
      this.#by_question.delete(remembered.question);
    }
    if (this.#by_id.get(remembered.approval_id) === remembered) {
      this.#by_id.delete(remembered.approval_id);
    }
  }
}

/** The same for the same agent, credential and action; trace and span do not matter. */
function questionOf(query: policy.CheckActionRequest): string {
  const bytes = toBinary(policy.CheckActionRequestSchema, { ...query, traceId: "", spanId: "" });
  return hash("sha256", bytes, "hex");
}
