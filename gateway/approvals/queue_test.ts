import assert from "node:assert/strict";
import fc from "fast-check";
import type { Answer, Approver } from "../../core/approval/mod.ts";
import { exactAction } from "../../core/approval/mod.ts";
import type { ApprovalOutcome } from "../engine/parts.ts";
import { askOf, FailingStore, NOON_MS, PAY, principalOf, Rig } from "./approvals_fixture.ts";
import { QUEUE_LIMITS } from "./limits.ts";
import type { Changed } from "./queue.ts";
import { SteadyTime } from "./steady_time.ts";
import { WatchOverflow } from "./watch.ts";

const ALICE: Approver = { kind: "operator", name: "alice", role: "org_admin" };
const YES: Answer = { verdict: "approve", reason: "", conditions: [] };
const NO: Answer = { verdict: "reject", reason: "no", conditions: [] };
const DEFER = { approval: "defer" } as const;

function codeOf(changed: Changed): string {
  return changed.ok ? changed.request.state.status : changed.code;
}

function textOf(outcome: ApprovalOutcome): string {
  return "reason" in outcome ? `${outcome.outcome}: ${outcome.reason}` : outcome.outcome;
}

/** Asks, and waits until the call is held. */
async function held(rig: Rig, change = {}, terms = {}) {
  const before = rig.part.waiting;
  const outcome = rig.part.ask(askOf(change, terms));
  await rig.settled(() => rig.part.waiting > before);
  return { outcome, id: rig.pendingId() };
}

async function pendingOf(rig: Rig, change = {}) {
  const outcome = await rig.part.ask(askOf(change, DEFER));
  assert.ok(outcome.outcome === "pending", textOf(outcome));
  return outcome;
}

async function resume(rig: Rig, resume_token: string, change = {}, terms = {}) {
  return await rig.part.ask(askOf(change, { ...DEFER, resume_token, ...terms }));
}

async function spent(outcome: ApprovalOutcome): Promise<boolean> {
  assert.ok(outcome.outcome === "granted", textOf(outcome));
  return await outcome.spend();
}

Deno.test("A1: a waiting call is granted once a person approves, and only once", async () => {
  const rig = await Rig.create();
  const { outcome, id } = await held(rig);
  assert.equal(codeOf(await rig.queue.answer(id, ALICE, YES)), "approved");
  const granted = await outcome;
  assert.equal(await spent(granted), true);
  assert.equal(await spent(granted), false, "a second use");
  assert.deepEqual(rig.events(), [
    "ApprovalRequested",
    "ApprovalRouted",
    "ApprovalGranted",
    "GovernanceMutation",
  ]);
});

Deno.test("A3: a waiting call gets the approver's reason", async () => {
  const rig = await Rig.create();
  const { outcome, id } = await held(rig);
  assert.equal(codeOf(await rig.queue.answer(id, ALICE, NO)), "rejected");
  assert.equal(textOf(await outcome), "rejected: no");
});

Deno.test("A4: a waiting call that nobody answers is told `approval timed out`", async () => {
  const rig = await Rig.create();
  const { outcome } = await held(rig);
  await rig.pass(299_999);
  assert.equal(rig.part.waiting, 1);
  await rig.pass(1);
  assert.equal(textOf(await outcome), "timed_out: approval timed out");
  assert.equal(rig.events().at(-1), "ApprovalTimedOut");
});

Deno.test("trap 41: a retried identical call joins the pending request; a grant serves the next one once", async () => {
  const rig = await Rig.create();
  const leaving = new AbortController();
  const { outcome, id } = await held(rig, {}, { signal: leaving.signal });
  leaving.abort();
  assert.match(textOf(await outcome), /refused: the caller went away; the request waits/);
  const again = rig.part.ask(askOf());
  const twice = rig.part.ask(askOf());
  await rig.settled(() => rig.part.waiting === 2);
  assert.equal(rig.pendingId(), id, "no second request");
  await rig.queue.answer(id, ALICE, YES);
  const uses = await Promise.all([spent(await again), spent(await twice)]);
  assert.deepEqual(uses.toSorted(), [false, true], "one of the two runs");
  const { id: later } = await held(rig);
  assert.notEqual(later, id, "a used grant serves nobody");
});

Deno.test("identical calls that come at once make one request", async () => {
  const rig = await Rig.create();
  const answers = await Promise.all(Array.from({ length: 10 }, () => pendingOf(rig)));
  assert.equal(new Set(answers.map((answer) => answer.request_id)).size, 1);
});

