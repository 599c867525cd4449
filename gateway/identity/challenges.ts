/**
 * Registration challenges: nonces that an agent signs to prove it holds its key
 * (contract `wire` §1.2).
 *
 * @module
 */

/** Bytes of a nonce. */
export const NONCE_BYTES = 32;

/** Bounds of the challenge store. */
export const CHALLENGE_LIMITS = {
  /** Life of a nonce in milliseconds. */
  ttl_ms: 30_000,
  /** Nonces outstanding at once; one more evicts the oldest. */
  outstanding_nonces: 65_536,
} as const;

/** To whom a nonce was given: the exact texts of the request. Org and team are no part of it. */
export interface ChallengeBinding {
  readonly agent_id: string;
  readonly public_key: string;
}

/** A nonce to sign. `expires_at_ms` is advisory: the server's clock decides. */
export interface Challenge {
  readonly nonce: Uint8Array;
  readonly expires_at_ms: number;
}

/** What became of an attempt to use a nonce. It is gone in every case. */
export type Consumption =
  | { readonly outcome: "accepted" }
  | { readonly outcome: "refused"; readonly reason: "unknown" | "expired" | "bound_to_another" };

/** Where nonces are kept between challenge and registration. */
export interface Challenges {
  /** Hands out a nonce bound to one agent id and key. */
  issue(binding: ChallengeBinding, now_ms: number): Challenge;
  /** Uses a nonce up, whatever the outcome: a second attempt finds it unknown. */
  consume(nonce: Uint8Array, binding: ChallengeBinding, now_ms: number): Consumption;
  /** Nonces outstanding, expired ones not yet dropped included. */
  readonly outstanding: number;
}

/** Nonces in the memory of one process. They do not survive it, and need not: they live 30 s. */
export class MemoryChallenges implements Challenges {
  // Insertion order is age, because every nonce lives equally long.
  readonly #nonces = new Map<string, ChallengeBinding & { readonly expires_at_ms: number }>();
  readonly #capacity_nonces: number;
  readonly #random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array;

  /**
   * @param options.capacity_nonces Default `CHALLENGE_LIMITS.outstanding_nonces`.
   * @param options.random Fills bytes; the default is the platform's CSPRNG.
   */
  constructor(options: {
    readonly capacity_nonces?: number;
    readonly random?: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array;
  } = {}) {
    this.#capacity_nonces = options.capacity_nonces ?? CHALLENGE_LIMITS.outstanding_nonces;
    this.#random = options.random ?? ((bytes) => crypto.getRandomValues(bytes));
  }

  get outstanding(): number {
    return this.#nonces.size;
  }

  issue(binding: ChallengeBinding, now_ms: number): Challenge {
    const nonce = this.#random(new Uint8Array(NONCE_BYTES));
    const expires_at_ms = now_ms + CHALLENGE_LIMITS.ttl_ms;
    this.#dropOldest(now_ms);
    const { agent_id, public_key } = binding;
    this.#nonces.set(nonce.toHex(), { agent_id, public_key, expires_at_ms });
    return { nonce, expires_at_ms };
  }

  consume(nonce: Uint8Array, binding: ChallengeBinding, now_ms: number): Consumption {
    if (nonce.length !== NONCE_BYTES) return refused("unknown");
    const text = nonce.toHex();
    const issued = this.#nonces.get(text);
    this.#nonces.delete(text);
    if (issued === undefined) return refused("unknown");
    if (now_ms >= issued.expires_at_ms) return refused("expired");
    const same = issued.agent_id === binding.agent_id && issued.public_key === binding.public_key;
    return same ? { outcome: "accepted" } : refused("bound_to_another");
  }

  #dropOldest(now_ms: number): void {
    for (const [nonce, { expires_at_ms }] of this.#nonces) {
      if (expires_at_ms > now_ms && this.#nonces.size < this.#capacity_nonces) return;
      this.#nonces.delete(nonce);
    }
  }
}

function refused(reason: "unknown" | "expired" | "bound_to_another"): Consumption {
  return { outcome: "refused", reason };
}
