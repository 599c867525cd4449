/**
 * An agent as Node or Bun run it: bundled, started with the ways to its gateway and runtime, it
 * prints what happened as one line of JSON.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import process from "node:process";
import { type AssemblyError, govern, type GovernedAgent, withAssembly } from "../../sdk/mod.ts";

const [web_url = "", socket = "", secret = ""] = process.argv.slice(2);

async function acts(agent: GovernedAgent): Promise<Record<string, unknown>> {
  const seen: unknown[] = [];
  const tools = withAssembly({
    search: { execute: ({ q }: { q: string }) => `found ${q}` },
    push: { execute: (args: unknown) => Promise.resolve(seen.push(args)) },
  }, { context: agent });
  const allowed = await tools.search.execute({ q: "weather" });
  const denied = await agent.decide({ kind: "tool_call", tool: "deploy", args: {} });
  const redacted = await tools.push.execute({ token: secret }).then(
    () => seen,
    (error: AssemblyError) => error.code,
  );
  await agent.reportEvent("tool_call", "from another runtime");
  const delivered = await agent.flush(10_000);
  await agent.shutdown();
  return { allowed, denied: denied.allowed ? "allowed" : denied.error.code, redacted, delivered };
}

const registration = { identity: "ephemeral" } as const;
const over_http = await acts(
  await govern({ agent_id: "foreign", http: web_url, registration }),
);
const over_socket = await acts(
  await govern({
    agent_id: "agent-1",
    socket,
    runtime: { register_over: { http: web_url } },
    registration,
  }),
);
console.log(JSON.stringify({ over_http, over_socket }));
