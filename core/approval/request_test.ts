import assert from "node:assert/strict";
import fc from "fast-check";
import { type Approver, mayDecide } from "./approver.ts";
import { type BoundCall, differingParts, digestCall, exactAction } from "./bound_call.ts";
import { readConditions } from "./condition.ts";
import { readRequest, writeRequest } from "./record.ts";
import {
  advance,
  answerRequest,
  type ApprovalRequest,
  fitsGrant,
  forwardRequest,
  revokeRequest,
  spendGrant,
  type Transition,
} from "./request.ts";
import {
  agent,
  CALL,
  no,
  NOON_MS,
  operator,
  REQUESTER,
  requestOf,
  rowOf,
  yesTo,
} from "./request_fixture.ts";
import { readRouting, routeFor } from "./routing.ts";

const AT_MS = NOON_MS + 1_000;

function done(transition: Transition): ApprovalRequest {
  assert.ok(transition.ok, JSON.stringify(transition));
  return transition.request;
}

function code(transition: Transition): string {
  return transition.ok ? `ok: ${transition.request.state.status}` : transition.code;
}

function approved(conditions: readonly string[] = []): ApprovalRequest {
  const request = requestOf();
  return done(answerRequest(request, operator("alice"), yesTo(request, conditions), AT_MS));
}

Deno.test("A2: a rejection without a reason is an error and changes nothing", () => {
  const request = requestOf();
  const refused = answerRequest(request, operator("alice"), no("  "), AT_MS);
  assert.equal(code(refused), "invalid");
  assert.ok(!refused.ok && refused.message.startsWith("reason: is missing"));
  assert.deepEqual(request, requestOf());
});

Deno.test("A5: a second decision is refused as already decided", () => {
  const request = approved();
  assert.equal(code(answerRequest(request, operator("bob"), no(), AT_MS)), "already_decided");
  const rejected = done(answerRequest(requestOf(), operator("alice"), no(), AT_MS));
  assert.equal(
    code(answerRequest(rejected, operator("bob"), yesTo(rejected), AT_MS)),
    "already_decided",
  );
});

Deno.test("A6: an agent cannot decide its own request, however it is registered", () => {
  const request = requestOf();
  const itself = agent("x", { key: REQUESTER.key });
  assert.equal(code(answerRequest(request, itself, yesTo(request), AT_MS)), "self_approval");
  const twin = agent("a1", { key: "be".repeat(16) });
  assert.equal(code(answerRequest(request, twin, yesTo(request), AT_MS)), "self_approval");
});

Deno.test("trap 37: no ancestor, descendant or sibling decides; another agent of the team does", () => {
  const request = requestOf();
  const root_key = REQUESTER.root_key ?? "";
  const kin: Approver[] = [
    agent("parent", { key: root_key, root_key }),
    agent("child", { root_key, ancestors: [REQUESTER.key, root_key] }),
    agent("sibling", { root_key, ancestors: [root_key] }),
    // Promoted to a root of its own, and still spawned by the requester.
    agent("orphan", { ancestors: [REQUESTER.key] }),
  ];
  for (const approver of kin) {
    assert.equal(code(answerRequest(request, approver, yesTo(request), AT_MS)), "lineage");
  }
  assert.equal(code(answerRequest(request, agent("peer"), yesTo(request), AT_MS)), "ok: approved");
});

Deno.test("trap 37: a request without a team is not open to agents, nor one of another team", () => {
  const { team_id: _none, ...teamless } = REQUESTER;
  const request = requestOf({ requester: teamless });
  assert.equal(request.routing_status, "routed_to_org_admin");
  for (const team_id of ["t1", ""]) {
    assert.equal(
      code(answerRequest(request, agent("p", { team_id }), yesTo(request), AT_MS)),
      "other_tenant",
    );
  }
  const own = requestOf();
  for (const change of [{ team_id: "t2" }, { org_id: "o2" }]) {
    assert.equal(code(answerRequest(own, agent("p", change), yesTo(own), AT_MS)), "other_tenant");
  }
  const bound: Approver = { kind: "operator", name: "eve", role: "org_admin", org_id: "o2" };
  assert.equal(code(answerRequest(own, bound, yesTo(own), AT_MS)), "other_tenant");
});

Deno.test("trap 37: an agent that only says which team it is of decides nothing for an enrolled one", () => {
  const request = requestOf({ requester: { ...REQUESTER, enrolled: true } });
  const stranger = agent("peer");
  assert.equal(code(answerRequest(request, stranger, yesTo(request), AT_MS)), "other_tenant");
  const member = agent("peer", { enrolled: true });
  assert.equal(code(answerRequest(request, member, yesTo(request), AT_MS)), "ok: approved");
});

