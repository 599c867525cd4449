/**
 * Registers the agent with the gateway and governs it: through a runtime beside it, or over gRPC.
 *
 * @module
 */
import {
  AgentKey,
  type AgentTriple,
  govern,
  type GovernedAgent,
  type Notice,
  registerAgent,
  type Registration,
  SDK_VERSION,
} from "../../sdk/mod.ts";
import { GrpcRpc } from "../../sdk/transports/gateway/grpc_rpc.ts";
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
  const who = { agent_id: "support agent", org_id: "acme", team_id: "platform" };
  const registration = { identity: "ephemeral", framework: "vercel-ai", tool_names } as const;
  const grpc = `http://${address}`;
  if (way === "gateway") return { agent: await govern({ ...who, grpc, registration, onNotice }) };
  // Whoever starts an agent beside a runtime registers it and hands it the credential.
  const { agent, token } = await register(grpc, who, tool_names);
  await Deno.mkdir(`${directory}/runtime`, { mode: 0o700 });
  const runtime = await startRuntime({
    ...agent,
    ...{ gateway: address, directory: `${directory}/runtime` },
  });
  const { socket } = runtime;
  return { agent: await govern({ ...agent, socket, runtime: { token }, onNotice }), runtime };
}

async function register(
  url: string,
  { agent_id: name, org_id, team_id }: AgentTriple,
  tool_names: readonly string[],
): Promise<Registration> {
  const rpc = new GrpcRpc({ url });
  try {
    return await registerAgent(rpc, {
      ...{ key: AgentKey.ephemeral(), name, org_id, team_id, tool_names },
      ...{ framework: "vercel-ai", sdk_version: SDK_VERSION },
    }, { timeout_ms: REGISTER_MS_MAX, signal: new AbortController().signal });
  } finally {
    await rpc.close();
  }
}
