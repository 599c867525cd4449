/**
 * What the page of the browser test does: asks a real gateway, decides locally, and posts what
 * happened to where it came from. Bundled for the browser before it is served.
 *
 * @module
 */
import {
  AgentKey,
  GatewayClient,
  governWith,
  HttpRpc,
  localPolicy,
  preflightScan,
  registerAgent,
  SDK_VERSION,
  withAssembly,
} from "../../sdk/browser.ts";

async function run(): Promise<Record<string, unknown>> {
  const { web_url, policy, secret } = await (await fetch("/settings")).json();
  const rpc = new HttpRpc({ url: web_url });
  const registration = await registerAgent(rpc, {
    key: AgentKey.ephemeral(),
    name: "page",
    sdk_version: SDK_VERSION,
  }, { timeout_ms: 10_000, signal: new AbortController().signal });
  const client = GatewayClient.registered(registration, { rpc });
  const agent = governWith({ agent: registration.agent, client });
  const seen: unknown[] = [];
  const tools = withAssembly({
    search: { execute: (args: { q: string }) => `found ${args.q}` },
    deploy: { execute: (args: unknown) => seen.push(args) },
    push: {
      execute: (args: unknown) => {
        seen.push(args);
        return "pushed";
      },
    },
  }, { context: agent });
  const allowed = await tools.search.execute({ q: "weather" });
  const denied = await agent.decide({ kind: "tool_call", tool: "deploy", args: {} });
  await tools.push.execute({ token: secret });
  await agent.reportEvent("tool_call", "from the page");
  const delivered = await agent.flush(10_000);
  const local = governWith({
    agent: { agent_id: "page" },
    client: localPolicy([{ file: "page.yaml", source: policy }], { agent_id: "page" }),
  });
  const locally = await local.decide({ kind: "tool_call", tool: "deploy", args: {} });
  const locally_allowed = await local.decide({ kind: "tool_call", tool: "search", args: {} });
  return {
    allowed,
    denied: denied.allowed ? "allowed" : denied.error.message,
    redacted: seen,
    delivered,
    locally: locally.allowed ? "allowed" : locally.error.message,
    locally_allowed: locally_allowed.allowed,
    kinds: preflightScan(`token ${secret}`).map(({ kind }) => kind),
    deno: "Deno" in globalThis,
    process: "process" in globalThis,
  };
}

function report(result: Record<string, unknown>): Promise<Response> {
  return fetch("/result", { method: "POST", body: JSON.stringify(result) });
}

run().then(report, (error) => report({ error: String(error), stack: String(error?.stack) }));
