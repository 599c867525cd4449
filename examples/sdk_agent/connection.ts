/**
 * Registers the agent with the gateway and governs it: through a runtime beside it, or over gRPC.
 *
 * @module
 */
import { publicIdKey } from "../../proto/ipc/mod.ts";
import { AgentKey } from "../../sdk/identity/agent_key.ts";
import { type GovernedAgent, governWith, type Notice, SDK_VERSION } from "../../sdk/mod.ts";
import { GatewayClient } from "../../sdk/transports/gateway/gateway_client.ts";
import { GrpcRpc } from "../../sdk/transports/gateway/grpc_rpc.ts";
import { registerAgent } from "../../sdk/transports/gateway/registration.ts";
import { SocketClient } from "../../sdk/transports/socket/socket_client.ts";
import { type RuntimeProcess, startRuntime } from "./runtime_process.ts";

/** How the agent reaches whoever decides. */
export type Way = "runtime" | "gateway";

/** A governed agent and the runtime beside it, where there is one. */
export interface Connected {
  readonly agent: GovernedAgent;
  readonly runtime?: RuntimeProcess;
}

const REGISTER_MS_MAX = 10_000;

/** A fresh agent of the team `platform`. */
export async function connect(
  way: Way,
  address: string,
  directory: string,
  tool_names: readonly string[],
  onNotice: (notice: Notice) => void,
): Promise<Connected> {
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
  const { agent, token } = registration;
  if (way === "gateway") {
    const client = GatewayClient.registered(registration, { rpc, onNotice });
    return { agent: governWith({ agent, client, onNotice }) };
  }
  await rpc.close();
  await Deno.mkdir(`${directory}/runtime`, { mode: 0o700 });
  const runtime = await startRuntime({
    ...agent,
    ...{ token, gateway: address, directory: `${directory}/runtime` },
  });
  const client = new SocketClient({
    path: runtime.socket,
    key: publicIdKey(agent.agent_id),
    token: () => token,
    sdk_version: SDK_VERSION,
    onNotice,
  });
  await client.connect();
  return { agent: governWith({ agent, client, onNotice }), runtime };
}