Deno.test("trap 37: a role below the routed one, and a name off the list, may not decide", () => {
  const request = requestOf();
  const developer = operator("dev", "developer");
  assert.equal(code(answerRequest(request, developer, yesTo(request), AT_MS)), "wrong_role");
  const named = requestOf({}, [rowOf({ team_id: "t1", approvers: ["alice", "agent:peer"] })]);
  assert.equal(code(answerRequest(named, operator("bob"), yesTo(named), AT_MS)), "wrong_role");
  assert.equal(code(answerRequest(named, agent("other"), yesTo(named), AT_MS)), "agents_excluded");
  assert.equal(code(answerRequest(named, agent("peer"), yesTo(named), AT_MS)), "ok: approved");
  const alice = operator("alice", "developer");
  assert.equal(code(answerRequest(named, alice, yesTo(named), AT_MS)), "ok: approved");
  const people = requestOf({}, [rowOf({ agents_may_decide: false })]);
  assert.equal(code(answerRequest(people, agent("peer"), yesTo(people), AT_MS)), "agents_excluded");
});

Deno.test("the owner of an agent does not decide for it, unless the routing lets owners", () => {
  const requester = { ...REQUESTER, owner: "alice" };
  const strict = requestOf({ requester }, [rowOf({})]);
  assert.equal(code(answerRequest(strict, operator("alice"), yesTo(strict), AT_MS)), "owner");
  assert.equal(code(answerRequest(strict, operator("bob"), yesTo(strict), AT_MS)), "ok: approved");
  const lenient = requestOf({ requester }, [rowOf({ owner_may_decide: true })]);
  assert.equal(
    code(answerRequest(lenient, operator("alice"), yesTo(lenient), AT_MS)),
    "ok: approved",
  );
});

Deno.test("approval after expiry is refused, even before a timer has noticed", () => {
  const request = requestOf();
  const late_ms = request.expires_at_ms;
  assert.equal(code(answerRequest(request, operator("alice"), yesTo(request), late_ms)), "expired");
  assert.equal(code(forwardRequest(request, operator("alice"), "bob", late_ms)), "expired");
  assert.equal(
    code(answerRequest(request, operator("alice"), yesTo(request), late_ms - 1)),
    "ok: approved",
  );
});

Deno.test("the approver must name the digest that was shown", () => {
  const request = requestOf();
  const wrong = { ...yesTo(request), expected_digest: `sha256:${"0".repeat(64)}` };
  assert.equal(code(answerRequest(request, operator("alice"), wrong, AT_MS)), "digest_mismatch");
});

Deno.test("a quorum counts distinct approvers; one no ends it; the strictest condition holds", () => {
  const request = requestOf({}, [rowOf({ quorum: 2 })]);
  const until = new Date(AT_MS + 60_000).toISOString();
  const one = done(
    answerRequest(request, operator("alice"), yesTo(request, [`until ${until}`]), AT_MS),
  );
  assert.equal(one.state.status, "pending");
  assert.equal(code(answerRequest(one, operator("alice"), yesTo(one), AT_MS)), "duplicate_vote");
  assert.equal(code(answerRequest(one, operator("bob"), no(), AT_MS)), "ok: rejected");
  const two = done(
    answerRequest(one, operator("bob"), yesTo(one, [`exception 3 until ${until}`]), AT_MS),
  );
  assert.ok(two.state.status === "approved");
  assert.equal(two.state.terms.max_uses, 3);
  const late = answerRequest(one, operator("bob"), yesTo(one), AT_MS + 60_000);
  assert.equal(code(late), "invalid", "the first approver's time has passed");
});

Deno.test("trap 47: a condition that cannot be enforced is refused, not written down", () => {
  const request = requestOf();
  const refuse = (...conditions: string[]) => {
    const answer = answerRequest(request, operator("alice"), yesTo(request, conditions), AT_MS);
    assert.ok(!answer.ok && answer.code === "invalid", JSON.stringify(answer));
    return answer.message;
  };
  assert.match(refuse("only on weekdays"), /cannot be enforced: expected `once`/);
  assert.match(refuse("until tomorrow"), /is not a time/);
  assert.match(refuse("until 2026-01-07T12:00:00"), /is not a time/, "no zone");
  assert.match(refuse("until 2026-01-07T11:59:59Z"), /not in the future/);
  assert.match(refuse("until 2026-01-09T12:00:00Z"), /more than 24 hours ahead/);
  assert.match(refuse("exception 0 until 2026-01-07T13:00:00Z"), /uses must be 1 to/);
  assert.match(refuse("once", "exception 2 until 2026-01-07T13:00:00Z"), /give one/);
  assert.deepEqual(readConditions([" ", "once", "once "], AT_MS).ok, true);
});

