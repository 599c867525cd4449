/** What the room answers when the gateway is away, slow, another one, or not honest. */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { gateway as wire, policy, runtime } from "../../proto/mod.ts";
import { ManualTimers, SeenMetrics, turns, until } from "../_fixture.ts";
import { answer, AWAY, FakeGateway, LATE, NOT_OFFERED } from "./_fake_gateway.ts";
import { type Asker, client, MemorySpool, PATIENT, Told, toolQuery } from "./_fixture.ts";
import type { LocalPolicy } from "./fallback.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { type OpenDecisions, openDecisions, type OpenDecisionsOptions } from "./open.ts";
import { SYSTEM_TIMERS } from "../timers.ts";

const AGENT: Asker = { org: "o", team: "t", did: "did:key:zA", token: "secret-token" };
const TEXT = "tools: { search: { allow: true }, bash: { allow: false } }\n";
const MISSING: LocalPolicy = { state: "missing", path: "/none" };

interface World extends AsyncDisposable {
  readonly room: OpenDecisions;
  readonly gateway: FakeGateway;
  readonly spool: MemorySpool;
  readonly told: Told;
  readonly metrics: SeenMetrics;
  ask(tool?: string, more?: Parameters<typeof toolQuery>[3]): Promise<policy.CheckActionResponse>;
}

function open(
  more: {
    readonly local_policy?: LocalPolicy;
    readonly fail_closed?: boolean;
    readonly no_gateway?: boolean;
    readonly timers?: OpenDecisionsOptions["timers"];
    readonly prepare?: (gateway: FakeGateway) => void;
  } = {},
): World {
  const gateway = new FakeGateway(AGENT, TEXT);
  more.prepare?.(gateway);
  const spool = new MemorySpool();
  const told = new Told();
  const metrics = new SeenMetrics();
  const room = openDecisions({
    name: { org_id: AGENT.org, team_id: AGENT.team, agent_id: AGENT.did },
    credential_token: AGENT.token,
    version: "1",
    ...(more.no_gateway ? {} : {
      gateway: { part: gateway, timeout_ms: 5_000, fail_closed: more.fail_closed ?? true },
    }),
    local_policy: more.local_policy ?? MISSING,
    ...{ spool, pipeline: told, messages: told, metrics },
    timers: more.timers ?? SYSTEM_TIMERS,
  });
  return {
    ...{ room, gateway, spool, told, metrics },
    ask: (tool = "search", fields = {}) =>
      room.decisions.answer(toolQuery(AGENT, tool, "{}", fields), client(), PATIENT),
    [Symbol.asyncDispose]: () => room[Symbol.asyncDispose](),
  };
}

const following = (world: World) =>
  until(() => world.room.status().decides_locally, "local authority");

Deno.test("trap R11: without a gateway and without a policy file everything is denied, as unconfigured", async () => {
  for (const local_policy of [MISSING, { state: "disabled" } as const]) {
    await using world = open({ no_gateway: true, local_policy });
    const denied = await world.ask();
    assert.deepEqual([denied.decision, denied.policyRule], [2, "unconfigured"]);
    assert.match(denied.reason, /AA_GATEWAY_ENDPOINT/);
    assert.equal(world.spool.decided()[0]?.because, "unconfigured");
    assert.equal(world.room.decisions.epoch(), undefined);
  }
});

Deno.test("trap R12: orders can be given at the runtime itself, without any gateway", async () => {
  const rules: LocalPolicy = { state: "loaded", path: "/p", rules: [] };
  await using world = open({ no_gateway: true, local_policy: rules });
  assert.equal((await world.ask()).decision, 1);
  world.room.order("trace:span", "terminate");
  assert.match((await world.ask()).reason, /^OpTerminatedError/);
  assert.equal((await world.ask("search", { spanId: "other" })).decision, 1);
  world.room.order("*", "pause");
  const held = world.ask("search", { spanId: "other" });
  await turns();
  world.room.order("*", "resume");
  assert.equal((await held).decision, 1);
});

