/**
 * Which id an agent claims, and the proof that it holds the key it shows (contract `wire` §1.2; the
 * order of the checks is part of it).
 *
 * @module
 */
import { Code, GrpcError } from "../../grpc/mod.ts";
import type { AgentId } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import type { Challenges } from "../identity/challenges.ts";
import { ed25519KeyOf, parseDidKey } from "../../core/identity/did_key.ts";
import { isPublicKey, verifyStrict } from "../../core/identity/ed25519.ts";
import type { AgentTriple } from "../identity/keys.ts";
import { claimsSpiffe, parseWorkloadId } from "../identity/spiffe.ts";

/** The kind of id that an agent claims. A did:key names its key, a SPIFFE id does not. */
export type AgentClaim =
  /** `bytes`: multicodec and key, whatever kind of key it is. */
  | { readonly kind: "did_key"; readonly bytes: Uint8Array }
  | { readonly kind: "spiffe" };

/** Organisation, team and id as a message gives them. */
export function tripleOf(id: AgentId | undefined): AgentTriple {
  return { org_id: id?.orgId ?? "", team_id: id?.teamId ?? "", agent_id: id?.agentId ?? "" };
}

/** @throws {GrpcError} `INVALID_ARGUMENT` when the id is neither a did:key nor a SPIFFE id. */
export function claimOf(id: AgentId | undefined): AgentClaim {
  if (id === undefined) throw invalid("agent_id: is missing");
  if (claimsSpiffe(id.agentId)) {
    const spiffe = parseWorkloadId(id.agentId);
    if (spiffe.ok) return { kind: "spiffe" };
    throw invalid(`agent_id.agent_id: ${spiffe.message}`);
  }
  const did = parseDidKey(id.agentId);
  if (did.ok) return { kind: "did_key", bytes: did.bytes };
  throw invalid(`agent_id.agent_id: ${did.message}`);
}

/** @throws {GrpcError} `INVALID_ARGUMENT` when the text is no Ed25519 public key in hex. */
export function publicKeyBytes(text: string): Uint8Array {
  if (text === "") throw invalid("public_key: is empty: send 64 hex characters");
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(text)) {
    throw invalid("public_key: is not hex: send 64 hex characters");
  }
  if (text.length !== 64) {
    throw invalid(`public_key: is ${text.length / 2} bytes, an Ed25519 key is 32`);
  }
  const key = Uint8Array.fromHex(text);
  if (isPublicKey(key)) return key;
  throw invalid("public_key: is no Ed25519 public key: its 32 bytes are no point of the curve");
}

/**
 * A did:key must be the key that is shown. A SPIFFE id names none: an enrolment or a certificate
 * must bind it, see `admission.ts`.
 *
 * @throws {GrpcError} `INVALID_ARGUMENT` for another kind of key, `UNAUTHENTICATED` for another key.
 */
export function requireSameKey(claim: AgentClaim, key: Uint8Array): void {
  if (claim.kind === "spiffe") return;
  const named = ed25519KeyOf(claim.bytes);
  if (named === undefined) {
    throw invalid("agent_id.agent_id: the did:key holds no Ed25519 key of 32 bytes");
  }
  if (named.every((byte, index) => byte === key[index])) return;
  throw new GrpcError(
    "public_key: is not the key that agent_id.agent_id names",
    Code.UNAUTHENTICATED,
  );
}

/** A signature over a challenge, and whose it should be. */
export interface PossessionProof {
  readonly agent_id: string;
  /** Exactly as it was challenged. */
  readonly public_key: string;
  readonly nonce: Uint8Array;
  readonly proof: Uint8Array;
  /** The 32 bytes of `public_key`. */
  readonly key: Uint8Array;
}

/**
 * Checks that a key is held. The nonce is used up first: a wrong proof costs a new challenge.
 *
 * @throws {GrpcError} `UNAUTHENTICATED`.
 */
export function requirePossession(
  on: {
    readonly challenges: Challenges;
    readonly clock: { readonly now_ms: () => number };
  },
  { agent_id, public_key, nonce, proof, key }: PossessionProof,
): void {
  const { outcome } = on.challenges.consume(nonce, { agent_id, public_key }, on.clock.now_ms());
  if (outcome !== "accepted") {
    throw new GrpcError(
      "registration_nonce: is not a challenge that is open for this agent id and key: request a " +
        "new one and use it once, within 30 seconds",
      Code.UNAUTHENTICATED,
    );
  }
  if (verifyStrict(proof, nonce, key)) return;
  throw new GrpcError(
    "possession_proof: is not an Ed25519 signature of this key over the nonce: request a new " +
      "challenge and sign its 32 bytes",
    Code.UNAUTHENTICATED,
  );
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
