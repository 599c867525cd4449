/**
 * Anomaly detection and alerts over the gateway's own gRPC port.
 */
import assert from "node:assert/strict";
import {
  type CallOptions,
  Channel,
  Code,
  createClient,
  GrpcError,
  Metadata,
} from "../../grpc/mod.ts";
import { AlertService } from "../../proto/gen/assembly/admin/v1/alerts_pb.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import { ActionType } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import type { Clock } from "../clock.ts";
import { parseArguments } from "../config.ts";
import { type Gateway, startGateway } from "../server.ts";

interface Running {
  readonly gateway: Gateway;
  readonly channel: Channel;
  readonly operator: CallOptions;
  readonly policy_file: string;
}

/** Runs on real time, shifted as a test likes. */
class ShiftedClock implements Clock {
  shift_ms = 0;
  readonly now_ms = () => Date.now() + this.shift_ms;
  readonly now_ns = () => BigInt(this.now_ms()) * 1_000_000n;
  readonly monotonic_us = () => Math.round(performance.now() * 1_000);
}

async function withGateway(
  policy: string,
  use: (running: Running) => Promise<void>,
  directory?: string,
  clock?: Clock,
): Promise<void> {
  const root = directory ?? await Deno.makeTempDir({ prefix: "alerts-" });
  const policy_file = `${root}/policy.yaml`;
  await Deno.writeTextFile(policy_file, policy);
  const parsed = parseArguments([
    ...["--policy", policy_file, "--state-dir", `${root}/state`],
    ...["--audit-dir", `${root}/audit`, "--listen", "127.0.0.1:0", "--grace-ms", "200"],
  ]);
  assert.ok(parsed.action === "run");
  const gateway = await startGateway(parsed.config, clock);
  const channel = new Channel(gateway.listeners[0] ?? "");
  try {
    const token = (await Deno.readTextFile(`${root}/state/operator.token`)).trim();
    const metadata = new Metadata().set("authorization", `Bearer ${token}`);
    await use({ gateway, channel, operator: { metadata }, policy_file });
  } finally {
    await channel.close();
    await gateway.stop("test");
    if (directory === undefined) await Deno.remove(root, { recursive: true });
  }
}

function callTool(channel: Channel, agent: TestAgent, tool: string, args = "{}") {
  return createClient(PolicyService, channel).checkAction({
    agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
    credentialToken: agent.token,
    traceId: "t",
    spanId: crypto.randomUUID(),
    actionType: ActionType.TOOL_CALL,
    context: {
      action: {
        case: "toolCall",
        value: { toolName: tool, argsJson: new TextEncoder().encode(args) },
      },
    },
  });
}

async function codeOf(call: Promise<unknown>): Promise<Code> {
  try {
    await call;
    return Code.OK;
  } catch (error) {
    if (error instanceof GrpcError) return error.code;
    throw error;
  }
}

Deno.test("a loop becomes one alert that an operator finds, acknowledges and resolves", async () => {
  await withGateway("{}", async ({ channel, operator }) => {
    const agent = await registerAgent(channel, { org: "o", team: "t" });
    const decisions = new Set<number>();
    for (let at = 0; at < 60; at++) {
      decisions.add((await callTool(channel, agent, "search")).decision);
    }
    // Alert only: nothing changed for the agent.
    assert.deepEqual([...decisions], [1]);
    const alerts = createClient(AlertService, channel);
    const { alerts: [found, ...more] } = await alerts.listAlerts({ agent: agent.did }, operator);
    assert.equal(more.length, 0);
    assert.equal(found?.source, "loop_runaway");
    assert.equal(found.severity, "info");
    assert.equal(found.times, 11n);
    assert.match(found.message, /^50 identical|^60 identical/);
    const id = found.id;
    const acked = await alerts.acknowledgeAlert({ id, reason: "seen" }, operator);
    assert.deepEqual([acked.alert?.state, acked.alert?.status], ["acknowledged", "unresolved"]);
    const silenced = await alerts.silenceAlert({ id, durationSeconds: 60 }, operator);
    assert.equal(silenced.alert?.status, "suppressed");
    assert.equal(
      await codeOf(alerts.silenceAlert({ id, durationSeconds: 60 }, operator)),
      Code.ALREADY_EXISTS,
    );
    await alerts.resolveAlert({ id, reason: "load test" }, operator);
    const { alert } = await alerts.getAlert({ id }, operator);
    assert.deepEqual(alert?.history.map((step) => step.state), [
      "open",
      "acknowledged",
      "silenced",
      "resolved",
    ]);
    assert.equal((await alerts.listAlerts({ state: "unresolved" }, operator)).alerts.length, 0);
    const { entries } = await createClient(AdminService, channel)
      .listAuditEntries({ limit: 100 }, operator);
    const log = entries.map((entry) => entry.json).join("\n");
    for (const action of ["raised", "acknowledge", "silence", "resolve"]) {
      assert.match(log, new RegExp(`alert_${action}`));
    }
  });
});

