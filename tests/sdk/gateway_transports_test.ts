/**
 * The SDK against a real gateway, over gRPC and over its web listener: the same answers, the same
 * refusals, the same waits.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  CredentialLeakBlockedError,
  GatewayUnavailableError,
  InvalidActError,
  PolicyViolationError,
  SDK_VERSION,
} from "@agent-assembly/sdk";
import { governWith } from "../../sdk/govern_with.ts";
import type { GovernedAgent } from "../../sdk/governed_agent.ts";
import { AgentKey } from "../../sdk/identity/agent_key.ts";
import type { Notice } from "../../sdk/notice.ts";
import { GatewayClient } from "../../sdk/transports/gateway/gateway_client.ts";
import { GrpcRpc } from "../../sdk/transports/gateway/grpc_rpc.ts";
import { HttpRpc } from "../../sdk/transports/gateway/http_rpc.ts";
import { registerAgent } from "../../sdk/transports/gateway/registration.ts";
import type { GatewayRpc } from "../../sdk/transports/gateway/rpc.ts";
import { GITHUB_PAT, type GovernedWorld, governedWorld } from "./governed_world.ts";

const TERMS = { timeout_ms: 10_000, signal: new AbortController().signal };

interface Agent {
  readonly agent: GovernedAgent;
  readonly client: GatewayClient;
  readonly notices: Notice[];
}

async function governed(rpc: GatewayRpc, key = AgentKey.ephemeral()): Promise<Agent> {
  const registration = await registerAgent(
    rpc,
    { key, name: "test", sdk_version: SDK_VERSION },
    TERMS,
  );
  const notices: Notice[] = [];
  const onNotice = (notice: Notice) => void notices.push(notice);
  const client = GatewayClient.registered(registration, { rpc, onNotice });
  const agent = governWith({ agent: registration.agent, client, onNotice });
  return { agent, client, notices };
}

const TRANSPORTS: readonly [string, (world: GovernedWorld) => GatewayRpc][] = [
  ["gRPC", (world) => new GrpcRpc({ url: world.grpc_url })],
  ["Connect over fetch", (world) => new HttpRpc({ url: world.web_url })],
];

for (const [name, rpcOf] of TRANSPORTS) {
  Deno.test(`${name}: allowed, denied with rule and change, redacted, approved, rejected`, async () => {
    await using world = await governedWorld();
    const { agent, notices } = await governed(rpcOf(world));
    const found = await agent.callTool("search", { q: "weather" }, (args) => ({ args }));
    assert.deepEqual(found, { args: { q: "weather" } });
    await assert.rejects(
      agent.check({ kind: "tool_call", tool: "deploy", args: {} }),
      (error: unknown) => {
        assert.ok(error instanceof PolicyViolationError);
        assert.match(error.refusal.rule?.path ?? "", /^tools\./);
        assert.match(error.refusal.rule?.at ?? "", /policy\.yaml:\d+:\d+$/);
        assert.ok(error.refusal.changes.length > 0, "no change was named");
        assert.ok((error.refusal.audit_index ?? -1n) >= 0n);
        return true;
      },
    );
    let pushed: unknown;
    const told = await agent.callTool("push", { token: GITHUB_PAT }, (args) => {
      pushed = args;
      return `used ${GITHUB_PAT}`;
    });
    assert.deepEqual(pushed, { token: "[REDACTED:GitHubPat]" });
    assert.equal(told, "used [REDACTED:GitHubPat]");
    await assert.rejects(
      agent.check({ kind: "tool_call", tool: "search", args: { q: "PROJECT-NIGHTJAR" } }),
      CredentialLeakBlockedError,
    );
    const paid = agent.check({ kind: "tool_call", tool: "pay", args: { amount: 50 } });
    await world.decideNext(true);
    assert.equal((await paid).by, "approval");
    assert.ok(notices.some((one) => one.type === "approval_pending" && one.approval_id !== ""));
    const refused = agent.check({ kind: "tool_call", tool: "pay", args: { amount: 51 } });
    refused.catch(() => {});
    await world.decideNext(false);
    await assert.rejects(refused, { code: "approval_denied" });
    await agent.shutdown();
  });

  Deno.test(`${name}: an approval that nobody decides ends by name, and can be cancelled`, async () => {
    await using world = await governedWorld();
    const { agent, client } = await governed(rpcOf(world));
    const impatient = governWith({ agent: agent.agent, client, approval_timeout_ms: 200 });
    await assert.rejects(
      impatient.check({ kind: "tool_call", tool: "pay", args: { amount: 70 } }),
      { code: "approval_timeout", retryable: true },
    );
    const control = new AbortController();
    const held = agent.check(
      { kind: "tool_call", tool: "pay", args: { amount: 71 } },
      { signal: control.signal },
    );
    held.catch(() => {});
    await new Promise((next) => setTimeout(next, 50));
    control.abort(new Error("enough"));
    await assert.rejects(held, /enough/);
    await agent.shutdown();
  });

  Deno.test(`${name}: what is reported is recorded, and a second start takes a new token`, async () => {
    await using world = await governedWorld();
    const key = AgentKey.ephemeral();
    const first = await governed(rpcOf(world), key);
    const before = world.gateway.audit.status().entries;
    for (let i = 0; i < 200; i++) await first.agent.reportEvent("tool_call", `n ${i}`);
    await first.agent.reportEvent("PolicyViolation", "blocked");
    assert.equal(await first.agent.flush(20_000), true);
    assert.ok(world.gateway.audit.status().entries >= before + 201n);
    assert.deepEqual(await first.agent.heartbeat(), { should_suspend: false });
    const second = await governed(rpcOf(world), key);
    await second.agent.check({ kind: "tool_call", tool: "search", args: {} });
    await assert.rejects(first.agent.check({ kind: "tool_call", tool: "search", args: {} }));
    await second.agent.shutdown();
    await first.agent.shutdown();
  });

  Deno.test(`${name}: a gateway that is gone is a denial at once, whatever is asked`, async () => {
    const world = await governedWorld();
    const { agent } = await governed(rpcOf(world));
    await agent.check({ kind: "tool_call", tool: "search", args: {} });
    await world[Symbol.asyncDispose]();
    let happened = false;
    await assert.rejects(
      agent.callTool("search", {}, () => happened = true),
      GatewayUnavailableError,
    );
    assert.equal(happened, false);
    await agent.shutdown();
  });

  Deno.test(`${name}: an act the gateway cannot read is refused even where no answer would pass`, async () => {
    await using world = await governedWorld();
    const { agent, client } = await governed(rpcOf(world));
    const open = governWith({ agent: agent.agent, client, fail_closed: false });
    await assert.rejects(
      open.check(
        { kind: "tool_call", tool: "search", args: {} },
        { operation: { trace_id: "x".repeat(5_000) } },
      ),
      InvalidActError,
    );
    await agent.shutdown();
  });
}

Deno.test("a page's origin must be allowed before a browser may ask", async () => {
  await using world = await governedWorld(["--web-origin", "https://app.example"]);
  const ask = (origin: string) =>
    fetch(`${world.web_url}/assembly.policy.v1.PolicyService/CheckAction`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
  const allowed = await ask("https://app.example");
  assert.equal(allowed.headers.get("access-control-allow-origin"), "https://app.example");
  assert.match(allowed.headers.get("access-control-allow-headers") ?? "", /aasm-resume/);
  await allowed.body?.cancel();
  for (const origin of ["https://evil.example", "null", "https://app.example.evil.example"]) {
    const refused = await ask(origin);
    assert.equal(refused.status, 403);
    assert.equal(refused.headers.get("access-control-allow-origin"), null);
    await refused.body?.cancel();
  }
});