Deno.test("an answer nobody fetched serves the next identical call, and nothing else", async () => {
  const rig = await Rig.create();
  const { request_id } = await pendingOf(rig);
  await rig.queue.answer(request_id, ALICE, YES);
  for (
    const other of [
      { action: { ...PAY, args: '{"amount":500}' } },
      { micro_usd: 1 },
      { policy_digests: [] },
      { asked_by: "anomaly" as const },
      { principal: principalOf("a2") },
      { exact: { ...exactAction(PAY), target_url: "https://elsewhere.example" } },
    ]
  ) {
    const outcome = await rig.part.ask(askOf(other, DEFER));
    assert.equal(outcome.outcome, "pending", JSON.stringify(other));
    assert.notEqual(outcome.request_id, request_id);
  }
  assert.equal(await spent(await rig.part.ask(askOf({}, DEFER))), true);
});

Deno.test("deferred: the token resumes the same call; a mutated one is refused by what changed", async () => {
  const rig = await Rig.create();
  const { request_id, resume_token } = await pendingOf(rig);
  const early = await resume(rig, resume_token);
  assert.ok(early.outcome === "pending" && early.resume_token === resume_token);
  await rig.queue.answer(request_id, ALICE, YES);
  const mutated = await resume(rig, resume_token, { action: { ...PAY, args: '{"amount": 501}' } });
  assert.match(textOf(mutated), /refused: resume refused: .* its action changed; ask again/);
  const dearer = await resume(rig, resume_token, { micro_usd: 9 });
  assert.match(textOf(dearer), /its price changed/);
  const thief = await resume(rig, resume_token, { principal: principalOf("a2") });
  assert.equal(textOf(thief), "refused: resume token belongs to another agent");
  assert.equal(thief.request_id, "");
  assert.equal(await spent(await resume(rig, resume_token)), true);
  assert.match(textOf(await resume(rig, resume_token)), /refused: the approval has been used/);
  assert.match(textOf(await resume(rig, "guess")), /resume token is not known/);
});

Deno.test("deferred: a token of a rejected, unanswered or unused request says so", async () => {
  const rig = await Rig.create();
  const rejected = await pendingOf(rig);
  await rig.queue.answer(rejected.request_id, ALICE, NO);
  assert.equal(textOf(await resume(rig, rejected.resume_token)), "rejected: no");
  const unanswered = await pendingOf(rig, { micro_usd: 1 });
  await rig.pass(300_000);
  const late = await resume(rig, unanswered.resume_token, { micro_usd: 1 });
  assert.equal(textOf(late), "timed_out: approval timed out");
  const unused = await pendingOf(rig, { micro_usd: 2 });
  await rig.queue.answer(unused.request_id, ALICE, YES);
  const granted = await resume(rig, unused.resume_token, { micro_usd: 2 });
  rig.now_ms += 900_000;
  assert.equal(await spent(granted), false, "before any timer has noticed");
  await rig.pass(0);
  assert.match(textOf(await resume(rig, unused.resume_token, { micro_usd: 2 })), /has expired/);
});

Deno.test("resume tokens are kept as hashes only, a bounded number of them", async () => {
  const rig = await Rig.create();
  const tokens: string[] = [];
  for (let n = 0; n < 6; n++) tokens.push((await pendingOf(rig)).resume_token);
  let stored = "";
  for await (const page of rig.store.records("approvals")) stored += JSON.stringify(page);
  for (const token of tokens) assert.ok(!stored.includes(token));
  assert.match(textOf(await resume(rig, tokens[0] ?? "")), /not known/);
  assert.equal((await resume(rig, tokens[5] ?? "")).outcome, "pending");
});

Deno.test("trap 41: pending requests, grants, tokens and history survive a restart", async () => {
  const rig = await Rig.create();
  const waiting = await pendingOf(rig);
  const granted = await pendingOf(rig, { micro_usd: 1 });
  await rig.queue.answer(granted.request_id, ALICE, YES);
  const used = await pendingOf(rig, { micro_usd: 2 });
  await rig.queue.answer(used.request_id, ALICE, YES);
  assert.equal(await spent(await resume(rig, used.resume_token, { micro_usd: 2 })), true);
  await rig.restart();
  assert.deepEqual(rig.queue.status(), { state: "enforcing", detail: "", pending: 1, approved: 1 });
  assert.equal((await resume(rig, waiting.resume_token)).outcome, "pending");
  const again = await resume(rig, granted.resume_token, { micro_usd: 1 });
  assert.equal(await spent(again), true);
  assert.match(textOf(await resume(rig, used.resume_token, { micro_usd: 2 })), /has been used/);
  await rig.restart();
  assert.match(textOf(await resume(rig, granted.resume_token, { micro_usd: 1 })), /has been used/);
  assert.equal(codeOf(await rig.queue.answer(used.request_id, ALICE, NO)), "already_decided");
});

