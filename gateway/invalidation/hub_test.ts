import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidationHub, TooManySubscribers } from "./hub.ts";
import { INVALIDATION_LIMITS } from "./limits.ts";
import { type InvalidationStream, ResyncNeeded } from "./subscriber.ts";

const SIGNAL = new AbortController().signal;

function who(assembly_id = "a", team_id = "t", agent_key = "k", org_id = "o") {
  return { org_id, team_id, agent_key, assembly_id };
}

function hubAt(start_ms = 0) {
  const clock = { now_ms: start_ms };
  return { clock, hub: new InvalidationHub(() => clock.now_ms) };
}

/** What waits on a stream, ending it. */
async function rest(stream: InvalidationStream): Promise<string[]> {
  stream.end("cancelled");
  const texts: string[] = [];
  for await (const { seq, event } of stream) {
    texts.push(
      event.kind === "policy_invalidated"
        ? `${seq} policy ${event.agent_id}@${event.version}`
        : `${seq} ${event.decision} ${event.request_id}`,
    );
  }
  return texts;
}

Deno.test("each subscriber counts from 1, and every one is told of a policy", async () => {
  const { hub } = hubAt();
  const first = hub.subscribe(who("a"), 0n, SIGNAL);
  hub.policyInvalidated("", 2);
  const second = hub.subscribe(who("b", "other", "k2"), 0n, SIGNAL);
  hub.policyInvalidated("agent-1", 3);
  assert.deepEqual(await rest(first.stream), ["1 policy @2", "2 policy agent-1@3"]);
  assert.deepEqual(await rest(second.stream), ["1 policy agent-1@3"]);
});

Deno.test("an approval goes to its own tenant, one without a tenant to everybody", async () => {
  const { hub } = hubAt();
  const own = hub.subscribe(who("a", "t", "k", "o"), 0n, SIGNAL);
  const team = hub.subscribe(who("a", "u", "k2", "o"), 0n, SIGNAL);
  const org = hub.subscribe(who("a", "t", "k3", "p"), 0n, SIGNAL);
  hub.approvalResolved("r1", "approved", { org_id: "o", team_id: "t" });
  hub.approvalResolved("r2", "denied", { org_id: "", team_id: "" });
  assert.deepEqual(await rest(own.stream), ["1 approved r1", "2 denied r2"]);
  assert.deepEqual(await rest(team.stream), ["1 denied r2"]);
  assert.deepEqual(await rest(org.stream), ["1 denied r2"], "same team name, other organisation");
});

Deno.test("trap 59: a request that timed out is announced, as denied", async () => {
  const { hub } = hubAt();
  const { stream } = hub.subscribe(who(), 0n, SIGNAL);
  hub.approvalResolved("r", "timed_out", { org_id: "o", team_id: "t" });
  assert.deepEqual(await rest(stream), ["1 denied r"]);
});

Deno.test("trap 59: subscribers that left are forgotten, connected ones never", () => {
  const { hub, clock } = hubAt();
  const left = new AbortController();
  hub.subscribe(who("gone"), 0n, left.signal);
  hub.subscribe(who("stays"), 0n, SIGNAL);
  left.abort();
  hub.tick(clock.now_ms = INVALIDATION_LIMITS.disconnected_kept_ms - 1);
  assert.equal(hub.status.subscribers, 2);
  hub.tick(clock.now_ms = INVALIDATION_LIMITS.disconnected_kept_ms);
  assert.deepEqual(hub.status, { subscribers: 1, connected: 1, announced: 0, expired: 1 });
});

Deno.test("a clock set back neither forgets a subscriber at once nor keeps it for ever", () => {
  const { hub, clock } = hubAt(1_000_000_000);
  const left = new AbortController();
  hub.subscribe(who(), 0n, left.signal);
  left.abort();
  hub.tick(clock.now_ms = 5_000);
  assert.equal(hub.status.subscribers, 1);
  hub.tick(clock.now_ms = 5_000 + INVALIDATION_LIMITS.disconnected_kept_ms);
  assert.equal(hub.status.subscribers, 0);
});

Deno.test("what happened while away is replayed after the last number seen", async () => {
  const { hub } = hubAt();
  const away = new AbortController();
  hub.subscribe(who(), 0n, away.signal);
  hub.policyInvalidated("", 1);
  away.abort();
  hub.policyInvalidated("", 2);
  hub.policyInvalidated("", 3);
  const { stream } = hub.subscribe(who(), 1n, SIGNAL);
  hub.policyInvalidated("", 4);
  assert.deepEqual(await rest(stream), ["2 policy @2", "3 policy @3", "4 policy @4"]);
});