Deno.test("trap 47: once, until and exception are enforced", () => {
  const once = done(spendGrant(approved(), digestCall(CALL), AT_MS + 1));
  assert.equal(once.state.status, "spent");
  assert.equal(code(spendGrant(once, digestCall(CALL), AT_MS + 2)), "used_up");
  const until_ms = AT_MS + 60_000;
  let boxed = approved([`until ${new Date(until_ms).toISOString()}`]);
  for (let use = 1; use <= 5; use++) {
    boxed = done(spendGrant(boxed, digestCall(CALL), AT_MS + use));
  }
  assert.equal(boxed.state.status, "approved");
  assert.equal(code(spendGrant(boxed, digestCall(CALL), until_ms)), "expired");
  let exception = approved([`exception 2 until ${new Date(until_ms).toISOString()}`]);
  exception = done(spendGrant(exception, digestCall(CALL), AT_MS + 1));
  exception = done(spendGrant(exception, digestCall(CALL), AT_MS + 1));
  assert.equal(code(spendGrant(exception, digestCall(CALL), AT_MS + 1)), "used_up");
});

Deno.test("trap 41: escalation has a timer of its own and adds an approver before the timeout", () => {
  const request = requestOf({ timeout_ms: 300_000 }, [rowOf({ escalation_approvers: ["carol"] })]);
  assert.equal(
    request.escalation?.at_ms,
    NOON_MS + 150_000,
    "a timer beyond the timeout is halved",
  );
  assert.equal(advance(request, NOON_MS + 149_999), undefined);
  const step = advance(request, NOON_MS + 150_000);
  assert.equal(step?.what, "escalated");
  assert.ok(step);
  assert.equal(step.request.routing_status, "escalated:carol");
  const carol = operator("carol", "developer");
  assert.equal(code(answerRequest(request, carol, yesTo(request), AT_MS)), "wrong_role");
  assert.equal(code(answerRequest(step.request, carol, yesTo(request), AT_MS)), "ok: approved");
  const lead = operator("lead", "team_admin");
  assert.equal(code(answerRequest(step.request, lead, yesTo(request), AT_MS)), "ok: approved");
  assert.equal(advance(step.request, NOON_MS + 299_999), undefined, "it escalates once");
  assert.equal(advance(step.request, NOON_MS + 300_000)?.what, "expired");
  const route = routeFor([], {
    team_id: "t1",
    kind: "tool_use",
    timeout_ms: 300_000,
    policy: { escalation_ms: 20_000, escalation_role: "security" },
  });
  assert.deepEqual(route.escalation, {
    after_ms: 20_000,
    to: { kind: "role", role: "security" },
  });
});

Deno.test("a forward hands the request over, and a stranded one can be handed on but not taken", () => {
  const request = requestOf();
  const lead = operator("lead", "team_admin");
  const forwarded = done(forwardRequest(request, lead, "dora", AT_MS));
  assert.equal(forwarded.routing_status, "forwarded_to_dora");
  assert.equal(forwarded.state.status, "pending");
  assert.equal(code(answerRequest(forwarded, lead, yesTo(request), AT_MS)), "wrong_role");
  const admin = operator("root");
  assert.equal(code(answerRequest(forwarded, admin, yesTo(request), AT_MS)), "wrong_role");
  assert.equal(code(forwardRequest(forwarded, admin, "root", AT_MS)), "wrong_role");
  assert.equal(code(forwardRequest(forwarded, admin, "org_admin", AT_MS)), "wrong_role");
  const back = done(forwardRequest(forwarded, admin, "lead", AT_MS));
  assert.equal(code(answerRequest(back, lead, yesTo(request), AT_MS)), "ok: approved");
  assert.equal(code(forwardRequest(request, lead, " ", AT_MS)), "invalid");
});

Deno.test("a grant that was taken back serves nobody", () => {
  const revoked = done(revokeRequest(approved(), "wrong account", AT_MS));
  assert.equal(code(spendGrant(revoked, digestCall(CALL), AT_MS)), "not_approved");
  assert.equal(code(revokeRequest(revoked, "again", AT_MS)), "already_decided");
  assert.equal(code(revokeRequest(approved(), " ", AT_MS)), "invalid");
});