Deno.test("a clock that is set back revives nothing, neither running nor over a restart", async () => {
  const rig = await Rig.create();
  const { request_id, resume_token } = await pendingOf(rig);
  await rig.queue.answer(request_id, ALICE, YES);
  rig.monotonic_ms += 900_000;
  rig.now_ms -= 86_400_000;
  assert.match(textOf(await resume(rig, resume_token)), /has expired/);
  await rig.queue.tick();
  await rig.restart();
  assert.match(textOf(await resume(rig, resume_token)), /has expired/);
  assert.ok(rig.queue.now_ms() >= NOON_MS + 900_000, "time begins at what the records have seen");
});

Deno.test("a step forward ends what it ends, and time goes on after it is taken back", () => {
  let now_ms = 1_000;
  let us = 0;
  const time = new SteadyTime({ now_ms: () => now_ms, monotonic_us: () => us });
  now_ms = 500_000;
  assert.equal(time.now_ms(), 500_000);
  now_ms = 2_000;
  us += 250_000;
  assert.equal(time.now_ms(), 500_250);
  now_ms = NaN;
  us += 250_000;
  assert.equal(time.now_ms(), 500_500);
});

Deno.test("trap 37: a refused answer changes nothing and is recorded with who and why", async () => {
  const rig = await Rig.create();
  const { request_id } = await pendingOf(rig);
  const itself: Approver = {
    kind: "agent",
    key: "a1".padEnd(32, "-"),
    agent_id: "a1",
    org_id: "o1",
    team_id: "t1",
    root_key: "a1".padEnd(32, "-"),
    ancestors: [],
    enrolled: false,
  };
  assert.equal(codeOf(await rig.queue.answer(request_id, itself, YES)), "self_approval");
  const payload = JSON.parse(rig.entries.at(-1)?.payload ?? "{}");
  assert.equal(payload.operation, "approval_answer_refused");
  assert.equal(payload.code, "self_approval");
  assert.equal(payload.actor, `agent:${itself.key}`);
  const viewer: Approver = { kind: "operator", name: "v", role: "viewer" };
  assert.equal(codeOf(await rig.queue.answer(request_id, viewer, YES)), "wrong_role");
  assert.equal((await rig.part.ask(askOf({}, DEFER))).outcome, "pending");
  assert.equal(codeOf(await rig.queue.answer("no-such-id", ALICE, YES)), "not_found");
});

Deno.test("approval after expiry is refused and recorded", async () => {
  const rig = await Rig.create();
  const { request_id } = await pendingOf(rig);
  rig.now_ms += 300_000;
  assert.equal(codeOf(await rig.queue.answer(request_id, ALICE, YES)), "expired");
  assert.equal(JSON.parse(rig.entries.at(-1)?.payload ?? "{}").code, "expired");
});

Deno.test("10,000 pending requests fit; one more, and one agent's 101st, are refused by name", async () => {
  const rig = await Rig.create();
  const per_agent = QUEUE_LIMITS.live_requests_per_agent;
  for (let agent = 0; agent < QUEUE_LIMITS.live_requests / per_agent; agent++) {
    const principal = principalOf(`a${agent}`);
    await Promise.all(
      Array.from({ length: per_agent }, (_, n) => pendingOf(rig, { principal, micro_usd: n })),
    );
  }
  assert.equal(rig.queue.status().pending, 10_000);
  const own = await rig.part.ask(askOf({ principal: principalOf("a0"), micro_usd: 100 }, DEFER));
  assert.equal(textOf(own), "refused: approval queue is full for this agent: 100 requests wait");
  const recorded = rig.entries.length;
  const other = await rig.part.ask(askOf({ principal: principalOf("new") }, DEFER));
  assert.equal(textOf(other), "refused: approval queue is full: 10000 requests wait");
  assert.equal(rig.entries.length, recorded, "nothing was filed");
  const joined = await rig.part.ask(askOf({ principal: principalOf("a0"), micro_usd: 3 }, DEFER));
  assert.equal(joined.outcome, "pending", "a retry of a filed call still joins");
  await rig.restart();
  assert.equal(rig.queue.status().pending, 10_000);
  while (rig.queue.status().pending > 0) await rig.pass(300_000);
});

