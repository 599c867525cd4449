/**
 * What the gateway answered, held against the log and against what operators were told.
 *
 * @module
 */
import { equalBytes } from "../../../core/audit/merkle.ts";
import { hash16 } from "../../../core/audit/entry.ts";
import type { LogView, SeenEntry } from "../log_view.ts";
import type { Verdict } from "../violation.ts";

/** One answer on its way out. */
export interface LeavingAnswer {
  readonly agent_key: string;
  /** Trace id of the call, its alone: the session of its entry is the hash of it. */
  readonly trace_id: string;
  /** Number of `assembly.common.v1.Decision`. */
  readonly decision: number;
  /** Trailer `aasm-audit-index`; absent when the answer has none. */
  readonly index: string | undefined;
  /** Trailer `aasm-reservation`. */
  readonly reservation_id: string | undefined;
  /** Step at which the request reached the gateway. */
  readonly arrived_step: number;
}

const ALLOWED = new Set([1, 4]);

/** The observer's account of answers and suspensions. */
export class AnswerBook {
  /** Step at which a suspension was acknowledged; gone once somebody asks to end it. */
  readonly #suspended = new Map<string, number>();
  readonly #releasing = new Map<string, number>();
  readonly counts = new Map<number, number>();

  constructor(private readonly verdict: Verdict, private readonly log: LogView) {}

  /** An operator was told that an agent is suspended. */
  suspended(agent_key: string): void {
    // A release under way may come before the suspension or after it: nobody was promised which.
    if (this.#releasing.has(agent_key)) return;
    this.#suspended.set(agent_key, this.verdict.step);
  }

  /** Lets an agent act again, or forgets it: until that is over either answer is right. */
  async releasing<T>(agent_key: string, release: () => Promise<T>): Promise<T> {
    const under_way = this.#releasing.get(agent_key) ?? 0;
    this.#suspended.delete(agent_key);
    this.#releasing.set(agent_key, under_way + 1);
    try {
      return await release();
    } finally {
      const left = (this.#releasing.get(agent_key) ?? 1) - 1;
      if (left > 0) this.#releasing.set(agent_key, left);
      else this.#releasing.delete(agent_key);
    }
  }

  /** What was under way has happened or has not; nothing more comes of it. */
  crash(): void {
    this.#releasing.clear();
  }

  /** The gateway hands an answer to the network. */
  leaves(answer: LeavingAnswer, log_file: Uint8Array): void {
    const { trace_id, decision, index, agent_key, arrived_step } = answer;
    this.counts.set(decision, (this.counts.get(decision) ?? 0) + 1);
    this.log.update(log_file);
    const seen = index === undefined ? undefined : this.log.at(Number(index));
    if (seen?.payload.decision !== decision || !isOf(seen, trace_id)) {
      this.verdict.violated(
        "evidence",
        `the answer ${decision} to ${trace_id} left, and entry ${index} does not say so`,
      );
    }
    const since = this.#suspended.get(agent_key);
    if (since !== undefined && arrived_step > since && ALLOWED.has(decision)) {
      this.verdict.violated(
        "suspend",
        `${trace_id} of ${agent_key} was allowed; it is suspended since step ${since}`,
      );
    }
  }

  /** A client has an answer in hand: its entry must be where nothing can lose it. */
  received({ trace_id, index }: LeavingAnswer, durable: Uint8Array): void {
    const seq = Number(index);
    const seen = this.log.at(seq);
    if (seen === undefined || !isOf(seen, trace_id) || seen.end > durable.length) {
      this.verdict.violated(
        "ack",
        `entry ${index} of ${trace_id} was acknowledged and is not on disk`,
      );
      return;
    }
    this.log.acknowledge(seq);
  }
}

function isOf(seen: SeenEntry, trace_id: string): boolean {
  return equalBytes(seen.entry.session_id, hash16(trace_id));
}