Deno.test("trap R7: nothing is answered from an earlier answer, and an invalidation ends every epoch", async () => {
  await using world = open({ prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED });
  const { gateway, room, told } = world;
  await world.ask();
  await world.ask();
  assert.equal(gateway.checks.length, 2, "each is asked");
  await until(() => gateway.subscriptions.length === 1, "the subscription");
  gateway.onCheck = () =>
    Promise.resolve({ response: answer(3, { approvalId: "a1" }), resume_token: "r1" });
  assert.equal((await world.ask()).decision, 3);
  const { feed, requests } = gateway.subscriptions[0] ?? assert.fail("no subscription");
  feed.send(create(wire.InvalidationEventSchema, {
    seq: 1n,
    payload: {
      case: "approvalResolved",
      value: { requestId: "a1", decision: wire.Decision.APPROVED },
    },
  }));
  await until(() => told.approvals.length === 1, "the decision");
  assert.deepEqual(
    [told.approvals[0]?.connection, told.approvals[0]?.decision.approved],
    [1, true],
  );
  await world.ask();
  assert.equal(gateway.resumes.at(-1), "r1", "the same question carries its token");
  feed.end();
  await until(() => gateway.subscriptions.length === 2, "a clean close reconnects at once");
  await until(() => gateway.subscriptions[1]?.requests.length === 1, "its first request");
  const again = gateway.subscriptions[1]?.requests[0];
  assert.equal(again?.kind.case === "initial" ? again.kind.value.lastSeqSeen : undefined, 1n);
  assert.deepEqual(requests.map(({ kind }) => kind.case), ["initial", "ack"]);
  assert.equal(room.decisions.epoch(), undefined);
});

Deno.test("against a gateway that pushes nothing, its operators' signals still halt and hold", async () => {
  await using world = open({ prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED });
  const { gateway, room } = world;
  await until(() => gateway.order_feeds.length === 1, "the stream of orders");
  const send = (opId: string, signal: policy.OpControlSignal) =>
    gateway.order_feeds[0]?.send(
      create(policy.OpControlMessageSchema, { opId, signal, sequence: 0n }),
    );
  send("trace:span", policy.OpControlSignal.PAUSE);
  await until(() => room.status().orders === 1, "the pause");
  let answered = false;
  const held = world.ask().finally(() => answered = true);
  assert.equal((await world.ask("search", { spanId: "x" })).decision, 1);
  assert.equal(answered, false);
  send("trace:span", policy.OpControlSignal.RESUME);
  assert.equal((await held).decision, 1);
  send(`agent:${AGENT.did}`, policy.OpControlSignal.TERMINATE);
  await until(() => room.status().orders === 1, "the termination");
  send(`agent:${AGENT.did}`, policy.OpControlSignal.RESUME);
  await turns();
  assert.match((await world.ask()).reason, /^OpTerminatedError/);
});

Deno.test("a stream that fails is opened again after 1, 2, 4 … 32 seconds", async () => {
  const timers = new ManualTimers();
  await using world = open({
    timers,
    prepare: (gateway) => gateway.follow_refusal = AWAY,
  });
  const { gateway } = world;
  await turns();
  for (const wait_ms of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000]) {
    const before = gateway.follows.length;
    await timers.pass(wait_ms - 1);
    assert.equal(gateway.follows.length, before, `${wait_ms} ms are not over`);
    await timers.pass(1);
    assert.equal(gateway.follows.length, before + 1, `after ${wait_ms} ms`);
  }
});

Deno.test("no verdict, and one that nobody knows, are denials", async () => {
  await using world = open({ prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED });
  for (const decision of [0, 77]) {
    world.gateway.onCheck = () => Promise.resolve({ response: answer(decision) });
    const denied = await world.ask();
    assert.equal(denied.decision, 2);
    assert.match(denied.reason, /no verdict/);
  }
});

Deno.test("losing the stream ends local decisions at once, whatever authority was left", async () => {
  await using world = open();
  const { gateway, room } = world;
  await following(world);
  assert.equal((await world.ask()).decision, 1);
  assert.equal(gateway.checks.length, 0);
  gateway.follow_refusal = AWAY;
  gateway.onCheck = () => Promise.reject(AWAY);
  gateway.follows.at(-1)?.end(AWAY);
  await until(() => !room.status().decides_locally, "the end of the authority");
  const denied = await world.ask();
  assert.match(denied.reason, /gateway unreachable: denied by fail-closed/);
  assert.equal(world.spool.decided().at(-1)?.because, "gateway_away");
  assert.equal(world.told.events.length, 1);
  const [told] = world.told.origins;
  assert.ok(told?.source === "runtime", "it is the runtime's word, not a client's claim");
  assert.equal(told.connection?.id, 1);
});