Deno.test("agents that are not proven share one bound, and an unnamed one is refused", async () => {
  const rig = await Rig.create();
  const asserted = (agent_id: string, n: number) => {
    const { registry_key: _none, ...rest } = principalOf(agent_id);
    const engine_key = agent_id.padEnd(32, "0");
    return askOf(
      { principal: { ...rest, engine_key, assurance: "asserted" }, micro_usd: n },
      DEFER,
    );
  };
  for (let agent = 0; agent < 10; agent++) {
    for (let n = 0; n < 100; n++) await rig.part.ask(asserted(`x${agent}`, n));
  }
  const more = await rig.part.ask(asserted("fresh", 0));
  assert.match(textOf(more), /full for unproven agents: 1000 requests wait; register/);
  assert.equal((await rig.part.ask(askOf({}, DEFER))).outcome, "pending");
  const unnamed = { ...principalOf(""), assurance: "unattributed" as const };
  assert.match(textOf(await rig.part.ask(askOf({ principal: unnamed }))), /needs an agent id/);
});

Deno.test("a call that has no canonical form is refused, not approved in part", async () => {
  const rig = await Rig.create();
  const outcome = await rig.part.ask(askOf({ micro_usd: NaN }, DEFER));
  assert.match(textOf(outcome), /cannot be bound: cannot canonicalise `NaN`/);
  assert.equal(rig.entries.length, 0);
});

Deno.test("corrupt history: the queue refuses everything, names the record and says so in the log", async () => {
  for (const collection of ["approvals", "approval_history"] as const) {
    const store = new FailingStore();
    const first = await Rig.create([], store);
    const { request_id } = await pendingOf(first);
    await store.commit([{ kind: "put_record", collection, key: "bad", value: "{}" }]);
    const rig = await Rig.create([], store);
    assert.equal(rig.queue.status().state, "damaged");
    assert.match(rig.queue.status().detail, /record `bad`: field `form` is missing/);
    assert.match(
      textOf(await rig.part.ask(askOf())),
      /refused: the stored approval queue is damaged/,
    );
    assert.equal(codeOf(await rig.queue.answer(request_id, ALICE, YES)), "damaged");
    assert.equal(JSON.parse(rig.entries[0]?.payload ?? "{}").action, "approval_queue_damaged");
    await rig.queue.tick();
  }
});

Deno.test("what cannot be recorded or stored is not decided; an end by time is", async () => {
  const rig = await Rig.create();
  const { request_id } = await pendingOf(rig);
  rig.audit_failing = true;
  assert.equal(codeOf(await rig.queue.answer(request_id, ALICE, YES)), "unavailable");
  assert.match(textOf(await rig.part.ask(askOf({ micro_usd: 1 }))), /could not be recorded/);
  rig.audit_failing = false;
  rig.store.failing = true;
  assert.equal(codeOf(await rig.queue.answer(request_id, ALICE, YES)), "unavailable");
  assert.equal(
    JSON.parse(rig.entries.at(-1)?.payload ?? "{}").operation,
    "approved_not_applied",
  );
  assert.match(textOf(await rig.part.ask(askOf({ micro_usd: 1 }))), /could not be stored/);
  const waiting = rig.part.ask(askOf());
  await rig.settled(() => rig.part.waiting === 1);
  rig.audit_failing = true;
  await rig.pass(300_000);
  assert.equal(textOf(await waiting), "timed_out: approval timed out");
});

Deno.test("a grant that could not be stored as used is not used", async () => {
  const rig = await Rig.create();
  const { request_id, resume_token } = await pendingOf(rig);
  await rig.queue.answer(request_id, ALICE, YES);
  const granted = await resume(rig, resume_token);
  rig.store.failing = true;
  assert.equal(await spent(granted), false);
  rig.store.failing = false;
  assert.equal(await spent(granted), true);
  assert.equal(await spent(granted), false);
});

Deno.test("approvers read a redacted text that is never stored", async () => {
  const rig = await Rig.create();
  const secret = "AKIAIOSFODNN7EXAMPLE";
  const args = JSON.stringify({ note: "deploy it", key: secret });
  const { request_id } = await pendingOf(rig, { action: { ...PAY, args } });
  const shown = rig.texts.get(request_id);
  assert.match(shown?.text ?? "", /deploy it.*\[REDACTED:AwsAccessKey\]/);
  let written = JSON.stringify(rig.entries.map((entry) => entry.payload));
  for await (const page of rig.store.records("approvals")) written += JSON.stringify(page);
  assert.ok(!written.includes(secret) && !written.includes("deploy it"));
  const long = await pendingOf(rig, { action: { ...PAY, args: "word ".repeat(4_000) } });
  assert.equal(rig.texts.get(long.request_id)?.cut_chars, 20_000 - QUEUE_LIMITS.shown_chars);
  await rig.queue.answer(request_id, ALICE, NO);
  await rig.settled(() => rig.texts.get(request_id) === undefined);
});

