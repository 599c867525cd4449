/**
 * Token buckets of `limit_per_hour` and `rate_limits` (contract `policy-and-gateway` §4.8,
 * §13.1 #20). A pure state machine: time comes in with each call, all arithmetic is in integers.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type { RateCharge } from "../verdict.ts";

/** At the bound, full buckets are looked for at most this often. */
const SWEEP_INTERVAL_MS = 1_000;

/**
 * One token in the units a bucket counts is its window in milliseconds: with a limit of L tokens a
 * window, L units arrive each millisecond, so no fraction is ever lost.
 */
interface Bucket {
  limit: number;
  window_ms: number;
  units: number;
  at_ms: number;
}

/** One bucket as it is kept over a restart; `units` are in milliseconds times tokens. */
export interface RateBucketState {
  readonly scope: string;
  readonly bucket: string;
  readonly limit: number;
  readonly window_ms: number;
  readonly units: number;
  readonly at_ms: number;
}

/** How many buckets may exist. */
export interface RateBucketOptions {
  /** @default LIMITS.rate_buckets */
  readonly max_buckets?: number;
  /** @default LIMITS.rate_buckets_per_scope */
  readonly max_buckets_per_scope?: number;
}

/**
 * Buckets by scope and name. A bucket starts full and holds one window's limit; a full bucket
 * equals none, so full ones are dropped when room is needed. When there is still no room, a new
 * bucket has no tokens: forgetting a drained bucket would hand out its limit again.
 */
export class RateBuckets {
  readonly #scopes = new Map<string, Map<string, Bucket>>();
  readonly #max_buckets: number;
  readonly #max_per_scope: number;
  #buckets = 0;
  #swept_ms = -Infinity;

  constructor(options: RateBucketOptions = {}) {
    this.#max_buckets = options.max_buckets ?? LIMITS.rate_buckets;
    this.#max_per_scope = options.max_buckets_per_scope ?? LIMITS.rate_buckets_per_scope;
  }

  /** Buckets kept now. */
  get size(): number {
    return this.#buckets;
  }

  /**
   * Tokens available now, with their fraction; at least 1 lets a call pass. Takes nothing.
   *
   * @param now_ms Milliseconds since the Unix epoch; a clock that steps back refills nothing, and
   * one that was far ahead holds a bucket up for at most one window.
   */
  tokens(charge: RateCharge, now_ms: number): number {
    const { limit } = charge;
    if (!(limit >= 1)) return 0;
    const bucket = this.#scopes.get(charge.scope)?.get(charge.bucket);
    if (bucket === undefined) return this.#hasRoom(charge.scope, now_ms) ? limit : 0;
    bucket.at_ms = Math.min(bucket.at_ms, now_ms + bucket.window_ms);
    return unitsAt(bucket, charge, now_ms) / charge.window_ms;
  }

  /**
   * Takes one token of every bucket.
   *
   * @param charges No two of the same bucket.
   * @returns False when one of them had none to take; nothing changed then.
   */
  take(charges: readonly RateCharge[], now_ms: number): boolean {
    // New buckets of one call need room together, so each is made before the next is looked at.
    for (const [at, charge] of charges.entries()) {
      if (!(this.tokens(charge, now_ms) >= 1)) {
        this.refund(charges.slice(0, at), now_ms);
        return false;
      }
      this.#takeOne(charge, now_ms);
    }
    return true;
  }

  /**
   * Gives back what {@linkcode take} took, for a call that a later stage denied. Once for each
   * take: a bucket never holds more than its limit, but a second refund would still be a gift.
   */
  refund(charges: readonly RateCharge[], now_ms: number): void {
    for (const charge of charges) {
      const bucket = this.#scopes.get(charge.scope)?.get(charge.bucket);
      // A bucket that is not kept is full.
      if (bucket === undefined) continue;
      const capacity = bucket.limit * bucket.window_ms;
      // Had the limit changed in between, the smaller of one token and its share is given back.
      const share = Math.min(bucket.window_ms, Math.floor(capacity / charge.limit));
      bucket.units = Math.min(capacity, unitsAt(bucket, bucket, now_ms) + share);
      bucket.at_ms = Math.max(bucket.at_ms, now_ms);
    }
  }

