/**
 * The whole gateway in this process, asked over its own gRPC port.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Channel, Code, createClient, GrpcError, Metadata } from "../grpc/mod.ts";
import { AdminService } from "../proto/gen/assembly/admin/v1/admin_pb.ts";
import { AuditService } from "../proto/gen/assembly/audit/v1/audit_pb.ts";
import { EnforcementMode } from "../proto/gen/assembly/common/v1/common_pb.ts";
import {
  CheckActionRequestSchema,
  type CheckActionResponse,
  PolicyService,
} from "../proto/gen/assembly/policy/v1/policy_pb.ts";
import { registerAgent, type TestAgent } from "../tests/harness/agent.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { type GatewayConfig, parseArguments } from "./config.ts";
import { type Gateway, startGateway } from "./server.ts";

interface Running {
  readonly directory: string;
  readonly gateway: Gateway;
  readonly channel: Channel;
  readonly operator: Metadata;
  /** Moves the gateway's wall clock. */
  advance(ms: number): void;
}

async function withGateway(
  policy: string,
  use: (running: Running) => Promise<void>,
  flags: readonly string[] = [],
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gateway-" });
  await Deno.writeTextFile(`${directory}/policy.yaml`, policy);
  let offset_ms = 0;
  const clock = {
    ...SYSTEM_CLOCK,
    now_ms: () => Date.now() + offset_ms,
    now_ns: () => BigInt(Date.now() + offset_ms) * 1_000_000n,
  };
  const gateway = await startGateway(configOf(directory, flags), clock);
  const channel = new Channel(gateway.listeners[0] ?? "");
  try {
    const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
    await use({
      directory,
      gateway,
      channel,
      operator: new Metadata().set("authorization", `Bearer ${token}`),
      advance: (ms) => offset_ms += ms,
    });
  } finally {
    await channel.close();
    await gateway.stop("test");
    await Deno.remove(directory, { recursive: true });
  }
}

function configOf(directory: string, flags: readonly string[]): GatewayConfig {
  const policy = flags.includes("--policy") ? [] : ["--policy", `${directory}/policy.yaml`];
  const state = ["--state-dir", `${directory}/state`];
  const parsed = parseArguments([
    ...[...policy, ...state, "--listen", "127.0.0.1:0", "--grace-ms", "500"],
    ...flags,
  ]);
  assert.equal(parsed.action, "run", JSON.stringify(parsed));
  return (parsed as { config: GatewayConfig }).config;
}

function toolCall(tool: string, args = "{}", agent?: TestAgent, token = agent?.token ?? "") {
  return create(CheckActionRequestSchema, {
    agentId: {
      orgId: agent?.org ?? "",
      teamId: agent?.team ?? "",
      agentId: agent?.did ?? "agent-1",
    },
    credentialToken: token,
    traceId: "trace-1",
    spanId: "span-1",
    actionType: 2,
    context: {
      action: {
        case: "toolCall",
        value: { toolName: tool, argsJson: new TextEncoder().encode(args) },
      },
    },
  });
}

async function ask(
  { channel }: Running,
  ...question: Parameters<typeof toolCall>
): Promise<CheckActionResponse> {
  return await createClient(PolicyService, channel).checkAction(toolCall(...question));
}

async function refusalOf(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "the call was answered" });
}

async function lastPayload(running: Running): Promise<Record<string, unknown>> {
  const { entries } = await running.gateway.audit.list({ limit: 1 });
  return JSON.parse(JSON.parse(entries[0]?.line ?? "{}").payload);
}

const DENY_BASH = "tools:\n  bash: { allow: false }\n  search: { allow: true }\n";
const APPROVAL = `tools:\n  deploy: { allow: true, requires_approval_if: 'tool == "deploy"' }\n`;

async function observe(running: Running, agent: TestAgent): Promise<void> {
  await createClient(AdminService, running.channel).setEnforcementMode({
    agent: agent.did,
    mode: EnforcementMode.OBSERVE,
    reason: "trial",
    expiresAtUnixMs: BigInt(Date.now() + 3_600_000),
  }, { metadata: running.operator });
}

Deno.test("M1: an observed agent's denial becomes an allow whose shadow is recorded as a dry run", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel);
    await observe(running, agent);
    const response = await ask(running, "bash", "{}", agent);
    assert.equal(response.decision, 1);
    const payload = await lastPayload(running);
    assert.equal(payload["dry_run"], true);
    assert.equal(payload["shadow_decision"], "deny");
    assert.equal(payload["shadow_reason"], "tool denied by policy");
  });
});

Deno.test("M2: an observed agent's approval becomes an allow with shadow pending", async () => {
  await withGateway(APPROVAL, async (running) => {
    const agent = await registerAgent(running.channel);
    await observe(running, agent);
    assert.equal((await ask(running, "deploy", "{}", agent)).decision, 1);
    assert.equal((await lastPayload(running))["shadow_decision"], "pending");
  });
});