Deno.test("a gateway that falls silent ends local decisions before it could think they still go on", async () => {
  const timers = new ManualTimers();
  await using world = open({ timers });
  const { gateway, room } = world;
  await until(async () => {
    await timers.pass(10);
    return room.status().decides_locally;
  }, "authority");
  gateway.answering = false;
  await turns();
  let passed_ms = 0;
  while (room.status().decides_locally) {
    await timers.pass(50);
    passed_ms += 50;
  }
  assert.ok(passed_ms <= gateway.authority_ms, `${passed_ms} ms`);
  assert.equal(room.decisions.epoch(), undefined);
  gateway.answering = true;
  await until(async () => {
    await timers.pass(100);
    return room.status().decides_locally;
  }, "authority again");
});

Deno.test("an agent of the same id in another organisation, or any other, does not become this runtime's", async () => {
  await using world = open();
  const { gateway, room } = world;
  await following(world);
  gateway.onCheck = () => Promise.resolve({ response: answer(1) });
  const strangers: Asker[] = [
    { ...AGENT, org: "evil", token: "its-own" },
    { ...AGENT, team: "evil", token: "its-own" },
    { ...AGENT, did: "did:key:zEvil", token: "its-own" },
  ];
  for (const stranger of strangers) {
    const query = toolQuery(stranger, "search");
    assert.equal((await room.decisions.answer(query, client(), PATIENT)).decision, 1);
  }
  await turns();
  assert.equal(gateway.follows.length, 1, "still followed with the agent's own credential");
  // Its own new credential is taken: the agent has registered anew.
  const renewed = toolQuery({ ...AGENT, token: "renewed" }, "search");
  await room.decisions.answer(renewed, client(), PATIENT);
  await until(() => gateway.follows.length === 2, "following with the new credential");
});

const LIES: Readonly<Record<string, (gateway: FakeGateway) => runtime.RuntimeSnapshot>> = {
  "its epoch went back": (gateway) => gateway.snapshot({ epoch: 1n }),
  "does not compile": (gateway) => gateway.snapshot({}, "tools: [what]\n"),
  "is not the one its digest names": (gateway) => {
    const lie = gateway.snapshot();
    const [document] = lie.policy?.documents ?? [];
    if (document !== undefined) document.source = new TextEncoder().encode("{}\n");
    return lie;
  },
  "it is about another agent": (gateway) => {
    const lie = gateway.snapshot();
    if (lie.principal?.agentId !== undefined) lie.principal.agentId.agentId = "did:key:zB";
    return lie;
  },
  "it is about another credential": (gateway) => {
    const lie = gateway.snapshot();
    if (lie.principal !== undefined) lie.principal.tokenSha256 = new Uint8Array(32);
    return lie;
  },
  "the status of its agent is unknown": (gateway) => {
    const lie = gateway.snapshot();
    if (lie.principal !== undefined) lie.principal.status = "blessed";
    return lie;
  },
  "one of its orders is none": (gateway) =>
    gateway.snapshot({
      orders: [create(runtime.RuntimeOrderSchema, { opId: "*", signal: "allow" })],
    }),
  "its gateway became another": (gateway) => gateway.snapshot({ gatewayId: crypto.randomUUID() }),
};

Deno.test("a gateway that contradicts itself is distrusted by name: all is denied until it says something whole", async () => {
  for (const [name, lie] of Object.entries(LIES)) {
    await using world = open();
    const { gateway, room } = world;
    await following(world);
    gateway.first = lie(gateway);
    gateway.push(gateway.first);
    await until(() => room.status().following.state === "distrusted", name);
    const denied = await world.ask();
    assert.equal(denied.decision, 2, name);
    assert.match(denied.reason, new RegExp(`gateway distrusted: .*${name}`));
    assert.equal(gateway.checks.length, 0, "nothing is asked of it");
    gateway.first = undefined;
    await until(() => room.status().decides_locally, "a whole snapshot");
    assert.equal((await world.ask()).decision, 1);
  }
});