Deno.test("an acknowledgement trims what is replayed; one for numbers never given does nothing", async () => {
  const { hub } = hubAt();
  const { acknowledge } = hub.subscribe(who(), 0n, SIGNAL);
  for (let version = 1; version <= 3; version++) hub.policyInvalidated("", version);
  acknowledge(99n);
  acknowledge(2n);
  const { stream } = hub.subscribe(who(), 0n, SIGNAL);
  assert.deepEqual(await rest(stream), ["3 policy @3"]);
});

Deno.test("a subscriber that missed more than is kept is told to resync, and 0 always may", () => {
  const { hub } = hubAt();
  const away = new AbortController();
  hub.subscribe(who(), 0n, away.signal);
  hub.policyInvalidated("", 1);
  away.abort();
  for (let n = 0; n <= INVALIDATION_LIMITS.ring_events; n++) hub.policyInvalidated("", n);
  assert.throws(() => hub.subscribe(who(), 1n, SIGNAL), ResyncNeeded);
  assert.ok(hub.subscribe(who(), 2n, SIGNAL), "the ring still has everything after 2");
  assert.ok(hub.subscribe(who(), 0n, SIGNAL));
});

Deno.test("a number that this gateway never gave, as after its restart, is answered by resync", () => {
  const { hub } = hubAt();
  assert.throws(() => hub.subscribe(who(), 7n, SIGNAL), ResyncNeeded);
  assert.throws(() => hub.subscribe(who(), 1n, SIGNAL), ResyncNeeded);
  assert.ok(hub.subscribe(who(), 0n, SIGNAL));
});

Deno.test("a stream that is not read ends as lagging after its bound, and loses nothing by it", async () => {
  const { hub } = hubAt();
  const { stream } = hub.subscribe(who(), 0n, SIGNAL);
  for (let n = 1; n <= INVALIDATION_LIMITS.live_events + 1; n++) hub.policyInvalidated("", n);
  assert.equal(stream.ended, "lagging");
  const read = await rest(stream);
  assert.equal(read.length, INVALIDATION_LIMITS.live_events);
  const next = hub.subscribe(who(), BigInt(read.length), SIGNAL);
  assert.deepEqual(await rest(next.stream), [`${read.length + 1} policy @${read.length + 1}`]);
});

Deno.test("a newer stream of the same subscriber replaces the older, which may no longer acknowledge", async () => {
  const { hub } = hubAt();
  const old = hub.subscribe(who(), 0n, SIGNAL);
  hub.policyInvalidated("", 1);
  const newer = hub.subscribe(who(), 0n, SIGNAL);
  assert.equal(old.stream.ended, "replaced");
  old.acknowledge(1n);
  const third = hub.subscribe(who(), 0n, SIGNAL);
  assert.equal(newer.stream.ended, "replaced");
  assert.deepEqual(await rest(third.stream), ["1 policy @1"]);
});

Deno.test("one tenant cannot take every subscriber's place", () => {
  const { hub } = hubAt();
  for (let n = 0; n < INVALIDATION_LIMITS.subscribers_per_tenant; n++) {
    hub.subscribe(who(`a${n}`), 0n, SIGNAL);
  }
  assert.throws(() => hub.subscribe(who("one more"), 0n, SIGNAL), TooManySubscribers);
  assert.ok(hub.subscribe(who("a", "other"), 0n, SIGNAL));
  assert.ok(hub.subscribe(who("a0"), 0n, SIGNAL), "one that is remembered may come back");
});

Deno.test("a subscriber that reconnects as it likes and acknowledges what it read misses nothing", async () => {
  const step = fc.constantFrom("announce", "reconnect", "read", "acknowledge");
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const { hub } = hubAt();
    let open = hub.subscribe(who(), 0n, SIGNAL);
    let announced = 0n;
    let seen = 0n;
    const read = async () => {
      open.stream.end("cancelled");
      for await (const { seq } of open.stream) {
        assert.equal(seq, seen + 1n);
        seen = seq;
      }
      open = hub.subscribe(who(), seen, SIGNAL);
    };
    for (const what of steps) {
      if (what === "announce") hub.policyInvalidated("", ++announced);
      else if (what === "acknowledge") open.acknowledge(seen);
      else if (what === "read") await read();
      else open = hub.subscribe(who(), seen, SIGNAL);
    }
    await read();
    assert.equal(seen, announced);
  }));
});
