/**
 * The engine with parts that are told what to say: what each may change, and what is undone.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { directory } from "../../core/policy/policy_fixture.ts";
import { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import {
  type CheckActionRequest,
  CheckActionRequestSchema,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { AgentIdSchema } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { Fixture } from "../registry/registry_fixture.ts";
import { type Answer, DecisionEngine, InvalidRequest } from "./engine.ts";
import type {
  AnomalyVerdict,
  Answered,
  ApprovalAsk,
  ApprovalOutcome,
  CallTerms,
  EngineParts,
  Reserve,
  ReserveAsk,
} from "./parts.ts";
import { PLAIN_TERMS } from "./parts.ts";

const GATED = `
tools:
  deploy:
    allow: true
    limit_per_hour: 2
    requires_approval_if: tool == "deploy"
  search:
    allow: true
`;

interface Rig {
  readonly fixture: Fixture;
  readonly engine: DecisionEngine;
  readonly buckets: RateBuckets;
  readonly reserved: ReserveAsk[];
  readonly noted: ReserveAsk[];
  readonly asked: ApprovalAsk[];
  readonly told: Answered[];
  released: number;
  policy: PolicySet;
  reserve: Reserve;
  note: Reserve;
  approval: (ask: ApprovalAsk) => Promise<ApprovalOutcome>;
  anomaly: AnomalyVerdict | undefined;
  price: number;
  order: string | undefined;
}

async function rig(absent: readonly (keyof EngineParts)[] = []): Promise<Rig> {
  const fixture = await Fixture.create();
  const buckets = new RateBuckets();
  const on: Omit<Rig, "engine"> & { engine?: DecisionEngine } = {
    fixture,
    buckets,
    reserved: [],
    noted: [],
    asked: [],
    told: [],
    released: 0,
    policy: directory(GATED),
    reserve: { outcome: "free" },
    note: { outcome: "free" },
    approval: () => Promise.reject(new Error("nobody should be asked")),
    anomaly: undefined,
    price: 0,
    order: undefined,
  };
  const reserve = (ask: ReserveAsk): Reserve => {
    on.reserved.push(ask);
    return on.reserve;
  };
  const parts: EngineParts = {
    ledger: {
      spend: () => ({ state: "unavailable" }),
      price: () => on.price,
      reserve,
      note: (ask) => {
        on.noted.push(ask);
        return on.note;
      },
      preview: () => on.reserve,
    },
    approvals: {
      ask: (ask) => {
        on.asked.push(ask);
        return on.approval(ask);
      },
    },
    anomalies: { observe: () => on.anomaly },
    operations: { denial: () => on.order, answered: () => {} },
    observers: [(answered) => {
      on.told.push(answered);
      return undefined;
    }],
  };
  const engine = new DecisionEngine({
    registry: fixture.registry,
    policy: () => on.policy,
    buckets,
    clock: {
      now_ms: () => fixture.now_ms,
      now_ns: () => BigInt(fixture.now_ms) * 1_000_000n,
      monotonic_us: () => fixture.now_ms * 1000,
    },
    parts: Object.fromEntries(
      Object.entries(parts).filter(([name]) => !absent.includes(name as keyof EngineParts)),
    ),
  });
  return Object.assign(on, { engine });
}

function toolCall(
  tool: string,
  { args = {}, ...more }: { readonly credentialToken?: string; readonly args?: unknown } = {},
): CheckActionRequest {
  const call = { toolName: tool, argsJson: new TextEncoder().encode(JSON.stringify(args)) };
  return create(CheckActionRequestSchema, {
    agentId: { orgId: "acme", teamId: "ops", agentId: "agent-1" },
    context: { action: { case: "toolCall", value: call } },
    ...more,
  });
}

function granted(spent = true): () => Promise<ApprovalOutcome> {
  const spend = () => Promise.resolve(spent);
  return () => Promise.resolve({ outcome: "granted", request_id: "r-1", spend });
}

function reservation(on: Rig): Reserve {
  return {
    outcome: "reserved",
    reservation_id: "v-1",
    micro_usd: 7,
    durable: Promise.resolve(),
    release: () => on.released++,
  };
}

function tokensLeft(on: Rig): number {
  const charge = { scope: "anon", bucket: "deploy", limit: 2, window_ms: 3_600_000 };
  return on.buckets.tokens(charge, on.fixture.now_ms);
}

async function shown(answer: Answer | Promise<Answer>): Promise<string> {
  const { response } = await answer;
  return `${response.decision} ${response.policyRule} ${response.reason}`.trim();
}

Deno.test("A1: a held call is allowed once a person agrees, and takes its token only then", async () => {
  const on = await rig();
  let agree = () => {};
  on.approval = () => new Promise((resolve) => agree = () => resolve(granted()() as never));
  const answer = on.engine.answer(toolCall("deploy"));
  assert.ok(answer instanceof Promise);
  assert.equal(tokensLeft(on), 2);
  agree();
  assert.equal(await shown(answer), "1 requires_approval");
  assert.equal((await answer).response.approvalId, "r-1");
  assert.equal(tokensLeft(on), 1);
});

Deno.test("A2-A4: a rejected, timed out or refused approval is a denial with its reason and takes nothing", async () => {
  const on = await rig();
  const outcomes: ApprovalOutcome[] = [
    { outcome: "rejected", request_id: "r", reason: "no" },
    { outcome: "timed_out", request_id: "r", reason: "approval timed out" },
    { outcome: "refused", request_id: "", reason: "approval queue is full" },
  ];
  for (const outcome of outcomes) {
    on.approval = () => Promise.resolve(outcome);
    const reason = "reason" in outcome ? outcome.reason : "";
    assert.equal(
      await shown(on.engine.answer(toolCall("deploy"))),
      `2 requires_approval ${reason}`,
    );
  }
  assert.equal(tokensLeft(on), 2);
  assert.deepEqual(on.reserved, [], "nobody's money is touched before a person agrees");
});

Deno.test("a deferred call is PENDING with a token to come back with", async () => {
  const on = await rig();
  on.approval = () =>
    Promise.resolve({
      outcome: "pending",
      request_id: "r-2",
      resume_token: "come-back",
      expires_at_ms: 1,
    });
  const terms: CallTerms = { ...PLAIN_TERMS, approval: "defer" };
  const answer = await on.engine.answer(toolCall("deploy"), terms);
  assert.equal(answer.response.decision, 3);
  assert.equal(answer.response.approvalId, "r-2");
  assert.equal(answer.resume_token, "come-back");
  assert.equal(on.asked[0]?.terms.approval, "defer");
});

Deno.test("trap 14: without an approval queue a held call is denied by name", async () => {
  const on = await rig(["approvals"]);
  const answer = on.engine.answer(toolCall("deploy"));
  assert.equal(await shown(answer), "2 requires_approval approval unavailable");
});

Deno.test("trap 8: what became forbidden while a person thought stays forbidden, and the grant unspent", async () => {
  const on = await rig();
  let spent = 0;
  on.approval = () => {
    on.policy = directory("tools: { deploy: { allow: false } }");
    return Promise.resolve({
      outcome: "granted",
      request_id: "r",
      spend: () => {
        spent++;
        return Promise.resolve(true);
      },
    });
  };
  assert.equal(
    await shown(on.engine.answer(toolCall("deploy"))),
    "2 tool denied by policy tool denied by policy",
  );
  assert.equal(spent, 0);
});

Deno.test("a grant fits the policy and price it was given for, and no other", async () => {
  for (const change of ["policy", "price"] as const) {
    const on = await rig();
    on.approval = () => {
      if (change === "policy") {
        on.policy = directory(GATED.replace("limit_per_hour: 2", "limit_per_hour: 3"));
      } else on.price = 1;
      return granted()();
    };
    const answer = await shown(on.engine.answer(toolCall("deploy")));
    assert.match(answer, /^2 requires_approval approval no longer fits/, change);
  }
});

Deno.test("an agent suspended while a person thought is denied", async () => {
  const on = await rig();
  const { agent, credential_token } = await on.fixture.register("agent-1");
  on.approval = async () => {
    await on.fixture.registry.suspend(agent.key, "odd");
    return granted()();
  };
  const request = toolCall("deploy", { credentialToken: credential_token });
  assert.equal(await shown(on.engine.answer(request)), "2 agent suspended agent suspended");
});

Deno.test("a grant that another call spent first refuses, and gives back money and token", async () => {
  const on = await rig();
  on.reserve = reservation(on);
  on.approval = granted(false);
  const answer = await shown(on.engine.answer(toolCall("deploy")));
  assert.match(answer, /^2 requires_approval approval already used/);
  assert.equal(on.released, 1);
  assert.equal(tokensLeft(on), 2);
});

Deno.test("a grant that cannot be spent on disk gives no answer, and gives back money and token", async () => {
  const on = await rig();
  on.reserve = reservation(on);
  const spend = () => Promise.reject(new Error("disk full"));
  on.approval = () => Promise.resolve({ outcome: "granted", request_id: "r-1", spend });
  await assert.rejects(Promise.resolve(on.engine.answer(toolCall("deploy"))), /disk full/);
  assert.equal(on.released, 1);
  assert.equal(tokensLeft(on), 2);
});

Deno.test("a call the ledger refuses is denied in the ledger's words and costs no token", async () => {
  const on = await rig();
  on.reserve = { outcome: "denied", reason: "daily budget exceeded", suspend: true, detail: "" };
  on.approval = granted();
  assert.equal(
    await shown(on.engine.answer(toolCall("deploy"))),
    "2 daily budget exceeded daily budget exceeded",
  );
  assert.equal(tokensLeft(on), 2);
  assert.equal(
    await shown(on.engine.simulate(toolCall("search"))),
    await shown(on.engine.answer(toolCall("search"))),
  );
});

Deno.test("an answer that cannot leave gives back what it took", async () => {
  const on = await rig();
  on.reserve = reservation(on);
  on.approval = granted();
  const answer = await on.engine.answer(toolCall("deploy"));
  assert.equal(answer.reservation_id, "v-1");
  assert.equal(answer.durable.length, 1);
  answer.abandon();
  assert.equal(on.released, 1);
  assert.equal(tokensLeft(on), 2);
});

Deno.test("detectors may hold, throttle or quarantine what policy allows, and say why", async () => {
  const on = await rig();
  const seen = { detector: "behavior_spike", reason: "90 calls, usually 3" };
  on.anomaly = { ...seen, response: "alert" };
  assert.equal(await shown(on.engine.answer(toolCall("search"))), "1");
  on.anomaly = { ...seen, response: "throttle" };
  assert.equal(
    await shown(on.engine.answer(toolCall("search"))),
    "2 anomaly_detection anomaly detected (behavior_spike): 90 calls, usually 3 — blocked by anomaly responder",
  );
  on.anomaly = { ...seen, response: "require_approval" };
  on.approval = granted();
  assert.equal(await shown(on.engine.answer(toolCall("search"))), "1 requires_approval");
  assert.equal(on.asked[0]?.asked_by, "anomaly");
  const { agent, credential_token } = await on.fixture.register("agent-1");
  on.anomaly = { ...seen, response: "quarantine" };
  const answer = await on.engine.answer(toolCall("search", { credentialToken: credential_token }));
  assert.deepEqual(answer.suspend, { key: agent.key, cause: "anomaly" });
});

Deno.test("an observed agent is asked for nobody's word, and its refusals are only noted", async () => {
  const on = await rig();
  const { agent, credential_token } = await on.fixture.register("agent-1");
  const expires_at_ms = on.fixture.now_ms + 1000;
  await on.fixture.registry.setEnforcementMode(
    [agent.key],
    { mode: "observe", expires_at_ms, reason: "trial" },
    "trial",
    { kind: "operator", name: "op" },
  );
  const answer = await on.engine.answer(toolCall("deploy", { credentialToken: credential_token }));
  assert.equal(answer.response.decision, 1);
  assert.match(answer.entry.payload, /"shadow_decision":"pending"/);
  assert.deepEqual(on.asked, []);
  assert.equal(on.told.at(-1)?.shadowed, true);
});

Deno.test("trap 10: conditions on the agent read the registry, so a root's call passes and a child's waits", async () => {
  const on = await rig();
  on.policy = directory(
    "tools: { deploy: { allow: true, requires_approval_if: agent.depth > 0 } }",
  );
  on.approval = granted();
  const root = await on.fixture.register("agent-1");
  const child = await on.fixture.register("agent-2", { parent_agent_id: "agent-1" });
  const asked = (agentId: string, credentialToken: string) => {
    const request = toolCall("deploy", { credentialToken });
    request.agentId = create(AgentIdSchema, { orgId: "acme", teamId: "ops", agentId });
    return shown(on.engine.answer(request));
  };
  assert.equal(await asked("agent-1", root.credential_token), "1");
  assert.equal(await asked("agent-2", child.credential_token), "1 requires_approval");
});

Deno.test("trap 13: a condition on the method reads the method a tool is called with", async () => {
  const on = await rig();
  on.policy = directory(
    `tools: { http: { allow: true, requires_approval_if: 'method == "DELETE"' } }`,
  );
  on.approval = granted();
  const asked = (method: string) => shown(on.engine.answer(toolCall("http", { args: { method } })));
  assert.equal(await asked("GET"), "1");
  assert.equal(await asked("DELETE"), "1 requires_approval");
});

Deno.test("an operator's order denies whatever policy and mode say, also one given while a person thought", async () => {
  const on = await rig();
  const { agent, credential_token } = await on.fixture.register("agent-1");
  await on.fixture.registry.setEnforcementMode(
    [agent.key],
    { mode: "observe", expires_at_ms: on.fixture.now_ms + 1000, reason: "trial" },
    "trial",
    { kind: "operator", name: "op" },
  );
  on.order = "agent paused by an operator";
  const request = toolCall("search", { credentialToken: credential_token });
  const stop = "agent paused by an operator";
  const denied = `2 ${stop} ${stop}`;
  assert.equal(await shown(on.engine.answer(request)), denied);
  assert.equal(await shown(on.engine.simulate(request)), denied);
  on.order = undefined;
  on.approval = () => {
    on.order = "agent paused by an operator";
    return granted()();
  };
  on.fixture.now_ms += 2000;
  const held = toolCall("deploy", { credentialToken: credential_token });
  assert.equal(await shown(on.engine.answer(held)), denied);
});

Deno.test("the explanation names the part that refused, its numbers and what would help", async () => {
  const on = await rig();
  on.reserve = {
    outcome: "denied",
    reason: "daily budget exceeded",
    suspend: false,
    detail: "agent: 0.03 USD spent, 0.05 USD are the limit",
  };
  const budget = (await on.engine.answer(toolCall("search"))).explain();
  assert.equal(budget.outcome, "deny");
  assert.match(budget.summary, /^Denied: daily budget exceeded: agent: 0\.03 USD spent/);
  assert.deepEqual(budget.considered.at(-1), {
    stage: "budget",
    result: "deny",
    detail: "agent: 0.03 USD spent, 0.05 USD are the limit",
  });
  assert.deepEqual(budget.changes.map((change) => change.who), ["agent"]);
  on.reserve = { outcome: "free" };
  on.anomaly = { detector: "loop_runaway", reason: "50 equal calls", response: "throttle" };
  const anomaly = (await on.engine.answer(toolCall("search"))).explain();
  assert.equal(anomaly.considered.at(-1)?.stage, "anomaly");
  on.anomaly = undefined;
  on.approval = () => Promise.resolve({ outcome: "rejected", request_id: "r", reason: "no" });
  const approval = (await on.engine.answer(toolCall("deploy"))).explain();
  assert.equal(approval.outcome, "deny");
  const steps = approval.considered.filter((step) => step.stage === "approval");
  assert.deepEqual(steps.map((step) => step.result), ["require_approval", "deny"]);
  assert.match(approval.summary, /tools\.deploy\.requires_approval_if/);
});

Deno.test("an observed agent's call is charged though a limit would refuse it, and refused when nothing can be counted", async () => {
  const on = await rig();
  const { agent, credential_token } = await on.fixture.register("agent-1");
  await on.fixture.registry.setEnforcementMode(
    [agent.key],
    { mode: "observe", expires_at_ms: on.fixture.now_ms + 1000, reason: "trial" },
    "trial",
    { kind: "operator", name: "op" },
  );
  const request = toolCall("search", { credentialToken: credential_token });
  on.reserve = { outcome: "denied", reason: "daily budget exceeded", suspend: true, detail: "" };
  on.note = reservation(on);
  const answer = await on.engine.answer(request);
  assert.equal(answer.response.decision, 1);
  assert.match(answer.entry.payload, /"shadow_reason":"daily budget exceeded"/);
  assert.equal(answer.reservation_id, "v-1");
  assert.equal(answer.durable.length, 1);
  assert.equal(on.noted.length, 1);
  const gone = "budget ledger unavailable";
  on.reserve = { outcome: "denied", reason: gone, suspend: false, detail: "damaged" };
  on.note = on.reserve;
  assert.equal(await shown(on.engine.answer(request)), `2 ${gone} ${gone}`);
});

Deno.test("watchers are told of every answer, and a simulation tells and takes nothing", async () => {
  const on = await rig();
  on.engine.simulate(toolCall("search"));
  assert.equal(on.told.length, 0);
  assert.equal((on.engine.simulate(toolCall("deploy"))).response.decision, 3);
  await on.engine.answer(toolCall("search"));
  assert.equal(on.told.length, 1);
  assert.equal(on.told[0]?.wire_decision, 1);
  assert.throws(() => on.engine.check(create(CheckActionRequestSchema, {})), InvalidRequest);
});
