/**
 * Token buckets of `limit_per_hour` (contract `policy-and-gateway` §4.8, §13.1 #20). A pure state
 * machine: time comes in with each call, all arithmetic is in integers.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type { RateCharge } from "../verdict.ts";

const HOUR_MS = 3_600_000;

/**
 * One token in the units a bucket counts: with a limit of L tokens an hour, L units arrive each
 * millisecond, so no fraction is ever lost.
 */
const TOKEN_UNITS = HOUR_MS;

/** At the bound, full buckets are looked for at most this often. */
const SWEEP_INTERVAL_MS = 1_000;

interface Bucket {
  limit_per_hour: number;
  units: number;
  at_ms: number;
}

/** How many buckets may exist. */
export interface RateBucketOptions {
  /** @default LIMITS.rate_buckets */
  readonly max_buckets?: number;
  /** @default LIMITS.rate_buckets_per_scope */
  readonly max_buckets_per_scope?: number;
}

/**
 * Buckets by scope and tool. A bucket starts full and holds one hour's limit; a full bucket equals
 * none, so full ones are dropped when room is needed. When there is still no room, a new bucket has
 * no tokens: forgetting a drained bucket would hand out its limit again.
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
   * Tokens available now, with their fraction; at least 1 lets a call pass. Changes nothing.
   *
   * @param now_ms Milliseconds since the Unix epoch; a clock that steps back refills nothing.
   */
  tokens(charge: RateCharge, now_ms: number): number {
    const { limit_per_hour } = charge;
    if (!(limit_per_hour >= 1)) return 0;
    const bucket = this.#scopes.get(charge.scope)?.get(charge.tool);
    if (bucket !== undefined) return unitsAt(bucket, limit_per_hour, now_ms) / TOKEN_UNITS;
    return this.#hasRoom(charge.scope, now_ms) ? limit_per_hour : 0;
  }

  /**
   * Takes one token.
   *
   * @returns False when there was none to take; nothing changed then.
   */
  take(charge: RateCharge, now_ms: number): boolean {
    if (!(this.tokens(charge, now_ms) >= 1)) return false;
    const { limit_per_hour } = charge;
    const scope = this.#scopes.get(charge.scope) ?? this.#addScope(charge.scope);
    const known = scope.get(charge.tool);
    if (known !== undefined) {
      known.units = unitsAt(known, limit_per_hour, now_ms) - TOKEN_UNITS;
      known.limit_per_hour = limit_per_hour;
      known.at_ms = Math.max(known.at_ms, now_ms);
      return true;
    }
    const units = limit_per_hour * TOKEN_UNITS - TOKEN_UNITS;
    scope.set(charge.tool, { limit_per_hour, units, at_ms: now_ms });
    this.#buckets++;
    return true;
  }

  /**
   * Gives one token back: the call it was taken for did not go through. Never fills a bucket past
   * its limit; a bucket that was dropped meanwhile was full.
   */
  refund(charge: RateCharge, now_ms: number): void {
    const bucket = this.#scopes.get(charge.scope)?.get(charge.tool);
    if (bucket === undefined) return;
    const { limit_per_hour } = bucket;
    const units = unitsAt(bucket, limit_per_hour, now_ms) + TOKEN_UNITS;
    bucket.units = Math.min(limit_per_hour * TOKEN_UNITS, units);
    bucket.at_ms = Math.max(bucket.at_ms, now_ms);
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
      for (const [tool, bucket] of scope) {
        const { limit_per_hour } = bucket;
        if (unitsAt(bucket, limit_per_hour, now_ms) < limit_per_hour * TOKEN_UNITS) continue;
        scope.delete(tool);
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
function unitsAt(bucket: Bucket, limit_per_hour: number, now_ms: number): number {
  const elapsed_ms = Math.min(Math.max(now_ms - bucket.at_ms, 0), HOUR_MS);
  const capacity = bucket.limit_per_hour * TOKEN_UNITS;
  const units = Math.min(capacity, bucket.units + elapsed_ms * bucket.limit_per_hour);
  if (bucket.limit_per_hour === limit_per_hour) return units;
  return Math.floor(units * limit_per_hour / bucket.limit_per_hour);
}
