/**
 * Registers an agent the way any client does: did:key, challenge, Ed25519 proof.
 *
 * @module
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { base58 } from "@scure/base";
import { type Channel, createClient, Metadata } from "../../grpc/mod.ts";
import type { EnforcementMode } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";

/** A registered agent. */
export interface TestAgent {
  readonly org: string;
  readonly team: string;
  readonly did: string;
  readonly public_key: string;
  readonly token: string;
  readonly root_key: string;
  /** Proves that the agent holds its key. */
  readonly sign: (nonce: Uint8Array) => Uint8Array;
}

/** A fresh Ed25519 identity. */
export function newIdentity(): { did: string; public_key: string; private_key: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const jwk = publicKey.export({ format: "jwk" });
  const raw = Uint8Array.fromBase64(String(jwk.x), { alphabet: "base64url" });
  const multicodec = new Uint8Array([0xed, 0x01, ...raw]);
  return {
    did: `did:key:z${base58.encode(multicodec)}`,
    public_key: raw.toHex(),
    private_key: privateKey,
  };
}

/** Registers over an open channel. */
export async function registerAgent(
  channel: Channel,
  options: {
    org?: string;
    team?: string;
    parent?: string;
    tools?: string[];
    mode?: EnforcementMode;
    /** Enrolment token to show. */
    enrolment?: string;
    /** Registers this identity again. */
    identity?: ReturnType<typeof newIdentity>;
  } = {},
): Promise<TestAgent> {
  const client = createClient(AgentLifecycleService, channel);
  const identity = options.identity ?? newIdentity();
  const agentId = { orgId: options.org ?? "", teamId: options.team ?? "", agentId: identity.did };
  const challenge = await client.requestChallenge({ agentId, publicKey: identity.public_key });
  const answer = await client.register({
    agentId,
    name: "test agent",
    framework: "test",
    version: "1",
    riskTier: 1,
    toolNames: options.tools ?? [],
    publicKey: identity.public_key,
    enforcementMode: options.mode ?? 0,
    registrationNonce: challenge.nonce,
    possessionProof: new Uint8Array(sign(null, challenge.nonce, identity.private_key)),
    ...(options.parent === undefined ? {} : { parentAgentId: options.parent }),
  }, {
    metadata: options.enrolment === undefined
      ? new Metadata()
      : new Metadata().set("x-aa-enrolment", options.enrolment),
  });
  return {
    org: agentId.orgId,
    team: agentId.teamId,
    did: identity.did,
    public_key: identity.public_key,
    token: answer.credentialToken,
    root_key: (answer.rootAgentId ?? new Uint8Array()).toHex(),
    sign: (nonce) => new Uint8Array(sign(null, nonce, identity.private_key)),
  };
}
