import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Decision } from "@agent-assembly/proto/common";
import { ApprovalDecisionSchema } from "@agent-assembly/proto/event";
import { encodeFrame, explainedReason, publicIdKey, RUNTIME_TAG } from "@agent-assembly/proto/ipc";
import { type CheckActionResponse, CheckActionResponseSchema } from "@agent-assembly/proto/policy";
import {
  EventSpoolFullError,
  EventsUndeliveredError,
  GatewayUnavailableError,
  PolicyViolationError,
} from "../../errors.ts";
import { governWith } from "../../govern_with.ts";
import type { GovernedAgent } from "../../governed_agent.ts";
import { FakeTimers } from "../../testing/fake_timers.ts";
import {
  type RuntimeScript,
  type ScriptedPeer,
  ScriptedRuntime,
} from "../../testing/scripted_runtime.ts";
import { TRANSPORT_LIMITS } from "../limits.ts";
import { EventSpool } from "../event_spool.ts";
import { SocketClient, type SocketClientOptions } from "./socket_client.ts";

const AGENT_ID = "agent-1";

function response(
  decision: number,
  more: { reason?: string; approvalId?: string } = {},
): CheckActionResponse {
  return create(CheckActionResponseSchema, { decision, ...more });
}

async function socketPath(): Promise<string> {
  return `${await Deno.makeTempDir({ prefix: "sdk-" })}/runtime.sock`;
}

function clientOf(path: string, more: Partial<SocketClientOptions> = {}): SocketClient {
  return new SocketClient({ path, key: publicIdKey(AGENT_ID), sdk_version: "9.9.9", ...more });
}

