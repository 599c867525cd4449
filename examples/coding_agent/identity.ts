/**
 * The agent's identity: an Ed25519 key, its did:key, and the registration that proves it.
 *
 * @module
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { base58 } from "@scure/base";
import { type Channel, createClient } from "../../grpc/mod.ts";
import { RiskTier } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";

/** The triple that names an agent on the wire. */
export interface AgentTriple {
  readonly orgId: string;
  readonly teamId: string;
  readonly agentId: string;
}

/** A registered agent. The token is the only secret it needs from here on. */
export interface RegisteredAgent {
  readonly triple: AgentTriple;
  readonly token: string;
}

/** Multicodec of an Ed25519 public key. */
const ED25519_PUB = [0xed, 0x01] as const;

/** A fresh key with its names. */
interface Identity {
  readonly did: string;
  readonly public_key_hex: string;
  readonly private_key: KeyObject;
}

function newIdentity(): Identity {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const { x = "" } = publicKey.export({ format: "jwk" });
  const raw = Uint8Array.fromBase64(x, { alphabet: "base64url" });
  const did = `did:key:z${base58.encode(Uint8Array.of(...ED25519_PUB, ...raw))}`;
  return { did, public_key_hex: raw.toHex(), private_key: privateKey };
}

/**
 * Registers a new agent: asks for a nonce, signs it, and gets a credential token.
 *
 * @throws {GrpcError} when the gateway refuses.
 */
export async function register(
  channel: Channel,
  name: string,
  tools: readonly string[],
): Promise<RegisteredAgent> {
  const lifecycle = createClient(AgentLifecycleService, channel);
  const identity = newIdentity();
  const triple = { orgId: "acme", teamId: "platform", agentId: identity.did };
  const challenge = await lifecycle.requestChallenge({
    agentId: triple,
    publicKey: identity.public_key_hex,
  });
  const proof = sign(null, challenge.nonce, identity.private_key);
  const answer = await lifecycle.register({
    agentId: triple,
    name,
    framework: "scripted",
    version: "1.0.0",
    riskTier: RiskTier.MEDIUM,
    toolNames: [...tools],
    publicKey: identity.public_key_hex,
    registrationNonce: challenge.nonce,
    possessionProof: new Uint8Array(proof),
  });
  return { triple, token: answer.credentialToken };
}