/** Calls that differ from {@linkcode CALL} somewhere, or, rarely, not at all. */
const mutatedCall: fc.Arbitrary<BoundCall> = fc.record({
  agent: fc.constantFrom(CALL.agent, ...[
    { ...CALL.agent, key: "b2".repeat(16) },
    { ...CALL.agent, agent_id: "a2" },
    { ...CALL.agent, team_id: "t2" },
    { ...CALL.agent, assurance: "asserted" as const },
  ]),
  action: fc.oneof(
    fc.constant(CALL.action),
    fc.tuple(fc.constantFrom("pay", "Pay", "refund"), fc.string()).map(([tool, args]) =>
      exactAction({ kind: "tool_call", tool, args })
    ),
    fc.constantFrom('{"amount":500}', '{"amount": 500 }', '{"amount": 501}', '{"amount": 5e2}').map(
      (args) => exactAction({ kind: "tool_call", tool: "pay", args }),
    ),
    fc.constant(exactAction({ kind: "tool_result", tool: "pay", result: '{"amount": 500}' })),
  ),
  policy_digests: fc.constantFrom(CALL.policy_digests, [], [...CALL.policy_digests, "sha256:0"]),
  micro_usd: fc.constantFrom(0, 1, 500),
  asked_by: fc.constantFrom("policy", "anomaly"),
});

Deno.test("design B3: any mutation of agent, action, arguments, policy, price or asker after approval is refused", () => {
  const request = approved([`until ${new Date(AT_MS + 60_000).toISOString()}`]);
  fc.assert(
    fc.property(mutatedCall, (call) => {
      const same = JSON.stringify({ ...call, agent: { ...call.agent } }) ===
        JSON.stringify({ ...CALL, agent: { ...CALL.agent } });
      const digest = digestCall(call);
      const spent = spendGrant(request, digest, AT_MS + 1);
      assert.equal(spent.ok, same);
      if (spent.ok) return;
      assert.equal(spent.code, "digest_mismatch");
      assert.notDeepEqual(differingParts(request.call, digest), []);
      assert.match(spent.message, /its (agent|action|policy|price|asker)/);
    }),
    { numRuns: 500 },
  );
});

Deno.test("design B3: byte for byte: two spellings of the same JSON are two calls", () => {
  const spell = (args: string) =>
    digestCall({ ...CALL, action: exactAction({ kind: "tool_call", tool: "pay", args }) }).digest;
  const spellings = ['{"a":1}', '{"a": 1}', '{"a":1.0}', '{"\\u0061":1}', '{"a":1,"a":1}'];
  assert.equal(new Set(spellings.map(spell)).size, spellings.length);
});

type Step =
  | { readonly do: "yes" | "no" | "forward" | "revoke"; readonly who: number }
  | { readonly do: "spend"; readonly fits: boolean }
  | { readonly do: "wait"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("yes", "yes", "no", "forward", "revoke" as const),
    who: fc.integer({ min: 0, max: 3 }),
  }) as fc.Arbitrary<Step>,
  fc.record({ do: fc.constant("spend" as const), fits: fc.boolean() }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 400_000 }) }),
);

Deno.test("law: under any order of events a grant is used at most as often as its condition says", () => {
  const approvers = [operator("a"), operator("b"), agent("a1"), agent("peer")];
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      (steps, quorum) => {
        let request = requestOf({}, [rowOf({ quorum })]);
        let now_ms = NOON_MS;
        let uses = 0;
        for (const one of steps) {
          const before = structuredClone(request);
          const result = applied(request, one, approvers, now_ms);
          assert.deepEqual(request, before, "nothing is changed in place");
          if (one.do === "wait") now_ms += one.ms;
          if (result === undefined || !result.ok) continue;
          if (one.do === "spend") {
            assert.ok(one.fits && request.state.status === "approved");
            assert.ok(request.votes.length >= quorum);
            assert.ok(!request.votes.some((vote) => vote.by === `agent:${REQUESTER.key}`));
            uses++;
          }
          request = result.request;
          assert.deepEqual(readRequest("k", writeRequest(request)), request);
        }
        assert.ok(uses <= 1);
      },
    ),
    { numRuns: 300 },
  );
});

function applied(
  request: ApprovalRequest,
  one: Step,
  approvers: readonly Approver[],
  now_ms: number,
): Transition | undefined {
  switch (one.do) {
    case "wait": {
      const moved = advance(request, now_ms);
      return moved && { ok: true, request: moved.request };
    }
    case "spend": {
      const call = one.fits ? CALL : { ...CALL, micro_usd: 7 };
      return spendGrant(request, digestCall(call), now_ms);
    }
    case "revoke":
      return revokeRequest(request, "why", now_ms);
    default: {
      const approver = approvers[one.who] ?? operator("a");
      if (one.do === "forward") return forwardRequest(request, approver, "b", now_ms);
      const answer = one.do === "yes" ? yesTo(request) : no();
      return answerRequest(request, approver, answer, now_ms);
    }
  }
}

