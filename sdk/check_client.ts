/**
 * The one way to an answer: a Unix socket to the runtime, gRPC or HTTP to the gateway, or a policy
 * in this very process all look like this.
 *
 * @module
 */
import type { AuditEvent } from "@agent-assembly/proto/audit";
import type { CheckActionRequest, CheckActionResponse } from "@agent-assembly/proto/policy";
import type { RulePlace, SuggestedChange } from "./errors.ts";
import { ConfigurationError } from "./errors.ts";

/** Terms of one question. */
export interface CheckCall {
  /** Ends the wait; the answer, if one comes, is dropped in its place. */
  readonly signal: AbortSignal;
  /** Time for the answer, in milliseconds. */
  readonly timeout_ms: number;
}

/** Why an answer is what it is, when the transport can carry it. */
export interface AnswerReasons {
  /** The rule that decided, when it was named. */
  readonly rule?: RulePlace;
  /** Stage that decided, e.g. `budget`, `scan`. */
  readonly stage?: string;
  /** Smallest change first. */
  readonly changes: readonly SuggestedChange[];
}

/** An answer as it came. */
export interface CheckAnswer {
  /** The wire message. */
  readonly response: CheckActionResponse;
  /** What came beside it, where the transport carries it. */
  readonly reasons?: AnswerReasons;
  /** Index of the audit entry that was durable before the answer left. */
  readonly audit_index?: bigint;
  /** Asks again for the same call once a person has decided. */
  readonly resume_token?: string;
}

/** What a heartbeat says back, when it says anything. */
export interface HeartbeatAnswer {
  /** Stop working until this is false again. */
  readonly should_suspend: boolean;
}

/**
 * A client that can decide. A client that cannot has no business here: {@linkcode assertCheckCapable}
 * refuses it by name, instead of letting every act pass (trap C4).
 */
export interface CheckClient {
  /** Shown in errors and status, e.g. `socket`, `grpc`, `http`. Never a secret. */
  readonly transport: string;
  /** Whether answers are decisions of a policy. Only `true` is accepted. */
  readonly check_capable: true;
  /**
   * Asks before an act.
   *
   * @throws {GatewayUnavailableError} and others, when there is no answer.
   */
  check(question: CheckActionRequest, call: CheckCall): Promise<CheckAnswer>;
  /**
   * Waits until a pending answer was decided on, and asks again for the same call.
   *
   * @param question The very question that was answered PENDING.
   * @returns The answer that holds then; PENDING again when nobody decided.
   */
  settle(
    question: CheckActionRequest,
    pending: CheckAnswer,
    call: CheckCall,
  ): Promise<CheckAnswer>;
  /**
   * Reports what happened. Waits when too much is under way; resolves when the event was taken.
   *
   * @throws {EventSpoolFullError} when it can be neither sent nor kept.
   */
  report(event: AuditEvent): Promise<void>;
  /** Resolves true once every event reported so far was taken, false after `timeout_ms`. */
  flush(timeout_ms: number): Promise<boolean>;
  /** A sign of life. Resolves with nothing where the transport carries no answer. */
  heartbeat(): Promise<HeartbeatAnswer | undefined>;
  /**
   * Sends what is kept, within `timeout_ms`, and ends. Nothing can be asked afterwards.
   *
   * @throws {EventsUndeliveredError} when events were left.
   */
  close(timeout_ms?: number): Promise<void>;
}

/**
 * Refuses what cannot decide.
 *
 * @throws {ConfigurationError} naming what is missing.
 */
export function assertCheckCapable(client: unknown): asserts client is CheckClient {
  const methods = ["check", "settle", "report", "flush", "heartbeat", "close"];
  if (typeof client !== "object" || client === null) {
    throw new ConfigurationError(
      "no check-capable client: give `client`, `socket` or `gateway`; without one every act would pass",
    );
  }
  const missing = methods.filter((name) => typeof Reflect.get(client, name) !== "function");
  if (Reflect.get(client, "check_capable") !== true || missing.length > 0) {
    const lacks = missing.length > 0 ? `it lacks ${missing.map((name) => `\`${name}\``)}` : "";
    throw new ConfigurationError(
      "this client is not check-capable: it must say `check_capable: true` and decide" +
        (lacks === "" ? "" : `; ${lacks}`),
    );
  }
}