Deno.test("policy opts into throttling: the call is denied in the contract's words and recorded", async () => {
  await withGateway("anomaly: { loop_runaway: throttle }", async ({ channel, operator }) => {
    const agent = await registerAgent(channel, { org: "o", team: "t" });
    for (let at = 0; at < 49; at++) await callTool(channel, agent, "search");
    const refused = await callTool(channel, agent, "search");
    assert.equal(refused.decision, 2);
    assert.equal(refused.policyRule, "anomaly_detection");
    assert.match(
      refused.reason,
      /^anomaly detected \(loop_runaway\): 50 identical calls .* — blocked by anomaly responder$/,
    );
    assert.equal((await callTool(channel, agent, "other")).decision, 1);
    const { entries } = await createClient(AdminService, channel)
      .listAuditEntries({ limit: 20, decision: "deny" }, operator);
    assert.match(entries[0]?.json ?? "", /anomaly_detection/);
  });
});

Deno.test("quarantine suspends the agent, with the cause on record", async () => {
  await withGateway("anomaly: { loop_runaway: quarantine }", async ({ channel, operator }) => {
    const agent = await registerAgent(channel, { org: "o", team: "t" });
    for (let at = 0; at < 50; at++) await callTool(channel, agent, "search");
    const admin = createClient(AdminService, channel);
    // The suspension follows the answer.
    let status = "";
    const deadline_ms = Date.now() + 10_000;
    while (status !== "suspended" && Date.now() < deadline_ms) {
      const { agent: shown } = await admin.getAgent({ agent: agent.did }, operator);
      status = shown?.status ?? "";
      if (status === "suspended") assert.match(shown?.statusReason ?? "", /quarantined/);
    }
    assert.equal(status, "suspended");
    assert.equal((await callTool(channel, agent, "other")).reason, "agent suspended");
  });
});