Deno.test("M3: an observed agent's allow is unchanged and leaves no shadow", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel);
    await observe(running, agent);
    assert.equal((await ask(running, "search", "{}", agent)).decision, 1);
    const payload = await lastPayload(running);
    assert.ok(!("dry_run" in payload) && !("shadow_decision" in payload));
  });
});

Deno.test("M4: without an override a denial is a denial", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel);
    const response = await ask(running, "bash", "{}", agent);
    assert.deepEqual([response.decision, response.reason], [2, "tool denied by policy"]);
  });
});

Deno.test("M5: observing one agent leaves the same call of another denied, and ends by itself", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const observed = await registerAgent(running.channel);
    const other = await registerAgent(running.channel);
    await observe(running, observed);
    assert.equal((await ask(running, "bash", "{}", observed)).decision, 1);
    assert.equal((await ask(running, "bash", "{}", other)).decision, 2);
    running.advance(3_600_001);
    assert.equal((await ask(running, "bash", "{}", observed)).decision, 2);
  });
});

Deno.test("M6: a registration that claims to be observed is enforced", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel, { mode: EnforcementMode.OBSERVE });
    assert.equal((await ask(running, "bash", "{}", agent)).decision, 2);
  });
});

Deno.test("M7: observing needs a reason, an end within 72 hours, and the admin scope", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel);
    const admin = createClient(AdminService, running.channel);
    const { token } = await admin.createOperatorToken({ name: "writer", scope: "write" }, {
      metadata: running.operator,
    });
    const good = {
      agent: agent.did,
      mode: EnforcementMode.OBSERVE,
      reason: "trial",
      expiresAtUnixMs: BigInt(Date.now() + 3_600_000),
    };
    const code = async (change: Partial<typeof good>, metadata = running.operator) =>
      (await refusalOf(admin.setEnforcementMode({ ...good, ...change }, { metadata }))).code;
    assert.equal(await code({ reason: " " }), Code.INVALID_ARGUMENT);
    assert.equal(await code({ expiresAtUnixMs: 0n }), Code.INVALID_ARGUMENT);
    const in_73_hours = BigInt(Date.now() + 73 * 3_600_000);
    assert.equal(await code({ expiresAtUnixMs: in_73_hours }), Code.INVALID_ARGUMENT);
    const writer = new Metadata().set("authorization", `Bearer ${token}`);
    assert.equal(await code({}, writer), Code.PERMISSION_DENIED);
    assert.equal(await code({ mode: EnforcementMode.DISABLED }), Code.INVALID_ARGUMENT);
  });
});

Deno.test("M8: a cascade over 51 agents is refused, never cut short", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const root = await registerAgent(running.channel);
    for (let n = 0; n < 50; n++) await registerAgent(running.channel, { parent: root.did });
    const error = await refusalOf(
      createClient(AdminService, running.channel).setEnforcementMode({
        agent: root.did,
        mode: EnforcementMode.OBSERVE,
        reason: "trial",
        expiresAtUnixMs: BigInt(Date.now() + 3_600_000),
        cascade: true,
      }, { metadata: running.operator }),
    );
    assert.equal(error.code, Code.INVALID_ARGUMENT);
    assert.match(error.message, /`51` agents/);
  });
});

Deno.test("trap 6: a suspended agent is denied until an operator resumes it", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel);
    const admin = createClient(AdminService, running.channel);
    const options = { metadata: running.operator };
    assert.equal((await ask(running, "search", "{}", agent)).decision, 1);
    await admin.suspendAgent({ agent: agent.did, reason: "under investigation" }, options);
    const denied = await ask(running, "search", "{}", agent);
    assert.deepEqual([denied.decision, denied.reason], [2, "agent suspended"]);
    await observe(running, agent);
    assert.equal(
      (await ask(running, "search", "{}", agent)).decision,
      2,
      "observing does not lift it",
    );
    await admin.resumeAgent({ agent: agent.did, reason: "cleared" }, options);
    assert.equal((await ask(running, "search", "{}", agent)).decision, 1);
  });
});

Deno.test("without a policy every action is denied with the next step in the answer", async () => {
  await withGateway("", async (running) => {
    const response = await ask(running, "anything");
    assert.equal(response.decision, 2);
    assert.match(response.reason, /^no policy — fail-closed: .*--policy/);
    const status = await createClient(AdminService, running.channel)
      .getStatus({}, { metadata: running.operator });
    assert.equal(status.policy?.state, "unconfigured");
  }, ["--policy", "none"]);
});

Deno.test("an explanation names the rule, its line and the smallest change, and costs nothing to the log", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const admin = createClient(AdminService, running.channel);
    const before = running.gateway.audit.status().entries;
    const { response, explanation } = await admin.explainAction({ request: toolCall("bash") }, {
      metadata: running.operator,
    });
    assert.equal(response?.decision, 2);
    assert.equal(explanation?.rule?.path, "tools.bash.allow");
    assert.equal(explanation?.rule?.line, 2);
    assert.ok((explanation?.changes.length ?? 0) > 0);
    assert.equal(running.gateway.audit.status().entries, before);
  });
});

