/**
 * Registers the agent and governs it over gRPC.
 *
 * @module
 */
import { AgentKey } from "../../sdk/identity/agent_key.ts";
import { type GovernedAgent, governWith, type Notice, SDK_VERSION } from "../../sdk/mod.ts";
import { GatewayClient } from "../../sdk/transports/gateway/gateway_client.ts";
import { GrpcRpc } from "../../sdk/transports/gateway/grpc_rpc.ts";
import { registerAgent } from "../../sdk/transports/gateway/registration.ts";

const REGISTER_MS_MAX = 10_000;

/** A fresh agent of the team `platform`. */
export async function connect(
  address: string,
  tool_names: readonly string[],
  onNotice: (notice: Notice) => void,
): Promise<GovernedAgent> {
  const rpc = new GrpcRpc({ url: `http://${address}` });
  const registration = await registerAgent(rpc, {
    key: AgentKey.ephemeral(),
    org_id: "acme",
    team_id: "platform",
    name: "support agent",
    framework: "vercel-ai",
    sdk_version: SDK_VERSION,
    tool_names,
  }, { timeout_ms: REGISTER_MS_MAX, signal: new AbortController().signal });
  const client = GatewayClient.registered(registration, { rpc, onNotice });
  return governWith({ agent: registration.agent, client, onNotice });
}