Deno.test("a snapshot that keeps the policy is in force under its own epoch, and may not be replayed", async () => {
  await using world = open();
  const { gateway, room } = world;
  await following(world);
  const { policy: _, ...later } = gateway.snapshot();
  gateway.push(create(runtime.RuntimeSnapshotSchema, later));
  await until(() => gateway.acknowledged === later.epoch, "its acknowledgement");
  assert.equal((await world.ask()).decision, 1);
  assert.equal(world.spool.decided().at(-1)?.epoch, later.epoch);
  gateway.first = create(runtime.RuntimeSnapshotSchema, later);
  gateway.push(gateway.first);
  await until(() => room.status().following.state === "distrusted", "the replay");
});

Deno.test("a lease larger than was asked for is a lie, too", async () => {
  await using world = open({
    prepare: (gateway) => {
      gateway.first = gateway.snapshot(
        {},
        "tools: { search: { allow: true, limit_per_hour: 999 } }\n",
      );
      gateway.onLease = ({ asks }) =>
        create(runtime.LeaseResponseSchema, {
          grants: asks.map(({ classId, calls }) => ({
            classId,
            leaseId: crypto.randomUUID(),
            calls: calls + 1,
            lastsMs: 10_000,
          })),
        });
    },
  });
  const { room, gateway } = world;
  await following(world);
  gateway.answering = false;
  for (let time = 0; time < DECISION_LIMITS.lease_hot_calls; time++) await world.ask();
  await until(() => room.status().following.state === "distrusted", "the lie");
  assert.match((await world.ask()).reason, /leased more calls than it was asked for/);
});

Deno.test("a slow gateway denies what waited for it, and holds nothing else up", async () => {
  await using world = open();
  await following(world);
  world.gateway.onCheck = () => Promise.reject(LATE);
  const forwarded = await world.room.decisions.answer(
    toolQuery({ ...AGENT, token: "another" }, "search"),
    client(),
    PATIENT,
  );
  assert.match(forwarded.reason, /fail-closed/);
  assert.equal(world.metrics.count("aa_gateway_policy_query_timeouts_total"), 1);
  assert.equal((await world.ask()).decision, 1);
});

Deno.test("failing open is for a gateway that is away, never for a query that it turns down", async () => {
  const rules: LocalPolicy = { state: "loaded", path: "/p", rules: [] };
  await using world = open({
    fail_closed: false,
    local_policy: rules,
    prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED,
  });
  world.gateway.onCheck = () =>
    Promise.reject(new GrpcError("context: is missing", Code.INVALID_ARGUMENT));
  assert.equal((await world.ask()).decision, 2);
  world.gateway.onCheck = () => Promise.reject(AWAY);
  assert.equal((await world.ask()).decision, 1);
});

Deno.test("what a gateway says of a query it turns down is kept without the secrets it repeats", async () => {
  await using world = open({ prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED });
  const key = `AKIA${"IOSFODNN7EXAMPL1"}`;
  world.gateway.onCheck = () =>
    Promise.reject(new GrpcError(`tool_name: received ${key}`, Code.INVALID_ARGUMENT));
  assert.equal((await world.ask()).decision, 2);
  const kept = world.spool.decided().at(-1);
  assert.equal(kept?.because, "gateway_refused");
  assert.ok(!kept.reason.includes(key), kept.reason);
});

Deno.test("nothing is forgotten that a gateway says it has of records that were never sent", async () => {
  await using world = open();
  world.gateway.onReport = () => create(runtime.ReportResponseSchema, { durableThrough: 9n });
  await following(world);
  await world.ask();
  const { sink } = world.room;
  const delivering = sink?.deliver(world.spool.id, world.spool.records, PATIENT);
  await assert.rejects(async () => await delivering, /has records of this spool up to `9`/);
});

Deno.test("a spool that cannot keep evidence sends queries to the gateway; without one only a denial is left", async () => {
  const rules: LocalPolicy = { state: "loaded", path: "/p", rules: [] };
  await using world = open({ fail_closed: false, local_policy: rules });
  await following(world);
  world.spool.failing = "spool full";
  assert.equal((await world.ask()).decision, 1);
  assert.equal(world.gateway.checks.length, 1, "the gateway keeps its own evidence");
  world.gateway.onCheck = () => Promise.reject(AWAY);
  const denied = await world.ask();
  assert.deepEqual([denied.decision, denied.policyRule], [2, "evidence_unavailable"]);
});