function agentOf(client: SocketClient, answer_timeout_ms = 5_000): GovernedAgent {
  return governWith({ agent: { agent_id: AGENT_ID }, client, answer_timeout_ms });
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end_ms = Date.now() + 20_000;
  while (!holds()) {
    assert.ok(Date.now() < end_ms, `did not happen: ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}

const ALLOW: RuntimeScript = { onQuery: (_query, peer) => peer.answer(response(Decision.ALLOW)) };

Deno.test("the runtime is asked over its socket, under the signed version", async () => {
  const seen: string[] = [];
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onQuery: (query, peer) => {
      seen.push(peer.signed_version, query.credentialToken);
      const { action } = query.context ?? {};
      const denied = action?.case === "toolCall" && action.value.toolName === "deploy";
      return peer.answer(response(denied ? Decision.DENY : Decision.ALLOW, { reason: "no" }));
    },
  });
  const client = clientOf(runtime.path, { token: () => "the-token", reference_protocol: true });
  await client.connect();
  await using agent = agentOf(client);
  await agent.check({ kind: "tool_call", tool: "search", args: {} });
  await assert.rejects(
    agent.check({ kind: "tool_call", tool: "deploy", args: {} }),
    PolicyViolationError,
  );
  assert.deepEqual(seen.slice(0, 2), ["9.9.9", "the-token"]);
});

Deno.test("trap C1: a runtime that cannot be reached is told of by name, at start and at each act", async () => {
  const path = await socketPath();
  const client = clientOf(path);
  await assert.rejects(
    client.connect(),
    (error: unknown) => error instanceof GatewayUnavailableError && error.message.includes(path),
  );
  const agent = agentOf(client);
  await assert.rejects(agent.check({ kind: "tool_call", tool: "a", args: {} }), {
    code: "gateway_unavailable",
    retryable: true,
  });
  await agent.shutdown();
});

Deno.test("a refusal over the socket names its rule and the smallest change, as over gRPC", async () => {
  const reason = explainedReason({
    reason: "tool denied by policy",
    rule: "/etc/aa/my policy.yaml:7:3 tools.deploy.allow",
    change: "set `tools.deploy.allow` to `true`",
    who: "org_admin",
  });
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onQuery: (_query, peer) => peer.answer(response(Decision.DENY, { reason })),
  });
  const client = clientOf(runtime.path);
  await using agent = agentOf(client);
  await assert.rejects(agent.check({ kind: "tool_call", tool: "deploy", args: {} }), {
    name: "PolicyViolationError",
    message: "tool `deploy` was refused: tool denied by policy (rule `tools.deploy.allow` at " +
      "/etc/aa/my policy.yaml:7:3); to allow it, set `tools.deploy.allow` to `true` (org_admin)",
  });
});

Deno.test("trap C1: after a kill the next act connects again, and no event is lost", async () => {
  const path = await socketPath();
  const durable = new Set<string>();
  let acknowledge = true;
  const script: RuntimeScript = {
    ...ALLOW,
    onEvent: async (event, peer) => {
      assert.equal(peer.signed_version, "9.9.9+redacts.acks.explains");
      if (!acknowledge) return;
      durable.add(event.labels["details"] ?? "");
      await peer.acknowledge();
    },
  };
  const first = new ScriptedRuntime(path, AGENT_ID, script);
  const client = clientOf(path);
  const agent = agentOf(client);
  for (let i = 0; i < 50; i++) await agent.reportEvent("tool_call", `event-${i}`);
  assert.equal(await agent.flush(20_000), true);
  acknowledge = false;
  for (let i = 50; i < 300; i++) await agent.reportEvent("tool_call", `event-${i}`);
  await agent.check({ kind: "tool_call", tool: "a", args: {} });
  await first.kill();
  await assert.rejects(
    agent.check({ kind: "tool_call", tool: "a", args: {} }),
    GatewayUnavailableError,
  );
  for (let i = 300; i < 400; i++) await agent.reportEvent("tool_call", `event-${i}`);
  acknowledge = true;
  await using _second = new ScriptedRuntime(path, AGENT_ID, script);
  await agent.check({ kind: "tool_call", tool: "a", args: {} });
  await agent.shutdown(20_000);
  assert.equal(durable.size, 400);
});

Deno.test("trap C1: events that cannot be delivered are an error at the end, not a silence", async () => {
  const agent = agentOf(clientOf(await socketPath()));
  await agent.reportEvent("tool_call", "lost");
  await assert.rejects(
    agent.shutdown(20),
    (error: unknown) => error instanceof EventsUndeliveredError && error.events === 1,
  );
});

Deno.test("trap C2: a timed-out query keeps its place, so that answers never shift", async () => {
  const waiting: { tool: string; peer: ScriptedPeer }[] = [];
  const say = (tool: string) => response(tool === "bad" ? Decision.DENY : Decision.ALLOW);
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onQuery: (query, peer) => {
      const { action } = query.context ?? {};
      assert.ok(action?.case === "toolCall");
      waiting.push({ tool: action.value.toolName, peer });
    },
  });
  const timers = new FakeTimers();
  const client = clientOf(runtime.path, { timers });
  const agent = agentOf(client);
  const control = new AbortController();
  const late = agent.check({ kind: "tool_call", tool: "good", args: {} });
  late.catch(() => {});
  const cancelled = agent.check({ kind: "tool_call", tool: "good", args: {} }, {
    signal: control.signal,
  });
  cancelled.catch(() => {});
  await until("both were asked", () => waiting.length === 2);
  timers.advance(5_000);
  control.abort(new Error("enough"));
  await assert.rejects(late, GatewayUnavailableError);
  await assert.rejects(cancelled);
  const bad = agent.check({ kind: "tool_call", tool: "bad", args: {} });
  bad.catch(() => {});
  await until("the third was asked", () => waiting.length === 3);
  // Two allows for the two that gave up come first: neither may be taken for the third's answer.
  for (const { tool, peer } of waiting) await peer.answer(say(tool));
  await assert.rejects(bad, PolicyViolationError);
  assert.equal(runtime.connections, 1);
  await agent.shutdown();
});

Deno.test("a half-open runtime is given up by name and replaced", async () => {
  let silent = true;
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onQuery: (_query, peer) => silent ? undefined : peer.answer(response(Decision.ALLOW)),
  });
  const timers = new FakeTimers();
  const agent = agentOf(clientOf(runtime.path, { timers }));
  for (let i = 0; i < TRANSPORT_LIMITS.silent_timeouts; i++) {
    const act = agent.check({ kind: "tool_call", tool: "a", args: {} });
    act.catch(() => {});
    await until("it was asked", () => runtime.connections === 1 && timers.waiting === 1);
    timers.advance(5_000);
    await assert.rejects(act, GatewayUnavailableError);
  }
  silent = false;
  await agent.check({ kind: "tool_call", tool: "a", args: {} });
  assert.equal(runtime.connections, 2);
  await agent.shutdown();
});

Deno.test("a runtime that accepts and says nothing does not hold an agent for ever", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onConnect: () => promise,
  });
  const timers = new FakeTimers();
  const client = clientOf(runtime.path, { timers });
  const connecting = client.connect();
  connecting.catch(() => {});
  await until("the challenge is waited for", () => timers.waiting === 1);
  timers.advance(TRANSPORT_LIMITS.connect_timeout_ms);
  await assert.rejects(connecting, /sent no challenge in time/);
  resolve();
});

const LIES: readonly [string, Uint8Array][] = [
  ["an acknowledgement of nothing", Uint8Array.of(3, 0)],
  ["a second challenge", encodeFrame(RUNTIME_TAG.handshake_challenge, new Uint8Array(2))],
  ["an unknown tag", Uint8Array.of(99, 0)],
  ["a length past 64 bits", Uint8Array.of(1, ...new Array(10).fill(255), 1)],
  ["a frame of a gigabyte", Uint8Array.of(1, 0x80, 0x80, 0x80, 0x80, 0x04)],
  ["a body that is no message", encodeFrame(RUNTIME_TAG.policy_response, Uint8Array.of(255))],
];

for (const [name, bytes] of LIES) {
  Deno.test(`a runtime that lies is left, and the act does not happen: ${name}`, async () => {
    let lie = true;
    await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
      onQuery: (_query, peer) => lie ? peer.write(bytes) : peer.answer(response(Decision.ALLOW)),
    });
    const agent = agentOf(clientOf(runtime.path));
    let happened = false;
    await assert.rejects(
      agent.callTool("a", {}, () => happened = true),
      (error: unknown) =>
        error instanceof GatewayUnavailableError && /broke the protocol/.test(error.message),
    );
    assert.equal(happened, false);
    lie = false;
    await agent.check({ kind: "tool_call", tool: "a", args: {} });
    await agent.shutdown();
  });
}

Deno.test("an answer that nobody asked for is not kept for the next question", async () => {
  let unasked = 0;
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onQuery: async (_query, peer) => {
      if (unasked++ > 0) return await peer.answer(response(Decision.DENY));
      await peer.answer(response(Decision.ALLOW));
      await peer.answer(response(Decision.ALLOW));
    },
  });
  const agent = agentOf(clientOf(runtime.path));
  await agent.check({ kind: "tool_call", tool: "a", args: {} });
  await assert.rejects(agent.check({ kind: "tool_call", tool: "b", args: {} }));
  await agent.shutdown();
});

Deno.test("a client that does not know the installed key gets no answer", async () => {
  await using runtime = new ScriptedRuntime(await socketPath(), "another-agent", ALLOW);
  const agent = agentOf(clientOf(runtime.path));
  await assert.rejects(
    agent.check({ kind: "tool_call", tool: "a", args: {} }),
    GatewayUnavailableError,
  );
  await agent.shutdown();
});

Deno.test("a decided approval wakes the act, which asks the same again; a rejection ends it", async () => {
  const bytes: string[] = [];
  let approved = true;
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onQuery: async (query, peer) => {
      bytes.push(`${query.traceId}:${query.spanId}`);
      if (approved && bytes.length === 2) return await peer.answer(response(Decision.ALLOW));
      await peer.answer(response(Decision.PENDING, { approvalId: "ap-1", reason: "wait" }));
      const decision = create(ApprovalDecisionSchema, {
        approvalId: "ap-1",
        approved,
        reason: "n",
      });
      await peer.write(
        encodeFrame(
          RUNTIME_TAG.approval_decision,
          toBinary(ApprovalDecisionSchema, decision),
        ),
      );
    },
  });
  const agent = agentOf(clientOf(runtime.path));
  assert.equal((await agent.check({ kind: "tool_call", tool: "a", args: {} })).by, "approval");
  assert.equal(bytes[0], bytes[1]);
  approved = false;
  await assert.rejects(agent.check({ kind: "tool_call", tool: "a", args: {} }), {
    code: "approval_denied",
  });
  await agent.shutdown();
});

Deno.test("the event spool is bounded: who reports too much waits, then hears of it by name", async () => {
  const timers = new FakeTimers();
  const spool = new EventSpool(timers);
  const frame = new Uint8Array(1_000);
  for (let i = 0; i < TRANSPORT_LIMITS.events_kept; i++) await spool.add(frame);
  const waits = spool.add(frame);
  assert.notEqual(spool.take(), undefined);
  assert.equal(spool.acknowledge(1), true);
  await waits;
  assert.equal(spool.size, TRANSPORT_LIMITS.events_kept);
  const refused = spool.add(frame);
  refused.catch(() => {});
  timers.advance(TRANSPORT_LIMITS.report_wait_ms);
  await assert.rejects(refused, EventSpoolFullError);
  const waiting = Array.from({ length: TRANSPORT_LIMITS.reports_waiting }, () => spool.add(frame));
  await assert.rejects(spool.add(frame), /await each report/);
  spool.close();
  for (const { status } of await Promise.allSettled(waiting)) assert.equal(status, "rejected");
  assert.equal(spool.size, TRANSPORT_LIMITS.events_kept);
});

Deno.test("a runtime of the reference sends no acknowledgements and still gets every event", async () => {
  const seen: string[] = [];
  await using runtime = new ScriptedRuntime(await socketPath(), AGENT_ID, {
    onEvent: (event) => void seen.push(event.labels["details"] ?? ""),
  });
  const agent = agentOf(clientOf(runtime.path, { reference_protocol: true }));
  for (let i = 0; i < 300; i++) await agent.reportEvent("tool_call", String(i));
  await agent.shutdown();
  await until("all arrived", () => seen.length === 300);
});