Deno.test("every end is announced, timeouts too, and a listener that throws harms nobody", async () => {
  const rig = await Rig.create();
  const seen: string[] = [];
  rig.queue.watchers.listen(() => {
    throw new Error("listener");
  });
  rig.queue.watchers.listen(({ change }) => seen.push(change));
  const { request_id } = await pendingOf(rig);
  await rig.queue.answer(request_id, ALICE, NO);
  await pendingOf(rig);
  await rig.pass(300_000);
  await rig.settled(() => seen.length === 4);
  assert.deepEqual(seen, ["submitted", "rejected", "submitted", "expired"]);
});

Deno.test("a watcher that does not read is ended, not skipped; streams are bounded", async () => {
  const rig = await Rig.create();
  const ended = new AbortController();
  const stream = rig.queue.watchers.stream(() => true, ended.signal);
  const { request_id } = await pendingOf(rig);
  const { book } = rig.queue;
  assert.ok(!("ok" in book));
  const request = book.get(request_id);
  assert.ok(request);
  for (let n = 0; n < QUEUE_LIMITS.watch_queue_events; n++) {
    rig.queue.watchers.announce({ change: "voted", request });
  }
  let events = 0;
  await assert.rejects(async () => {
    for await (const _ of stream) events++;
  }, WatchOverflow);
  assert.equal(events, QUEUE_LIMITS.watch_queue_events);
  for (let n = 0; n < QUEUE_LIMITS.watchers; n++) {
    rig.queue.watchers.stream(() => true, ended.signal);
  }
  assert.throws(
    () => rig.queue.watchers.stream(() => true, ended.signal),
    /streams watch the queue/,
  );
  ended.abort();
  rig.queue.watchers.stream(() => true, ended.signal);
});

Deno.test("the history is bounded in memory and in the store, the oldest going first", async () => {
  const rig = await Rig.create();
  const total = QUEUE_LIMITS.history_requests + 50;
  for (let n = 0; n < total; n += 50) {
    await Promise.all(Array.from({ length: 50 }, async (_, i) => {
      const { request_id } = await pendingOf(rig, { micro_usd: n + i });
      await rig.queue.answer(request_id, ALICE, NO);
    }));
    rig.now_ms += 1;
  }
  const { book } = rig.queue;
  assert.ok(!("ok" in book));
  assert.equal([...book.endedRequests()].length, QUEUE_LIMITS.history_requests);
  let stored = 0;
  for await (const page of rig.store.records("approval_history")) stored += page.length;
  assert.equal(stored, QUEUE_LIMITS.history_requests);
});

const turn = fc.constantFrom("ask", "resume", "yes", "no", "spend", "wait", "restart");

Deno.test("law: however calls, answers, restarts and time interleave, no approval is used twice", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(turn, { maxLength: 60 }), async (turns) => {
      const rig = await Rig.create();
      const tokens: string[] = [];
      const grants: Extract<ApprovalOutcome, { outcome: "granted" }>[] = [];
      const uses = new Map<string, number>();
      const work: Promise<unknown>[] = [];
      const note = (outcome: ApprovalOutcome) => {
        if (outcome.outcome === "pending") tokens.push(outcome.resume_token);
        if (outcome.outcome === "granted") grants.push(outcome);
      };
      for (const one of turns) {
        const id = [...liveIds(rig)][0] ?? "";
        if (one === "ask") work.push(rig.part.ask(askOf({}, DEFER)).then(note));
        if (one === "resume") work.push(resume(rig, tokens.at(-1) ?? "none").then(note));
        if (one === "yes") work.push(rig.queue.answer(id, ALICE, YES));
        if (one === "no") work.push(rig.queue.answer(id, ALICE, NO));
        if (one === "wait") work.push(rig.pass(120_000));
        if (one === "spend") {
          for (const grant of grants) {
            work.push(
              grant.spend().then((ok) => {
                if (ok) uses.set(grant.request_id, (uses.get(grant.request_id) ?? 0) + 1);
              }),
            );
          }
        }
        if (one === "restart") {
          await Promise.all(work.splice(0));
          await rig.queue.close();
          // Grants of the process before are gone with it.
          grants.length = 0;
          await rig.restart();
        }
        await Promise.resolve();
      }
      await Promise.all(work);
      for (const count of uses.values()) assert.equal(count, 1);
    }),
    { numRuns: 60 },
  );
});

function* liveIds(rig: Rig): Generator<string> {
  const { book } = rig.queue;
  if (!("ok" in book)) { for (const { request_id } of book.liveRequests()) yield request_id; }
}
