/**
 * How a governed agent starts, or refuses to.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  AgentKey,
  type CheckClient,
  ConfigurationError,
  ENFORCEMENT_MODES,
  type EnforcementMode,
  GatewayUnavailableError,
  govern,
  initAssembly,
  PolicyViolationError,
  SocketClient,
  withAssembly,
} from "@agent-assembly/sdk";
import { publicIdKey } from "../../proto/ipc/mod.ts";
import { requireOwnSocket } from "../../sdk/transports/socket/socket_owner.ts";
import { governedWorld } from "./governed_world.ts";

const EPHEMERAL = { registration: { identity: "ephemeral" } } as const;

for (const mode of ["auto", "grpc-sidecar"] as const) {
  Deno.test(`initAssembly and withAssembly govern tools as the reference's README has it: ${mode}`, async () => {
    await using world = await governedWorld();
    const ctx = await initAssembly({
      gatewayUrl: mode === "auto" ? world.web_url : world.grpc_url,
      agentId: "demo",
      mode,
      start: EPHEMERAL,
    });
    assert.equal(ctx.registered, true);
    const tools = {
      search: { execute: ({ q }: { q: string }) => `result:${q}` },
      deploy: { execute: () => "deployed" },
    };
    assert.equal(withAssembly(tools, { context: ctx }), tools);
    assert.equal(await tools.search.execute({ q: "a" }), "result:a");
    await assert.rejects(async () => await tools.deploy.execute(), PolicyViolationError);
    await ctx.shutdown();
  });
}

Deno.test("langchain tools named at the start are governed in place", async () => {
  await using world = await governedWorld();
  const search = { name: "deploy", invoke: () => "deployed" };
  const ctx = await initAssembly({
    gatewayUrl: world.web_url,
    agentId: "demo",
    langchain: { tools: { search }, approvalTimeoutMs: 1_000 },
    start: EPHEMERAL,
  });
  assert.deepEqual(ctx.activeAdapters, ["langchain-js"]);
  await assert.rejects(async () => await search.invoke(), PolicyViolationError);
  await ctx.shutdown();
});

Deno.test("trap C4: nothing starts where nobody would decide", async () => {
  await assert.rejects(initAssembly({ agentId: "demo", mode: "sdk-only" }), ConfigurationError);
  const noop = { mode: "sdk-only", start() {}, close() {}, check: () => ({ denied: false }) };
  await assert.rejects(
    initAssembly({ agentId: "demo", gatewayClient: noop as unknown as CheckClient }),
    /not check-capable/,
  );
  await assert.rejects(
    govern({ agent_id: "demo", socket: "/tmp/nobody-listens-here.sock" }),
    GatewayUnavailableError,
  );
  await assert.rejects(
    govern({ agent_id: "demo", http: "http://127.0.0.1:9", ...EPHEMERAL }),
    (error) => error instanceof GatewayUnavailableError && /--web-listen/.test(error.message),
  );
  await assert.rejects(govern({ agent_id: "demo", socket: "/a", http: "http://b" }), /not several/);
});

Deno.test("law 6: an agent cannot switch itself to observe", async () => {
  await using world = await governedWorld();
  for (const enforcementMode of ENFORCEMENT_MODES) {
    const ctx = await initAssembly({
      gatewayUrl: world.web_url,
      agentId: "demo",
      enforcementMode,
      start: EPHEMERAL,
    });
    await assert.rejects(
      ctx.check({ kind: "tool_call", tool: "deploy", args: {} }),
      PolicyViolationError,
      enforcementMode,
    );
    await ctx.shutdown();
  }
  const typo = "observ" as EnforcementMode;
  await assert.rejects(initAssembly({ agentId: "demo", enforcementMode: typo }), RangeError);
  await assert.rejects(
    initAssembly({ agentId: "demo", delegationReason: "x".repeat(257) }),
    RangeError,
  );
});

Deno.test("a credential does not travel in plain text to another machine", async () => {
  for (const way of [{ http: "http://10.0.0.9:1" }, { grpc: "http://10.0.0.9:1" }]) {
    await assert.rejects(
      govern({ agent_id: "demo", ...way, ...EPHEMERAL }),
      /in plain text/,
    );
  }
  await assert.rejects(
    govern({ agent_id: "demo", http: "http://127.0.0.1.evil.example:1", ...EPHEMERAL }),
    /in plain text/,
  );
});

Deno.test("trap R16: a socket that another user made is not taken for the agent's runtime", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/runtime.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  try {
    await assert.rejects(requireOwnSocket(path, 4_000_000), /belongs to user/);
    await Deno.chmod(path, 0o602);
    await assert.rejects(requireOwnSocket(path), /written to by others/);
    await Deno.chmod(path, 0o600);
    await requireOwnSocket(path);
    await Deno.symlink(path, `${directory}/link.sock`);
    await assert.rejects(requireOwnSocket(`${directory}/link.sock`), /is no socket/);
    const client = new SocketClient({
      path,
      key: publicIdKey("demo"),
      sdk_version: "1",
      verify: () => requireOwnSocket(path, 4_000_000),
    });
    await assert.rejects(client.connect(), /belongs to user/);
    await client.close();
  } finally {
    listener.close();
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a durable identity is the same agent at the next start, with its own token", async () => {
  await using world = await governedWorld();
  const directory = `${await Deno.makeTempDir()}/identity`;
  const start = () =>
    govern({
      agent_id: "demo",
      http: world.web_url,
      registration: { identity: "durable", identity_directory: directory },
    });
  const first = await start();
  // It was killed: nothing was deregistered, and its token died with it.
  const second = await start();
  assert.equal(second.agent.agent_id, first.agent.agent_id);
  await second.check({ kind: "tool_call", tool: "search", args: {} });
  await second.shutdown();
  await first.shutdown();
  const key = AgentKey.ephemeral();
  const third = await govern({
    agent_id: "demo",
    grpc: world.grpc_url,
    registration: { identity: key, deregister_on_shutdown: true },
  });
  assert.equal(third.agent.agent_id, key.did);
  await third.shutdown();
});