Deno.test("law: whoever may decide is neither the requester nor of its tree", () => {
  const ids = fc.constantFrom("a1", "p", "root");
  const keys = fc.constantFrom(REQUESTER.key, "00".repeat(16), "cc".repeat(16), "dd".repeat(16));
  fc.assert(fc.property(
    fc.record({ id: ids, key: keys, root: keys, above: fc.uniqueArray(keys) }),
    ({ id, key, root, above }) => {
      const approver = agent(id, { key, root_key: root, ancestors: above });
      if (!mayDecide(requestOf(), approver).ok) return;
      assert.ok(id !== "a1" && key !== REQUESTER.key && root !== REQUESTER.root_key);
      assert.ok(!above.includes(REQUESTER.key) && !REQUESTER.ancestors.includes(key));
    },
  ));
});

Deno.test("corrupt records: any field missing, added or of another type is refused by name", () => {
  const request = approved();
  const text = writeRequest(request);
  assert.deepEqual(readRequest("k", text), request);
  const value = JSON.parse(text);
  for (const field of Object.keys(value)) {
    if (field === "rule" || field === "escalation") continue;
    const { [field]: _gone, ...rest } = value;
    assert.throws(
      () => readRequest("k", JSON.stringify(rest)),
      /record `k`: field `\w+` is missing/,
    );
    assert.throws(
      () => readRequest("k", JSON.stringify({ ...value, [field]: { odd: [] } })),
      /record `k`/,
    );
  }
  assert.throws(
    () => readRequest("k", JSON.stringify({ ...value, more: 1 })),
    /`more` is not known/,
  );
  assert.throws(() => readRequest("k", text.slice(0, -1)), /is not JSON/);
  const used_up = { ...value, state: { ...value.state, uses: 1 } };
  assert.throws(() => readRequest("k", JSON.stringify(used_up)), /`state.uses` expected 0 to 1/);
  assert.throws(() => readRequest("k", JSON.stringify({ ...value, form: 2 })), /`form` expected 1/);
});

Deno.test("a grant is looked at without being used", () => {
  const request = approved();
  assert.equal(fitsGrant(request, digestCall(CALL), AT_MS), undefined);
  assert.equal(fitsGrant(requestOf(), digestCall(CALL), AT_MS)?.code, "not_approved");
});

Deno.test("a routing file is read strictly and resolved kind, then team, then global", () => {
  const read = readRouting(JSON.stringify([
    { team_id: "t1", approval_kind: "tool_use", approvers: ["a", "b"], quorum: 2 },
    { team_id: "t1", approvers: ["c"] },
    { approvers: ["d"], escalation_timeout_secs: 60 },
  ]));
  assert.ok(read.ok);
  const names = (team_id: string | undefined, kind: "tool_use" | "custom") => {
    const ask = { kind, timeout_ms: 300_000, ...(team_id === undefined ? {} : { team_id }) };
    return routeFor(read.rows, ask).targets.flatMap((to) => to.kind === "named" ? to.names : []);
  };
  assert.deepEqual(names("t1", "tool_use"), ["a", "b"]);
  assert.deepEqual(names("t1", "custom"), ["c"]);
  assert.deepEqual(names("t2", "custom"), ["d"]);
  assert.deepEqual(names(undefined, "custom"), ["d"]);
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{}, /not a list/],
    [[{ approver: ["a"] }], /\[0\]\.approver: unknown key/],
    [[{ approvers: ["a", "a"] }], /\[0\]\.approvers: expected a list of distinct names/],
    [[{ approvers: ["a"], quorum: 2 }], /\[0\]\.quorum: is larger/],
    [[{ quorum: 0 }], /\[0\]\.quorum: expected 1/],
    [[{ escalation_timeout_secs: 0 }], /\[0\]\.escalation_timeout_secs/],
    [[{ approval_kind: "x" }], /\[0\]\.approval_kind: expected spawn/],
    [[{}, {}], /\[1\]: a second row/],
  ];
  for (const [value, message] of wrong) {
    const refused = readRouting(JSON.stringify(value));
    assert.ok(!refused.ok);
    assert.match(refused.message, message);
  }
  assert.ok(!readRouting("{").ok);
});