Deno.test("alerts and what was learned survive a restart", async () => {
  const directory = await Deno.makeTempDir({ prefix: "alerts-" });
  try {
    let id = "";
    let did = "";
    await withGateway("{}", async ({ channel, operator }) => {
      const agent = await registerAgent(channel, { org: "o", team: "t" });
      did = agent.did;
      for (let at = 0; at < 50; at++) await callTool(channel, agent, "search");
      id = (await createClient(AlertService, channel).listAlerts({}, operator)).alerts[0]?.id ?? "";
    }, directory);
    await withGateway("{}", async ({ channel, operator }) => {
      const alerts = createClient(AlertService, channel);
      assert.equal((await alerts.getAlert({ id }, operator)).alert?.source, "loop_runaway");
      const baseline = await alerts.getBaseline({ agent: did }, operator);
      assert.deepEqual([baseline.known, baseline.actions, baseline.warm], [true, 50n, false]);
      await alerts.resetBaseline({ agent: did, reason: "new duties" }, operator);
      assert.equal((await alerts.getBaseline({ agent: did }, operator)).known, false);
    }, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a claim of another's identity is told of", async () => {
  await withGateway("{}", async ({ channel, operator }) => {
    const victim = await registerAgent(channel, { org: "o", team: "t" });
    const thief = await registerAgent(channel, { org: "o", team: "t" });
    const answer = await callTool(channel, { ...thief, did: victim.did }, "search");
    assert.equal(answer.policyRule, "a2a_identity_verification");
    const { alerts } = await createClient(AlertService, channel).listAlerts({}, operator);
    assert.deepEqual(alerts.map(({ source, severity }) => `${source} ${severity}`), [
      "cross_agent_identity_spoofing critical",
    ]);
  });
});

Deno.test("a watcher hears a new alert; detectors say what policy asks for", async () => {
  await withGateway("anomaly:\n  off_hours: throttle\n", async ({ channel, operator }) => {
    const agent = await registerAgent(channel, { org: "o", team: "t" });
    const alerts = createClient(AlertService, channel);
    const stop = new AbortController();
    const stream = alerts.watchAlerts({}, { ...operator, signal: stop.signal });
    const events = stream[Symbol.asyncIterator]();
    const first = events.next();
    // The watch may be registered after a first alert: go on until it hears one.
    for (let at = 0; at < 3; at++) {
      for (let turn = 0; turn < 50; turn++) await callTool(channel, agent, `loop${at}`);
      const { alerts: [open] } = await alerts.listAlerts({ state: "open" }, operator);
      if (open !== undefined) await alerts.resolveAlert({ id: open.id }, operator);
    }
    const event = await first;
    assert.match(event.value?.type ?? "", /^alert\.(fire|resolve)$/);
    stop.abort();
    await events.return?.().catch(() => {});
    const { detectors } = await alerts.listDetectors({ agent: agent.did }, operator);
    const off = detectors.find((detector) => detector.name === "off_hours");
    assert.equal(off?.response, "throttle");
    assert.match(off.statedBy, /policy\.yaml:2$/);
    assert.ok(detectors.filter((one) => one.response === "alert").length >= 10);
  });
});

Deno.test("without a token nobody sees alerts; wrong words are named", async () => {
  await withGateway("{}", async ({ channel, operator }) => {
    const alerts = createClient(AlertService, channel);
    assert.equal(await codeOf(alerts.listAlerts({})), Code.UNAUTHENTICATED);
    assert.equal(await codeOf(alerts.getBaseline({ agent: "x" })), Code.UNAUTHENTICATED);
    assert.equal(
      await codeOf(alerts.listAlerts({ state: "closed" }, operator)),
      Code.INVALID_ARGUMENT,
    );
    assert.equal(
      await codeOf(alerts.listAlerts({ pageToken: "'; --" }, operator)),
      Code.INVALID_ARGUMENT,
    );
    assert.equal(await codeOf(alerts.getAlert({ id: "x" }, operator)), Code.NOT_FOUND);
  });
});

Deno.test("the gateway's clock jumping a year ahead and back quarantines nobody", async () => {
  const clock = new ShiftedClock();
  const strict = "anomaly: { behavior_spike: quarantine, off_hours: quarantine, " +
    "unusual_tools: quarantine, argument_shape: quarantine, denial_surge: quarantine }";
  await withGateway(
    strict,
    async ({ channel }) => {
      const agent = await registerAgent(channel, { org: "o", team: "t" });
      for (const days of [0, 365, 0, 30, -3, 0]) {
        clock.shift_ms = days * 86_400_000;
        for (let at = 0; at < 45; at++) {
          const answer = await callTool(channel, agent, `t${at}`, `{"k${at}":1}`);
          assert.notEqual(answer.policyRule, "anomaly_detection");
        }
      }
    },
    undefined,
    clock,
  );
});

Deno.test("a rule is made, listed with its source, refused with the contract's code, deleted", async () => {
  await withGateway("{}", async ({ channel, operator }) => {
    const alerts = createClient(AlertService, channel);
    const rule = {
      name: "refusals",
      enabled: true,
      operator: ">=",
      threshold: 10,
      severity: "HIGH",
      evaluationWindowSeconds: 300,
    };
    const metrics = [
      "budget_spent_pct",
      "anomaly_score",
      "approval_pending_age",
      "policy_violation_count",
    ];
    for (const metric of metrics) {
      await alerts.setAlertRule({ rule: { ...rule, name: metric, metric } }, operator);
    }
    const { rules } = await alerts.listAlertRules({}, operator);
    assert.deepEqual(rules.map(({ metric, measured }) => `${metric} ${measured}`), [
      "budget_spent_pct true",
      "anomaly_score true",
      "approval_pending_age true",
      "policy_violation_count true",
    ]);
    const wrong = { ...rule, metric: "cpu" };
    await assert.rejects(
      alerts.setAlertRule({ rule: wrong }, operator),
      (error) => error instanceof GrpcError && error.message.startsWith("invalid_metric"),
    );
    const [first] = rules;
    await alerts.deleteAlertRule({ id: first?.id ?? "" }, operator);
    assert.equal((await alerts.listAlertRules({}, operator)).rules.length, 3);
    const again = alerts.deleteAlertRule({ id: first?.id ?? "" }, operator);
    assert.equal(await codeOf(again), Code.NOT_FOUND);
  });
});

Deno.test("an operator of one team sees, hears and changes nothing of another's alerts", async () => {
  await withGateway("{}", async ({ channel, operator }) => {
    const own = await registerAgent(channel, { org: "o", team: "mine" });
    const foreign = await registerAgent(channel, { org: "o", team: "theirs" });
    for (const agent of [own, foreign]) {
      for (let at = 0; at < 50; at++) await callTool(channel, agent, "search");
    }
    const { token } = await createClient(IamService, channel).createOperator({
      name: "lea",
      role: "team_admin",
      orgId: "o",
      teamId: "mine",
    }, operator);
    const lea = { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
    const alerts = createClient(AlertService, channel);
    const all = (await alerts.listAlerts({}, operator)).alerts;
    assert.equal(all.length, 2);
    const seen = (await alerts.listAlerts({}, lea)).alerts;
    assert.deepEqual(seen.map((alert) => alert.teamId), ["mine"]);
    const hidden = all.find((alert) => alert.teamId === "theirs")?.id ?? "";
    assert.equal(await codeOf(alerts.getAlert({ id: hidden }, lea)), Code.NOT_FOUND);
    assert.equal(await codeOf(alerts.resolveAlert({ id: hidden }, lea)), Code.NOT_FOUND);
    assert.equal(
      await codeOf(alerts.getBaseline({ agent: foreign.did }, lea)),
      Code.PERMISSION_DENIED,
    );
    assert.equal(
      await codeOf(alerts.resetBaseline({ agent: foreign.did, reason: "x" }, lea)),
      Code.PERMISSION_DENIED,
    );
    const rule = { name: "r", metric: "anomaly_score", operator: ">", severity: "LOW" };
    const set = alerts.setAlertRule({ rule: { ...rule, evaluationWindowSeconds: 300 } }, lea);
    assert.equal(await codeOf(set), Code.PERMISSION_DENIED);
    const id = seen[0]?.id ?? "";
    assert.equal((await alerts.resolveAlert({ id, reason: "mine" }, lea)).alert?.state, "resolved");
  });
});
