/** A runtime that decides beside a real gateway: fast, never stale, never more than was set aside. */
import assert from "node:assert/strict";
import { createClient } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { ApprovalAdminService } from "../../proto/gen/assembly/admin/v1/approvals_pb.ts";
import { LedgerService } from "../../proto/gen/assembly/admin/v1/ledger_pb.ts";
import { OperationsService } from "../../proto/gen/assembly/admin/v1/operations_pb.ts";
import { client, PATIENT, toolQuery } from "../../runtime/decisions/_fixture.ts";
import { until } from "../../runtime/_fixture.ts";
import type { LocalPolicy } from "../../runtime/decisions/fallback.ts";
import { openWorld, type TestWorld } from "./world.ts";

const POLICY = `tools:
  search: { allow: true }
  bash: { allow: false }
`;

const ask = ({ runtime, agent }: TestWorld, tool: string, args = "{}") =>
  runtime.room.decisions.answer(toolQuery(agent, tool, args), client(), PATIENT);

Deno.test("an allow and a denial are given without a round trip, each with evidence the gateway takes once", async () => {
  await using world = await openWorld(POLICY);
  const { runtime } = world;
  const allowed = await ask(world, "search");
  assert.deepEqual([allowed.decision, allowed.agentIdentityAssurance], [1, 3]);
  const denied = await ask(world, "bash");
  assert.deepEqual([denied.decision, denied.reason], [2, "tool denied by policy"]);
  assert.equal(runtime.calls.check, 0);
  assert.match(runtime.room.decisions.explain(denied)?.rule ?? "", /policy\.yaml:3:.*tools\.bash/);
  assert.equal(runtime.spool.records.length, 2);
  await runtime.flush();
  const reported = (await world.payloads()).filter((entry) => entry["decided_by"] === "runtime");
  assert.deepEqual(
    reported.map((entry) => [entry["decision"], entry["resource"], entry["recheck"]]),
    [
      [1, "search", "agrees"],
      [2, "bash", "agrees"],
    ],
  );
  assert.equal(runtime.told.events.length, 1, "a denial is an event");
  assert.equal(runtime.told.events[0]?.detail.case, "violation");
});

Deno.test("once the gateway has pushed another policy, nothing is answered by the old one", async () => {
  await using world = await openWorld(POLICY);
  const { runtime } = world;
  const before = runtime.room.decisions.epoch();
  assert.equal((await ask(world, "search")).decision, 1);
  await world.edit("tools: { search: { allow: false } }\n");
  await until(() => runtime.room.decisions.epoch() !== before, "the push");
  assert.equal((await ask(world, "search")).decision, 2);
  assert.equal(runtime.calls.check, 0);
});

Deno.test("an answer whose evidence was being written when the policy changed is not given, and that is on record", async () => {
  await using world = await openWorld(POLICY);
  const { runtime } = world;
  const disk = Promise.withResolvers<void>();
  runtime.spool.gate = disk.promise;
  const pending = ask(world, "search");
  const before = runtime.room.decisions.epoch();
  await world.edit("tools: { search: { allow: false } }\n");
  await until(() => runtime.room.decisions.epoch() !== before, "the push");
  runtime.spool.gate = Promise.resolve();
  disk.resolve();
  assert.equal((await pending).decision, 2);
  const decided = runtime.spool.decided();
  assert.equal(decided[0]?.decision, 1);
  assert.equal(decided[1]?.withdrawsSeq, 1n);
  assert.equal(decided[2]?.decision, 2);
  await runtime.flush();
  const words = (await world.payloads()).map((entry) => entry["action"]);
  assert.ok(words.includes("runtime_decision_withdrawn"));
});

Deno.test("a suspended agent is denied here at once; another credential is never believed here", async () => {
  await using world = await openWorld(POLICY);
  const { runtime, agent, gateway } = world;
  const stranger = await runtime.room.decisions.answer(
    toolQuery({ ...agent, token: crypto.randomUUID() }, "search"),
    client(),
    PATIENT,
  );
  assert.deepEqual([stranger.decision, stranger.policyRule], [2, "a2a_identity_verification"]);
  assert.equal(runtime.calls.check, 1, "the gateway decides whom to believe");
  const before = runtime.room.decisions.epoch();
  const admin = createClient(AdminService, gateway.channel);
  await admin.suspendAgent({ agent: agent.did, reason: "test" }, { metadata: gateway.operator });
  await until(() => runtime.room.decisions.epoch() !== before, "the push");
  assert.deepEqual((await ask(world, "search")).reason, "agent suspended");
});