Deno.test("queries at the gateway are bounded; further ones wait, and none is lost", async () => {
  await using world = open({ prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED });
  const { gateway } = world;
  const release = Promise.withResolvers<void>();
  let most = 0;
  let now = 0;
  gateway.onCheck = async () => {
    most = Math.max(most, ++now);
    await release.promise;
    now--;
    return { response: answer(1) };
  };
  const many = Array.from({ length: DECISION_LIMITS.forwarded_queries + 50 }, () => world.ask());
  await turns();
  assert.equal(most, DECISION_LIMITS.forwarded_queries);
  const gone = new AbortController();
  const given_up = world.room.decisions.answer(toolQuery(AGENT, "search"), client(), gone.signal);
  await turns();
  gone.abort();
  assert.equal((await given_up).decision, 2, "whose client is gone does not wait on");
  release.resolve();
  assert.ok((await Promise.all(many)).every(({ decision }) => decision === 1));
  assert.equal(most, DECISION_LIMITS.forwarded_queries);
});

Deno.test("an answer may be given again only when nothing but the epoch could change it", async () => {
  const texts: Readonly<Record<string, boolean>> = {
    [TEXT]: true,
    "schedule: { active_hours: { start: '00:00', end: '24:00', timezone: UTC } }\n": false,
  };
  for (const [text, repeatable] of Object.entries(texts)) {
    await using world = open({
      prepare: (gateway) => gateway.first = gateway.snapshot({}, text),
    });
    await following(world);
    const broker = { source: "broker", pid: 1 } as const;
    const { decisions } = world.room;
    const response = await decisions.answer(toolQuery(AGENT, "search"), broker, PATIENT);
    assert.equal(response.decision, 1, response.reason);
    assert.equal(world.gateway.checks.length, 0, text);
    assert.equal(decisions.repeatable(response), repeatable, text);
  }
  await using world = open({ prepare: (gateway) => gateway.follow_refusal = NOT_OFFERED });
  assert.equal(world.room.decisions.repeatable(await world.ask()), false, "forwarded");
});

Deno.test("what depends on other agents, a person or a detector is the gateway's to decide", async () => {
  const texts = [
    "tools: { search: { allow: true, requires_approval_if: 'team.active_agents > 3' } }\n",
    "tools: { search: { allow: true, requires_approval_if: 'tool == \"search\"' } }\n",
    "anomaly: { loop_runaway: throttle }\n",
    "tools: { search: { allow: true, limit_per_hour: 100 } }\n",
    "budget: { daily_limit_usd: 1 }\n",
  ];
  for (const text of texts) {
    await using world = open({
      prepare: (gateway) => gateway.first = gateway.snapshot({}, text),
    });
    await following(world);
    await world.ask();
    assert.equal(world.gateway.checks.length, 1, text);
    assert.equal(world.spool.records.length, 0, text);
  }
});

Deno.test("an approval by local rules ends with its timeout, as a no, told to who asked", async () => {
  const timers = new ManualTimers();
  const rule = {
    name: "ask",
    blocked_actions: [],
    requires_approval_actions: ["TOOL_CALL"],
    approval_timeout_secs: 300,
  };
  const local_policy: LocalPolicy = { state: "loaded", path: "/p", rules: [rule] };
  await using world = open({ no_gateway: true, timers, local_policy });
  const pending = await world.ask();
  assert.equal(pending.decision, 3);
  await timers.pass(299_999);
  assert.equal(world.told.approvals.length, 0);
  await timers.pass(1);
  const [told] = world.told.approvals;
  assert.deepEqual(
    [told?.decision.approvalId, told?.decision.approved, told?.decision.reason],
    [pending.approvalId, false, "approval timed out"],
  );
});

Deno.test("evidence in the spool holds no argument of a call", async () => {
  await using world = open();
  await following(world);
  const query = toolQuery(AGENT, "search", '{"q":"a very private thing"}');
  await world.room.decisions.answer(query, client(), PATIENT);
  const [record] = world.spool.records;
  const text = new TextDecoder().decode(record?.bytes);
  assert.ok(!text.includes("private") && !text.includes(AGENT.token));
  assert.equal(world.spool.decided()[0]?.contentTag.length, 8);
});
