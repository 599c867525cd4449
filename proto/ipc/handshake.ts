/**
 * The handshake's mathematics (contract `wire` §3.4, §6.2): the runtime sends 32 random bytes, the
 * client signs them and its version with an Ed25519 key.
 *
 * The key of the reference is made from the agent's id, which is no secret: its proof shows that a
 * peer speaks the protocol and did not change its version on the way, not who it is. A key that was
 * installed for one agent, and whose public half the runtime was told, shows who it is.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ed25519 } from "@noble/curves/ed25519";
import { didKeyOf } from "@agent-assembly/core/identity/did_key";
import { verifyStrict } from "@agent-assembly/core/identity/ed25519";
import { type HandshakeProof, HandshakeProofSchema } from "../gen/assembly/ipc/v1/ipc_pb.ts";

/** An Ed25519 key pair that signs handshakes. */
export interface HandshakeKey {
  /** Secret, 32 bytes. */
  readonly seed: Uint8Array;
  /** 32 bytes. */
  readonly public_key: Uint8Array;
}

/** The key that anyone can make from an agent's id: its seed is the id's SHA-256. */
export function publicIdKey(agent_id: string): HandshakeKey {
  return seededKey(createHash("sha256").update(agent_id).digest());
}

/**
 * The key pair of a seed, e.g. of an installed key.
 *
 * @param seed 32 bytes.
 * @throws {Error} when the seed has another length
 */
export function seededKey(seed: Uint8Array): HandshakeKey {
  return { seed, public_key: ed25519.getPublicKey(seed) };
}

/**
 * The client's answer to a challenge.
 *
 * @param nonce The challenge's bytes, as received.
 * @param sdk_version Free text; it is signed with the nonce.
 */
export function signProof(
  key: HandshakeKey,
  nonce: Uint8Array,
  sdk_version: string,
): HandshakeProof {
  return create(HandshakeProofSchema, {
    agentDid: didKeyOf(key.public_key),
    publicKey: hexOf(key.public_key),
    signature: ed25519.sign(signedBytes(nonce, sdk_version), key.seed),
    sdkVersion: sdk_version,
  });
}

/** The public keys that a runtime knows, and what each shows of its owner. */
export class HandshakeKeys<Meaning extends string> {
  readonly #known = new Map<string, { readonly bytes: Uint8Array; readonly meaning: Meaning }>();

  /**
   * Knows these keys and no others.
   *
   * @param known Public keys of 32 bytes; the first of two equal ones counts.
   */
  constructor(known: Iterable<readonly [public_key: Uint8Array, meaning: Meaning]>) {
    for (const [bytes, meaning] of known) {
      const hex = hexOf(bytes);
      if (!this.#known.has(hex)) this.#known.set(hex, { bytes, meaning });
    }
  }

  /**
   * What a proof shows. The key's text must equal a known key's in lower-case hexadecimal, as the
   * reference compares it; the DID beside it is a claim and is not looked at.
   *
   * @returns `undefined` when the key is unknown or did not sign this nonce and this version.
   */
  verify(proof: HandshakeProof, nonce: Uint8Array): Meaning | undefined {
    const known = this.#known.get(proof.publicKey);
    return known !== undefined && verifyProof(proof, nonce, known.bytes)
      ? known.meaning
      : undefined;
  }
}

/**
 * Strict verification: small-order keys, non-canonical encodings and malleable signatures fail.
 *
 * @param public_key 32 bytes that the proof must hold as lower-case hexadecimal.
 */
export function verifyProof(
  proof: HandshakeProof,
  nonce: Uint8Array,
  public_key: Uint8Array,
): boolean {
  return proof.publicKey === hexOf(public_key) &&
    verifyStrict(proof.signature, signedBytes(nonce, proof.sdkVersion), public_key);
}

function signedBytes(nonce: Uint8Array, sdk_version: string): Uint8Array {
  const version = new TextEncoder().encode(sdk_version);
  const bytes = new Uint8Array(nonce.length + version.length);
  bytes.set(nonce);
  bytes.set(version, nonce.length);
  return bytes;
}

/** By hand: Node and Bun of the years before have no `toHex`. */
function hexOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
