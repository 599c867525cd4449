/**
 * The agent of a run that has its own gateway: registered under a key that nobody keeps, so that
 * its runtime knows it and may decide beside it (contract `wire` §1.2).
 *
 * @module
 */
import { didKeyOf } from "../../core/identity/did_key.ts";
import { VERSION } from "../../core/version.ts";
import { agent } from "../../proto/mod.ts";
import { withGateway } from "../gateway_connection.ts";
import type { Session } from "../session.ts";

/** Who the agent is from now on. */
export interface RegisteredAgent {
  /** Its did:key. */
  readonly agent_id: string;
  /** Secret. */
  readonly token: string;
}

/** What is said of the agent. */
export interface RegistrationWords {
  readonly org?: string | undefined;
  readonly team?: string | undefined;
  /** Shown to people. */
  readonly name: string;
}

/**
 * Registers a new agent with the gateway at a Unix socket.
 *
 * @throws {CommandError} in the gateway's words.
 */
export async function registerAgent(
  session: Session,
  socket: string,
  words: RegistrationWords,
): Promise<RegisteredAgent> {
  const { tls_ca: _ca, tls_cert: _cert, tls_key: _key, ...flags } = session.flags;
  const gateway = { kind: "unix", path: socket, text: `unix:${socket}` } as const;
  const key = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
  if (!("privateKey" in key)) throw new TypeError("an Ed25519 key is a pair");
  const public_key = new Uint8Array(await crypto.subtle.exportKey("raw", key.publicKey));
  const agent_id = didKeyOf(public_key);
  return await withGateway(
    { ...session, flags: { ...flags, gateway } as typeof session.flags },
    async (connection) => {
      const service = connection.client(agent.AgentLifecycleService);
      const agentId = { orgId: words.org ?? "", teamId: words.team ?? "", agentId: agent_id };
      const publicKey = public_key.toHex();
      const { nonce } = await service.requestChallenge(
        { agentId, publicKey },
        connection.options(),
      );
      const proof = await crypto.subtle.sign("Ed25519", key.privateKey, nonce.slice());
      const { credentialToken } = await service.register({
        agentId,
        name: words.name,
        framework: "deno",
        version: VERSION,
        publicKey,
        registrationNonce: nonce,
        possessionProof: new Uint8Array(proof),
      }, connection.options());
      return { agent_id, token: credentialToken };
    },
  );
}
