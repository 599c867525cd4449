import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import { alerts } from "../../proto/mod.ts";
import { type FakeGateway, fakeGateway } from "../testing/fake_gateway.ts";
import { NOW_MS, runCli } from "../testing/run_cli.ts";

const ID = "01KE0M4A7Q0000000000000000";

const ALERT = {
  id: ID,
  severity: "critical",
  category: "anomaly",
  state: "open",
  status: "unresolved",
  source: "behavior_spike",
  message: "40 actions in 5 minutes, usually at most 2",
  agentId: "researcher-1",
  agentKey: "f".repeat(32),
  firstAtUnixMs: BigInt(NOW_MS - 60_000),
  lastAtUnixMs: BigInt(NOW_MS - 1_000),
  times: 21n,
} satisfies MessageInitShape<typeof alerts.AlertSchema>;

/** A gateway that serves alerts alone. */
function alertGateway(
  handlers: Partial<ServiceHandlers<typeof alerts.AlertService>>,
): Promise<FakeGateway> {
  return fakeGateway({ serve: (server) => server.addService(alerts.AlertService, handlers) });
}

const HISTORY = [{
  atUnixMs: BigInt(NOW_MS - 60_000),
  state: "open",
  actor: "gateway",
  reason: "behavior_spike",
}];

Deno.test("alerts list asks for what is unresolved, page by page up to the limit", async () => {
  const asked: string[] = [];
  await using gateway = await alertGateway({
    listAlerts: ({ state, severity, pageSize, pageToken }) => {
      asked.push(`${state} ${severity} ${pageSize} ${pageToken}`);
      return create(alerts.ListAlertsResponseSchema, { alerts: [ALERT], nextPageToken: ID });
    },
  });
  const { code, out } = await runCli([
    ...gateway.flags,
    ...["alerts", "list", "--severity", "critical", "--limit", "2"],
  ]);
  assert.equal(code, 0);
  assert.deepEqual(asked, ["unresolved critical 2 ", `unresolved critical 1 ${ID}`]);
  assert.match(out, /ID +SEVERITY +STATE +SOURCE +AGENT +TIMES +LAST +MESSAGE/);
  assert.match(out, /critical +open +behavior_spike +researcher-1 +21 .*40 actions in 5 minutes/);
});

Deno.test("alerts list gives whole numbers in JSON, and --status all asks for every state", async () => {
  let state = "?";
  await using gateway = await alertGateway({
    listAlerts: (request) => {
      state = request.state;
      return create(alerts.ListAlertsResponseSchema, { alerts: [ALERT] });
    },
  });
  const { out } = await runCli([
    ...gateway.flags,
    ...["--output", "json", "alerts", "list", "--status", "all"],
  ]);
  assert.equal(state, "");
  const [first] = JSON.parse(out);
  assert.deepEqual([first.id, first.times, first.last_at_unix_ms], [ID, 21, NOW_MS - 1_000]);
});

Deno.test("alerts ack, resolve and silence say whom and why, and show the history", async () => {
  const asked: string[] = [];
  const answer = (text: string) => {
    asked.push(text);
    return create(alerts.AlertResponseSchema, { alert: { ...ALERT, history: HISTORY } });
  };
  await using gateway = await alertGateway({
    getAlert: ({ id }) => answer(`get ${id}`),
    acknowledgeAlert: ({ id, reason }) => answer(`ack ${id} ${reason}`),
    resolveAlert: ({ id, reason }) => answer(`resolve ${id} ${reason}`),
    silenceAlert: ({ id, durationSeconds }) => answer(`silence ${id} ${durationSeconds}`),
  });
  for (
    const words of [
      ["get", ID],
      ["ack", ID, "--reason", "mine"],
      ["resolve", ID, "--reason", "a test"],
      ["silence", ID, "--for", "3600"],
    ]
  ) {
    const { code, out } = await runCli([...gateway.flags, "alerts", ...words]);
    assert.equal(code, 0);
    assert.match(out, /WHEN +STATE +BY +REASON\n.*open +gateway +behavior_spike/);
  }
  assert.deepEqual(asked, [
    `get ${ID}`,
    `ack ${ID} mine`,
    `resolve ${ID} a test`,
    `silence ${ID} 3600`,
  ]);
});

