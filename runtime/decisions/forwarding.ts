/**
 * Asks the gateway (contracts `interception` §1.4 b, `wire` §3.7 step 3): the query unchanged, its
 * answer relayed. Calls under way are bounded, and each has a deadline.
 *
 * @module
 */
import { Code, GrpcError } from "../../grpc/mod.ts";
import type { policy } from "../../proto/mod.ts";
import type { MetricsPart, Origin } from "../parts.ts";
import type { Approvals } from "./approvals.ts";
import type { Evidence } from "./evidence.ts";
import type { GatewayAnswer, GatewayPart } from "./gateway_client.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { FAIL_CLOSED_TEXT, OVERLOADED_TEXT, RULES, UNKNOWN_ANSWER_TEXT } from "./words.ts";

/** What forwarding needs. */
export interface ForwardingOptions {
  readonly gateway: Pick<GatewayPart, "check">;
  readonly timeout_ms: number;
  readonly fail_closed: boolean;
  readonly approvals: Approvals;
  readonly evidence: Evidence;
  readonly metrics: MetricsPart;
}

/** What came of asking. */
export type Forwarded =
  | {
    readonly outcome: "answered";
    readonly response: policy.CheckActionResponse;
    /** The rule that decided, with its place, where the gateway says so. */
    readonly rule?: string;
  }
  /** The gateway is away, and the operator chose to fail open. */
  | { readonly outcome: "open" };

/** The way to the gateway. */
export class Forwarding {
  readonly #on: ForwardingOptions;
  /** In the order of their coming. */
  readonly #waiting = new Set<() => void>();
  #under_way = 0;

  constructor(options: ForwardingOptions) {
    this.#on = options;
  }

  /** Asks. Never rejects. */
  async ask(
    query: policy.CheckActionRequest,
    origin: Origin,
    signal: AbortSignal,
    started_us: number,
  ): Promise<Forwarded> {
    const { approvals, evidence } = this.#on;
    if (!await this.#turn(signal)) {
      const args = [OVERLOADED_TEXT, RULES.overload, "overloaded", started_us] as const;
      return answered(await evidence.denied(query, ...args));
    }
    const resume_token = approvals.find(query)?.resume_token ?? "";
    let answer: GatewayAnswer;
    try {
      answer = await this.#on.gateway.check(query, {
        timeout_ms: this.#on.timeout_ms,
        signal,
        ...(resume_token === "" ? {} : { resume_token }),
      });
    } catch (error) {
      return await this.#notAnswered(query, started_us, error);
    } finally {
      this.#leave();
    }
    return await this.#relayed(query, origin, started_us, answer);
  }

  async #relayed(
    query: policy.CheckActionRequest,
    origin: Origin,
    started_us: number,
    answer: GatewayAnswer,
  ): Promise<Forwarded> {
    const { response, resume_token = "", rule, rule_at } = answer;
    const { approvals, evidence } = this.#on;
    switch (response.decision) {
      case 1:
      case 2:
      case 4:
        approvals.answered(query);
        break;
      case 3: {
        const connection = origin.source === "sdk" ? origin.connection.id : undefined;
        approvals.remember(query, response.approvalId, resume_token, connection);
        break;
      }
      default: {
        const args = [UNKNOWN_ANSWER_TEXT, RULES.fail_closed, "fault", started_us] as const;
        return answered(await evidence.denied(query, ...args));
      }
    }
    const named = rule === undefined || rule_at === undefined ? rule : `${rule_at} ${rule}`;
    return { ...answered(response), ...(named === undefined ? {} : { rule: named }) };
  }

  /** The gateway gave no answer: it is away, or the query is none. */
  async #notAnswered(
    query: policy.CheckActionRequest,
    started_us: number,
    error: unknown,
  ): Promise<Forwarded> {
    const { evidence, metrics, fail_closed } = this.#on;
    const code = error instanceof GrpcError ? error.code : Code.UNKNOWN;
    if (code === Code.DEADLINE_EXCEEDED) metrics.add("aa_gateway_policy_query_timeouts_total");
    const away = code === Code.UNAVAILABLE || code === Code.DEADLINE_EXCEEDED;
    if (away && !fail_closed) return { outcome: "open" };
    // What the gateway turns down is denied, open or not: it is never a way around a posture.
    const turned_down = !away && code !== Code.CANCELLED && error instanceof GrpcError;
    const text = turned_down
      ? `the gateway refused the query: ${error.message.slice(0, 512)}`
      : FAIL_CLOSED_TEXT;
    const because = turned_down ? "gateway_refused" : "gateway_away";
    return answered(
      await evidence.denied(query, text, RULES.fail_closed, because, started_us),
    );
  }

  /** Waits for room at the gateway. @returns `false` when too many wait, or nobody does any more. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    if (this.#under_way < DECISION_LIMITS.forwarded_queries) {
      this.#under_way++;
      return true;
    }
    if (this.#waiting.size >= DECISION_LIMITS.waiting_queries || signal.aborted) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    // Whoever leaves hands its place to the next, so that the count stays.
    const enter = () => resolve(true);
    const giveUp = () => {
      if (this.#waiting.delete(enter)) resolve(false);
    };
    this.#waiting.add(enter);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #leave(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      return next();
    }
    this.#under_way--;
  }
}

function answered(
  response: policy.CheckActionResponse,
): Extract<Forwarded, { outcome: "answered" }> {
  return { outcome: "answered", response };
}