Deno.test("interception 10.6 #105: after an operator's termination a query is denied with OpTerminatedError", async () => {
  await using world = await openWorld(POLICY);
  const { runtime, agent, gateway } = world;
  const operations = createClient(OperationsService, gateway.channel);
  const target = `agent:${agent.did}`;
  await operations.terminate({ target, reason: "stop" }, { metadata: gateway.operator });
  await until(() => runtime.room.status().orders === 1, "the order");
  const answer = await ask(world, "search");
  assert.equal(answer.decision, 2);
  assert.match(answer.reason, /^OpTerminatedError/);
  assert.equal(runtime.spool.decided().at(-1)?.because, "operator");
});

Deno.test("trap R2: a pause holds the queries of its operation alone, and ends with resume", async () => {
  await using world = await openWorld(POLICY);
  const { runtime, agent, gateway } = world;
  const operations = createClient(OperationsService, gateway.channel);
  const target = "trace:held";
  const options = { metadata: gateway.operator };
  await operations.pause({ target, agent: agent.did, reason: "wait" }, options);
  await until(() => runtime.room.status().orders === 1, "the order");
  let answered = false;
  const held = runtime.room.decisions.answer(
    toolQuery(agent, "search", "{}", { spanId: "held" }),
    client(),
    PATIENT,
  ).finally(() => answered = true);
  for (let time = 0; time < 20; time++) assert.equal((await ask(world, "search")).decision, 1);
  assert.equal(answered, false);
  await operations.resume({ target, agent: agent.did, reason: "go" }, options);
  assert.equal((await held).decision, 1);
});

Deno.test("trap R9: a redaction reaches a client that applies it, and is a denial for one that would not", async () => {
  await using world = await openWorld(POLICY);
  const { runtime, agent } = world;
  const args = JSON.stringify({ key: `AKIA${"ABCDEFGHIJKLMNOP"}` });
  const query = () => toolQuery(agent, "search", args);
  const redacted = await runtime.room.decisions.answer(query(), client(), PATIENT);
  assert.equal(redacted.decision, 4);
  assert.equal(redacted.redact?.rules[0]?.fieldPath, "$.AwsAccessKey");
  const careless = client({ applies_redactions: false });
  const denied = await runtime.room.decisions.answer(query(), careless, PATIENT);
  assert.deepEqual([denied.decision, denied.policyRule], [2, "data_pattern_scan"]);
  const spooled = runtime.spool.records.map(({ bytes }) => new TextDecoder().decode(bytes)).join();
  assert.ok(!spooled.includes("AKIA"), "the secret is in no record");
});

Deno.test("trap R13: an approval is waited for without holding anything up, and the repeated question is answered", async () => {
  await using world = await openWorld(
    `tools:
  search: { allow: true }
  deploy: { allow: true, requires_approval_if: 'tool == "deploy"' }
`,
  );
  const { runtime, gateway } = world;
  const pending = await ask(world, "deploy", '{"to":"prod"}');
  assert.equal(pending.decision, 3, pending.reason);
  assert.equal((await ask(world, "search")).decision, 1);
  const service = createClient(ApprovalAdminService, gateway.channel);
  const options = { metadata: gateway.operator };
  const requestId = pending.approvalId;
  const { approval } = await service.getApproval({ requestId }, options);
  const expectedDigest = approval?.digest ?? "";
  await service.approveApproval({ requestId, expectedDigest, reason: "ok" }, options);
  await until(() => runtime.told.approvals.length > 0, "the word");
  assert.equal(runtime.told.approvals[0]?.decision.approvalId, pending.approvalId);
  assert.equal(runtime.told.approvals[0]?.decision.approved, true);
  const granted = await ask(world, "deploy", '{"to":"prod"}');
  assert.deepEqual([granted.decision, granted.approvalId], [1, pending.approvalId]);
  assert.equal((await ask(world, "deploy", '{"to":"prod"}')).decision, 3, "a yes is spent once");
});

Deno.test("whoever can wait gets the answer itself once a person has decided", async () => {
  await using world = await openWorld(
    `tools:
  deploy: { allow: true, requires_approval_if: 'tool == "deploy"' }
`,
  );
  const { runtime, agent, gateway } = world;
  const query = toolQuery(agent, "deploy");
  const { decisions } = runtime.room;
  const pending = await decisions.answer(query, client(), PATIENT);
  const settled = decisions.settle(query, pending, client(), PATIENT);
  const service = createClient(ApprovalAdminService, gateway.channel);
  await service.rejectApproval(
    { requestId: pending.approvalId, reason: "not today" },
    { metadata: gateway.operator },
  );
  const answer = await settled;
  assert.equal(answer.decision, 2, answer.reason);
});