Deno.test("alerts watch shows each event on a line of its own", async () => {
  await using gateway = await alertGateway({
    watchAlerts: async function* ({ withOpen }) {
      assert.equal(withOpen, true);
      yield create(alerts.AlertEventSchema, { type: "alert.fire", alert: ALERT });
      yield create(alerts.AlertEventSchema, {
        type: "alert.resolve",
        alert: { ...ALERT, message: "two\nlines \u001b[31m" },
      });
    },
  });
  const { code, out } = await runCli([...gateway.flags, "alerts", "watch"]);
  assert.equal(code, 0);
  const lines = out.trimEnd().split("\n");
  assert.equal(lines.length, 2);
  assert.match(
    lines[0] ?? "",
    / {2}fire {2}critical {2}behavior_spike {2}researcher-1 {2}40 actions/,
  );
  assert.ok(!out.includes("\u001b"));
});

Deno.test("alerts baseline tells what is usual, and what is not known yet", async () => {
  await using gateway = await alertGateway({
    getBaseline: ({ agent }) =>
      create(alerts.GetBaselineResponseSchema, {
        agentKey: agent,
        known: agent !== "new",
        warm: true,
        actions: 900n,
        watchedHours: 40n,
        actionsPer5Minutes: 12,
        refusedShare: 0.021,
        tools: 4,
        activeHours: Array.from({ length: 24 }, (_, hour) => hour === 9 ? 0.95 : 0),
      }),
  });
  const { out } = await runCli([...gateway.flags, "alerts", "baseline", "a1"]);
  assert.match(out, /actions in 5 minutes +at most 12\n/);
  assert.match(out, /USD an hour +not known yet\n/);
  assert.match(out, /refused +2\.1 %\n/);
  assert.match(out, /works at \(UTC\) +\.{9}9\.{14} /);
  const unknown = await runCli([...gateway.flags, "alerts", "baseline", "new"]);
  assert.match(unknown.out, /baseline +none: the agent has not acted/);
});

Deno.test("alerts detectors shows what happens and which policy says so", async () => {
  await using gateway = await alertGateway({
    listDetectors: () =>
      create(alerts.ListDetectorsResponseSchema, {
        detectors: [
          { name: "off_hours", response: "alert", notices: "work at night" },
          { name: "loop_runaway", response: "throttle", statedBy: "p.yaml:3", notices: "loops" },
        ],
      }),
  });
  const { out } = await runCli([...gateway.flags, "alerts", "detectors"]);
  assert.match(out, /off_hours +alert +default +work at night/);
  assert.match(out, /loop_runaway +throttle +p\.yaml:3 +loops/);
});

Deno.test("an alert nobody knows, a silence too long and a missing duration are refused", async () => {
  await using gateway = await alertGateway({
    getAlert: () => {
      throw new GrpcError("id: no alert `x`", Code.NOT_FOUND);
    },
  });
  const unknown = await runCli([...gateway.flags, "alerts", "get", "x"]);
  assert.deepEqual([unknown.code, /no alert `x`/.test(unknown.err)], [1, true]);
  const long = await runCli([...gateway.flags, "alerts", "silence", ID, "--for", "604801"]);
  assert.equal(long.code, 2);
  assert.equal((await runCli([...gateway.flags, "alerts", "silence", ID])).code, 2);
});

Deno.test("alerts rule set says the whole rule, and list tells which metric has no source", async () => {
  const asked: string[] = [];
  await using gateway = await alertGateway({
    setAlertRule: ({ rule }) => {
      asked.push(
        `${rule?.id} ${rule?.name} ${rule?.metric} ${rule?.operator} ${rule?.threshold} ` +
          `${rule?.severity} ${rule?.evaluationWindowSeconds} ${rule?.enabled}`,
      );
      return create(alerts.AlertRuleSchema, { id: ID, measured: true });
    },
    listAlertRules: () =>
      create(alerts.ListAlertRulesResponseSchema, {
        rules: [{ id: ID, name: "r", metric: "anomaly_score", operator: ">", threshold: 5 }],
      }),
    deleteAlertRule: ({ id }) => {
      asked.push(`delete ${id}`);
      return create(alerts.DeleteAlertRuleResponseSchema);
    },
  });
  const set = await runCli([
    ...gateway.flags,
    ...["alerts", "rule", "set", "refusals", "--metric", "policy_violation_count"],
    ...["--threshold", "100", "--severity", "HIGH"],
  ]);
  assert.equal(set.code, 0);
  const listed = await runCli([...gateway.flags, "alerts", "rule", "list"]);
  assert.match(listed.out, /anomaly_score > 5 .* no source/);
  await runCli([...gateway.flags, "alerts", "rule", "delete", ID]);
  assert.deepEqual(asked, [
    " refusals policy_violation_count >= 100 HIGH 300 true",
    `delete ${ID}`,
  ]);
});
