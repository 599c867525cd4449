/**
 * Which failed calls are sent again, when, and how often (gRFC A6, without hedging).
 *
 * @module
 */

import { CALL_ATTEMPTS_MAX } from "../bounds.ts";
import { Code, isCode } from "../code.ts";

/** How calls are retried. */
export interface RetryPolicy {
  /** Attempts with the first one, at least 2; more than 5 count as 5. */
  readonly max_attempts: number;
  /** Before the second attempt, 20 % more or less. */
  readonly initial_backoff_ms: number;
  readonly max_backoff_ms: number;
  /** How much longer each wait is than the one before. */
  readonly backoff_multiplier: number;
  /** Statuses that are tried again; only what is safe to be carried out twice, or never began. */
  readonly retryable_codes: readonly Code[];
}

/**
 * Stops retries while too many calls fail: a count that starts at `max_tokens`, loses 1 with each
 * failure that could be retried, gains `token_ratio` with each success. At half of it or below,
 * nothing is retried.
 */
export interface RetryThrottle {
  /** More than 0, at most 1000. */
  readonly max_tokens: number;
  /** More than 0. */
  readonly token_ratio: number;
}

/** Retries of a channel. */
export interface RetryOptions {
  /** For methods that `methods` does not name. @default none */
  readonly policy?: RetryPolicy;
  /** By `package.Service/Method` or `package.Service`; the closest counts, null is none. */
  readonly methods?: Readonly<Record<string, RetryPolicy | null>>;
  /** Shared by every method of the channel. @default none */
  readonly throttle?: RetryThrottle;
}

const JITTER = 0.2;
const MAX_TOKENS = 1000;
const NAME = /^[A-Za-z_][\w.]*(?:\/[A-Za-z_]\w*)?$/;
/** A whole number of milliseconds; anything else is no (gRFC A6, "Pushback"). */
const PUSHBACK = /^(?:0|[1-9][0-9]{0,9})$/;
const PUSHBACK_MS_MAX = 2 ** 31 - 1;

/** The rules of one channel. */
export class Retries {
  readonly #default: RetryPolicy | undefined;
  /** By the start of a call's path: `/package.Service/` or `/package.Service/Method`. */
  readonly #policies = new Map<string, RetryPolicy | null>();
  readonly #throttle: Throttle | undefined;

  /** @throws TypeError which part of the options makes no sense, and why */
  constructor(options: RetryOptions) {
    const { policy, methods, throttle } = options;
    if (policy !== undefined) checkPolicy("retry.policy", policy);
    this.#default = policy;
    for (const [name, each] of Object.entries(methods ?? {})) {
      const place = `retry.methods["${name}"]`;
      if (!NAME.test(name)) {
        throw new TypeError(`${place}: expected \`package.Service\` or \`package.Service/Method\``);
      }
      if (each !== null) checkPolicy(place, each);
      this.#policies.set(`/${name}${name.includes("/") ? "" : "/"}`, each);
    }
    if (throttle !== undefined) {
      checkNumber("retry.throttle.max_tokens", throttle.max_tokens, MAX_TOKENS);
      checkNumber("retry.throttle.token_ratio", throttle.token_ratio, Number.MAX_SAFE_INTEGER);
      this.#throttle = new Throttle(throttle);
    }
  }

  /** The retries of one call; undefined: none. */
  of(path: string): CallRetry | undefined {
    const service = path.slice(0, path.lastIndexOf("/") + 1);
    const named = [path, service].find((name) => this.#policies.has(name));
    const policy = named === undefined ? this.#default : this.#policies.get(named);
    return policy === undefined || policy === null
      ? undefined
      : new CallRetry(policy, this.#throttle);
  }
}

/** The attempts of one call. */
export class CallRetry {
  /** Attempts that have failed. */
  previous_attempts = 0;
  readonly #policy: RetryPolicy;
  readonly #throttle: Throttle | undefined;
  #waits = 0;

  constructor(policy: RetryPolicy, throttle: Throttle | undefined) {
    this.#policy = policy;
    this.#throttle = throttle;
  }

  /**
   * Counts a failed attempt.
   *
   * @param pushback value of the server's `grpc-retry-pushback-ms`
   * @param committed whether no further attempt is possible
   * @returns when the next attempt is due; undefined: there is none
   */
  nextWaitMs(code: Code, pushback: string | undefined, committed: boolean): number | undefined {
    const asked_ms = pushback === undefined ? undefined : parsePushback(pushback);
    const forbidden = pushback !== undefined && asked_ms === undefined;
    const retryable = this.#policy.retryable_codes.includes(code);
    if (!retryable && !forbidden) return undefined;
    const throttled = this.#throttle?.onFailure() === true;
    if (!retryable || forbidden || throttled || committed) return undefined;
    const attempts = Math.min(this.#policy.max_attempts, CALL_ATTEMPTS_MAX);
    if (this.previous_attempts + 1 >= attempts) return undefined;
    this.previous_attempts++;
    if (asked_ms === undefined) return this.#backoffMs();
    this.#waits = 0;
    return asked_ms;
  }

  /** Counts a call that went well. */
  onSuccess(): void {
    this.#throttle?.onSuccess();
  }

  #backoffMs(): number {
    const { initial_backoff_ms, max_backoff_ms, backoff_multiplier } = this.#policy;
    const wait_ms = Math.min(
      max_backoff_ms,
      initial_backoff_ms * backoff_multiplier ** this.#waits++,
    );
    return wait_ms * (1 + JITTER * (2 * Math.random() - 1));
  }
}

/** The token count of a channel. */
class Throttle {
  readonly #max_tokens: number;
  readonly #token_ratio: number;
  #tokens: number;

  constructor({ max_tokens, token_ratio }: RetryThrottle) {
    this.#max_tokens = max_tokens;
    this.#token_ratio = token_ratio;
    this.#tokens = max_tokens;
  }

  /** Takes a token; true when too few are left for a retry. */
  onFailure(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1);
    return this.#tokens <= this.#max_tokens / 2;
  }

  onSuccess(): void {
    this.#tokens = Math.min(this.#max_tokens, this.#tokens + this.#token_ratio);
  }
}

/** The wait a server asks for; undefined: it wants no retry. */
function parsePushback(text: string): number | undefined {
  const wait_ms = PUSHBACK.test(text) ? Number(text) : -1;
  return wait_ms >= 0 && wait_ms <= PUSHBACK_MS_MAX ? wait_ms : undefined;
}

function checkPolicy(place: string, policy: RetryPolicy): void {
  const { max_attempts, retryable_codes } = policy;
  if (!Number.isInteger(max_attempts) || max_attempts < 2) {
    throw new TypeError(
      `${place}.max_attempts is \`${max_attempts}\`: expected a whole number of at least 2`,
    );
  }
  for (const name of ["initial_backoff_ms", "max_backoff_ms", "backoff_multiplier"] as const) {
    checkNumber(`${place}.${name}`, policy[name], PUSHBACK_MS_MAX);
  }
  if (!Array.isArray(retryable_codes) || retryable_codes.length === 0) {
    throw new TypeError(`${place}.retryable_codes is empty: name at least one code`);
  }
  for (const code of retryable_codes) {
    if (isCode(code) && code !== Code.OK) continue;
    throw new TypeError(`${place}.retryable_codes has \`${code}\`: expected codes other than OK`);
  }
}

function checkNumber(place: string, value: number, max: number): void {
  if (typeof value === "number" && value > 0 && value <= max) return;
  throw new TypeError(`${place} is \`${value}\`: expected more than 0 and at most ${max}`);
}