Deno.test("R5: explaining spends no rate token, asking does", async () => {
  await withGateway("tools:\n  search: { allow: true, limit_per_hour: 1 }\n", async (running) => {
    const admin = createClient(AdminService, running.channel);
    for (let n = 0; n < 2; n++) {
      const { response } = await admin.explainAction({ request: toolCall("search") }, {
        metadata: running.operator,
      });
      assert.equal(response?.decision, 1);
    }
    assert.equal((await ask(running, "search")).decision, 1);
    assert.equal((await ask(running, "search")).reason, "rate limit exceeded");
  });
});

Deno.test("a secret in the arguments is redacted and is nowhere in the log", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const secret = "ghp_AbCdEfGhIjKl";
    const response = await ask(running, "search", JSON.stringify({ note: secret }));
    assert.equal(response.decision, 4);
    await createClient(PolicyService, running.channel).checkAction({
      ...toolCall(secret),
      traceId: secret,
      spanId: secret,
    });
    const log = await Deno.readTextFile(`${running.directory}/state/audit/gateway-default.jsonl`);
    assert.ok(!log.includes(secret));
    assert.ok(log.includes("[REDACTED:GitHubPat]"));
  });
});

Deno.test("operators need a token, and the admin surface never answers an agent's", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const admin = createClient(AdminService, running.channel);
    assert.equal((await refusalOf(admin.getStatus({}))).code, Code.UNAUTHENTICATED);
    const agent = await registerAgent(running.channel);
    const metadata = new Metadata().set("authorization", `Bearer ${agent.token}`);
    assert.equal((await refusalOf(admin.getStatus({}, { metadata }))).code, Code.UNAUTHENTICATED);
  });
});

Deno.test("an agent reports only its own events, and a foreign one in the batch records nothing", async () => {
  await withGateway(DENY_BASH, async (running) => {
    const agent = await registerAgent(running.channel, { org: "acme", team: "ops" });
    const audit = createClient(AuditService, running.channel);
    const own = {
      eventId: "e1",
      agentId: { orgId: "acme", teamId: "ops", agentId: agent.did },
      occurredAt: { unixMs: 1_714_222_134_000n },
      actionType: 2,
      decision: 2,
      traceId: "t",
      detail: { case: "toolCall" as const, value: { toolName: "bash" } },
    };
    const metadata = new Metadata().set("x-aa-credential-token", agent.token);
    assert.equal(
      (await refusalOf(audit.reportEvents({ events: [own] }))).code,
      Code.UNAUTHENTICATED,
    );
    const before = running.gateway.audit.status().entries;
    const foreign = { ...own, agentId: { ...own.agentId, teamId: "other" } };
    const refused = await refusalOf(audit.reportEvents({ events: [own, foreign] }, { metadata }));
    assert.equal(refused.code, Code.PERMISSION_DENIED);
    assert.equal(running.gateway.audit.status().entries, before);
    const { eventIds } = await audit.reportEvents({ events: [own, { ...own, eventId: "e2" }] }, {
      metadata,
    });
    assert.deepEqual(eventIds, ["e1", "e2"]);
    const { entries } = await running.gateway.audit.list({ limit: 1 });
    const entry = JSON.parse(entries[0]?.line ?? "{}");
    assert.equal(entry.event_type, "PolicyViolation");
    assert.ok(!("team_id" in entry), "what the event did not say is absent");
    const streamed = await audit.streamEvents(
      (async function* () {
        yield own;
        yield own;
      })(),
      { metadata },
    );
    assert.equal(streamed.eventsReceived, 2n);
  });
});

Deno.test("state survives a restart: the agent's token, its suspension, and the chain", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gateway-" });
  try {
    await Deno.writeTextFile(`${directory}/policy.yaml`, DENY_BASH);
    const first = await startGateway(configOf(directory, []));
    let channel = new Channel(first.listeners[0] ?? "");
    const agent = await registerAgent(channel, { org: "acme" });
    const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
    const metadata = new Metadata().set("authorization", `Bearer ${token}`);
    await createClient(AdminService, channel).suspendAgent({ agent: agent.did, reason: "x" }, {
      metadata,
    });
    await channel.close();
    await first.stop("restart");
    const entries = first.audit.status().entries;
    const second = await startGateway(configOf(directory, []));
    channel = new Channel(second.listeners[0] ?? "");
    const response = await createClient(PolicyService, channel)
      .checkAction(toolCall("search", "{}", agent));
    assert.deepEqual([response.reason, response.agentIdentityAssurance], ["agent suspended", 3]);
    const status = await createClient(AdminService, channel).getStatus({}, { metadata });
    assert.ok((status.audit?.entries ?? 0n) > entries);
    await channel.close();
    await second.stop("done");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("status counts under names that say what happened", async () => {
  await withGateway(
    "version: '1'\n",
    async ({ channel, operator }) => {
      await createClient(PolicyService, channel).checkAction(toolCall("read_file"));
      const status = await createClient(AdminService, channel).getStatus({}, {
        metadata: operator,
      });
      const names = Object.keys(status.counters);
      assert.ok(names.length > 0);
      assert.deepEqual(names.filter((name) => !/^[a-z_.]+$/.test(name)), []);
    },
  );
});