  /** Every bucket that is not full, to be kept over a restart. */
  *states(now_ms: number): Generator<RateBucketState> {
    for (const [scope, buckets] of this.#scopes) {
      for (const [bucket, { limit, window_ms, units, at_ms }] of buckets) {
        const state = { limit, window_ms, units, at_ms };
        if (unitsAt(state, state, now_ms) >= limit * window_ms) continue;
        yield { scope, bucket, ...state };
      }
    }
  }

  /**
   * Puts back a bucket of {@linkcode states}, for start-up only.
   *
   * @throws {RangeError} For what no bucket can be, or when there is no room for it.
   */
  restore(state: RateBucketState): void {
    const { limit, window_ms, units, at_ms } = state;
    const whole = [limit, window_ms, units, at_ms].every(Number.isSafeInteger);
    if (!whole || limit < 1 || window_ms < 1 || units < 0 || units > limit * window_ms) {
      throw new RangeError("a stored rate bucket has values that no bucket can have");
    }
    const scope = this.#scopes.get(state.scope) ?? this.#addScope(state.scope);
    if (!scope.has(state.bucket)) {
      if (this.#buckets >= this.#max_buckets) throw new RangeError("too many stored rate buckets");
      this.#buckets++;
    }
    scope.set(state.bucket, { limit, window_ms, units, at_ms });
  }

  #takeOne(charge: RateCharge, now_ms: number): void {
    const { limit, window_ms } = charge;
    const scope = this.#scopes.get(charge.scope) ?? this.#addScope(charge.scope);
    const known = scope.get(charge.bucket);
    if (known === undefined) {
      const units = limit * window_ms - window_ms;
      scope.set(charge.bucket, { limit, window_ms, units, at_ms: now_ms });
      this.#buckets++;
      return;
    }
    known.units = unitsAt(known, charge, now_ms) - window_ms;
    known.limit = limit;
    known.window_ms = window_ms;
    known.at_ms = Math.max(known.at_ms, now_ms);
  }

  #addScope(name: string): Map<string, Bucket> {
    const scope = new Map<string, Bucket>();
    this.#scopes.set(name, scope);
    return scope;
  }

  /** Tool names are the caller's: one scope may not use up the room of all others. */
  #hasRoom(scope: string, now_ms: number): boolean {
    if (this.#fits(scope)) return true;
    if (Math.abs(now_ms - this.#swept_ms) < SWEEP_INTERVAL_MS) return false;
    this.#swept_ms = now_ms;
    this.#dropFull(now_ms);
    return this.#fits(scope);
  }

  #fits(scope: string): boolean {
    return this.#buckets < this.#max_buckets &&
      (this.#scopes.get(scope)?.size ?? 0) < this.#max_per_scope;
  }

  #dropFull(now_ms: number): void {
    for (const [name, scope] of this.#scopes) {
      for (const [key, bucket] of scope) {
        if (unitsAt(bucket, bucket, now_ms) < bucket.limit * bucket.window_ms) continue;
        scope.delete(key);
        this.#buckets--;
      }
      if (scope.size === 0) this.#scopes.delete(name);
    }
  }
}

/**
 * Units in a bucket at a time, under the limit in force now. After a change of the limit the
 * bucket is as full, in proportion, as it was: neither a gift nor a fine.
 */
function unitsAt(
  bucket: Bucket,
  now: { readonly limit: number; readonly window_ms: number },
  now_ms: number,
): number {
  const elapsed_ms = Math.min(Math.max(now_ms - bucket.at_ms, 0), bucket.window_ms);
  const capacity = bucket.limit * bucket.window_ms;
  const units = Math.min(capacity, bucket.units + elapsed_ms * bucket.limit);
  if (bucket.limit === now.limit && bucket.window_ms === now.window_ms) return units;
  const share = units * now.limit / bucket.limit * (now.window_ms / bucket.window_ms);
  return Math.min(now.limit * now.window_ms, Math.floor(share));
}
