/**
 * The Ed25519 key that an agent registers with, and its did:key (contract `wire` §6.2).
 *
 * @module
 */
import { ed25519 } from "@noble/curves/ed25519";
import { didKeyOf } from "@agent-assembly/core/identity/did_key";

/** A key that signs. The seed stays inside. */
export class AgentKey {
  /** `did:key:z6Mk…`: the id under which the agent is registered. */
  readonly did: string;
  /** 64 lower-case hex digits. */
  readonly public_key_hex: string;
  readonly #seed: Uint8Array;

  /** Takes what it is made of. @param seed Secret, 32 bytes; kept, not copied. */
  constructor(seed: Uint8Array) {
    const public_key = ed25519.getPublicKey(seed);
    this.#seed = seed;
    this.did = didKeyOf(public_key);
    this.public_key_hex = hexOf(public_key);
  }

  /** A fresh key that nobody stored: the agent is a new one at each start. */
  static ephemeral(): AgentKey {
    return new AgentKey(crypto.getRandomValues(new Uint8Array(32)));
  }

  /** 64 bytes of signature over the bytes as they are. */
  sign(bytes: Uint8Array): Uint8Array {
    return ed25519.sign(bytes, this.#seed);
  }
}

/** Lower-case hexadecimal; by hand, because Node 20 has no `toHex`. */
export function hexOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