Deno.test("the credential is learned from the first query the gateway answers as this agent's", async () => {
  await using world = await openWorld(POLICY, { knows_token: false });
  const { runtime } = world;
  assert.equal(runtime.room.status().following.state, "no_credential");
  assert.equal((await ask(world, "search")).decision, 1);
  assert.equal(runtime.calls.check, 1);
  await until(() => runtime.room.status().decides_locally, "local authority");
  assert.equal((await ask(world, "search")).decision, 1);
  assert.equal(runtime.calls.check, 1);
});

const BUDGET = `tools: { search: { allow: true, cost_usd: 0.01 } }
budget: { daily_limit_usd: 1 }
`;

Deno.test("leased calls never pass a budget, and what was not used of a lease is given back", async () => {
  await using world = await openWorld(BUDGET);
  const { runtime, agent, gateway } = world;
  let allowed = 0;
  for (let time = 0; time < 130; time++) {
    if ((await ask(world, "search")).decision === 1) allowed++;
    if (time === 5) await until(() => runtime.room.status().leased_calls > 0, "a lease");
  }
  assert.ok(allowed <= 100, `${allowed} calls of a cent within a dollar`);
  assert.ok(runtime.calls.check < 130, "some were decided here");
  await runtime.flush();
  await world.edit(`${BUDGET}# another set: every lease ends\n`);
  await until(() => runtime.room.status().leased_calls === 0, "the end of the leases");
  const service = createClient(LedgerService, gateway.channel);
  const row = async () => {
    const { rows } = await service.getBudgets(
      { scope: "subtree" },
      { metadata: gateway.operator },
    );
    return rows.find((one) => one.id === agent.root_key || rows.length === 1);
  };
  await until(async () => (await row())?.reserved === 0n, "the return");
  assert.equal((await row())?.spent, BigInt(allowed) * 10_000n);
});

Deno.test("rate-limited calls are never more than the limit, leased or not", async () => {
  await using world = await openWorld("tools: { search: { allow: true, limit_per_hour: 160 } }\n");
  const { runtime } = world;
  let allowed = 0;
  for (let time = 0; time < 240; time++) {
    if ((await ask(world, "search")).decision === 1) allowed++;
    if (time === 5) await until(() => runtime.room.status().leased_calls > 0, "a lease");
  }
  assert.ok(allowed <= 160, `${allowed} calls of at most 160`);
  assert.ok(allowed >= 120, `${allowed} calls: leases must not eat the limit`);
});

const RULES: LocalPolicy = {
  state: "loaded",
  path: "/p",
  rules: [{
    name: "no-tools",
    blocked_actions: ["PROCESS_EXEC"],
    requires_approval_actions: [],
    approval_timeout_secs: 300,
  }],
};

Deno.test("interception 10.6 #104: gateway down, fail-closed denies; fail-open asks the local rules, else allows", async () => {
  const closed = await openWorld(POLICY);
  await closed.gateway.gateway.stop("test");
  const denied = await ask(closed, "search");
  assert.equal(denied.decision, 2);
  assert.match(denied.reason, /gateway unreachable.*fail-closed/);
  assert.equal(closed.runtime.room.decisions.epoch(), undefined);
  await closed.runtime[Symbol.asyncDispose]();

  const open = await openWorld(POLICY, { fail_closed: false, local_policy: RULES });
  await open.gateway.gateway.stop("test");
  assert.equal((await ask(open, "bash")).decision, 1, "nothing matched");
  const exec = toolQuery(open.agent, "x", "{}", {
    context: {
      $typeName: "assembly.policy.v1.ActionContext",
      action: {
        case: "processExec",
        value: {
          $typeName: "assembly.policy.v1.ProcessExecContext",
          command: "rm",
          args: [],
        },
      },
    },
  });
  const blocked = await open.runtime.room.decisions.answer(exec, client(), PATIENT);
  assert.deepEqual([blocked.decision, blocked.reason], [2, "blocked by rule: no-tools"]);
  assert.deepEqual(
    open.runtime.spool.decided().map(({ because }) => because),
    ["local_rules", "local_rules"],
  );
  await open.runtime[Symbol.asyncDispose]();

  const bare = await openWorld(POLICY, { fail_closed: false });
  await bare.gateway.gateway.stop("test");
  assert.match((await ask(bare, "search")).reason, /no local policy to fail open to/);
  await bare.runtime[Symbol.asyncDispose]();
});
