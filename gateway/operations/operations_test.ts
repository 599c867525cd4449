import assert from "node:assert/strict";
import fc from "fast-check";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Mutation } from "../../storage/sqlite/records.ts";
import type { Principal } from "../../core/principal.ts";
import { OperationError, type OperationFailure } from "./failure.ts";
import { OPERATION_LIMITS } from "./limits.ts";
import { mayBecome, OP_STATES } from "./op_state.ts";
import { Operations, ORDERS_UNREADABLE } from "./operations.ts";
import type { OpMessage } from "./subscribers.ts";
import { opIdOf, type OrderTarget } from "./target.ts";

const KEY = "ab".repeat(16);
const AGENT = { registry_key: KEY, agent_id: "did:key:z6a" };
const PRINCIPAL: Principal = {
  assurance: "bound",
  agent_id: AGENT.agent_id,
  engine_key: "00".repeat(16),
  registry_key: KEY,
  status: "active",
};
const OTHER: Principal = { ...PRINCIPAL, agent_id: "did:key:z6b", registry_key: "cd".repeat(16) };
const FLEET: OrderTarget = { kind: "fleet" };
const WHOLE: OrderTarget = { kind: "agent", agent: AGENT };
const OP: OrderTarget = { kind: "op", agent: AGENT, op_id: "t:s" };
const BY = { actor: "operator:alice", reason: "looks odd" };

class FaultyStore extends MemoryStore {
  fault: Error | undefined;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.fault === undefined ? super.commit(mutations) : Promise.reject(this.fault);
  }
}

async function room(store = new FaultyStore()) {
  const state = { now_ms: 1_000_000, recorded: [] as string[], audit_fault: false };
  const operations = await Operations.open({
    store,
    now_ms: () => state.now_ms,
    redact: (text) => text,
    record: (action) => {
      if (state.audit_fault) return Promise.reject(new Error("disk full"));
      state.recorded.push(action);
      return Promise.resolve(BigInt(state.recorded.length));
    },
  });
  return { operations, store, state };
}

async function refusal(order: Promise<unknown>): Promise<OperationFailure> {
  try {
    await order;
  } catch (error) {
    assert.ok(error instanceof OperationError, String(error));
    return error.code;
  }
  throw new assert.AssertionError({ message: "the order was carried out" });
}

/** Reads what is there without waiting for more. */
async function drained(messages: AsyncIterable<OpMessage>, count: number): Promise<string[]> {
  const read: string[] = [];
  for await (const { op_id, signal } of messages) {
    read.push(`${signal} ${op_id}`);
    if (read.length === count) break;
  }
  return read;
}

Deno.test("an operation, an agent and the fleet are each denied by name until resumed", async () => {
  const { operations } = await room();
  operations.answered(PRINCIPAL, "t", "s", 1);
  for (
    const [target, subject] of [[OP, "operation"], [WHOLE, "agent"], [
      FLEET,
      "all operations",
    ]] as const
  ) {
    assert.equal(operations.denial(PRINCIPAL, "t", "s"), undefined);
    await operations.pause(target, BY);
    assert.equal(operations.denial(PRINCIPAL, "t", "s"), `${subject} paused by an operator`);
    await operations.resume(target, BY);
  }
  await operations.terminate(WHOLE, BY);
  assert.equal(operations.denial(PRINCIPAL, "x", "y"), "agent terminated by an operator");
  assert.equal(operations.denial(OTHER, "t", "s"), undefined, "nobody else is touched");
});

Deno.test("an order for one operation leaves the agent's others alone, and no agent can take another's op id", async () => {
  const { operations } = await room();
  await operations.terminate(OP, BY);
  assert.equal(operations.denial(PRINCIPAL, "t", "s"), "operation terminated by an operator");
  assert.equal(operations.denial(PRINCIPAL, "t", "s2"), undefined);
  assert.equal(operations.denial(OTHER, "t", "s"), undefined);
});

Deno.test("an agent that merely claims an id is not the registered agent of that id", async () => {
  const { operations } = await room();
  const { registry_key: _unproven, ...claimed } = PRINCIPAL;
  await operations.pause({ kind: "agent", agent: { agent_id: AGENT.agent_id } }, BY);
  assert.equal(operations.denial(PRINCIPAL, "t", "s"), undefined);
  assert.match(operations.denial(claimed, "t", "s") ?? "", /agent paused/);
});

Deno.test("terminate is idempotent, sticky, and told to those who subscribe later", async () => {
  const { operations, state } = await room();
  await operations.terminate(OP, BY);
  assert.equal((await operations.terminate(OP, BY)).audit_index, undefined);
  assert.deepEqual(state.recorded, ["operations_terminated"]);
  operations.answered(PRINCIPAL, "t", "s", 1);
  assert.match(
    operations.denial(PRINCIPAL, "t", "s") ?? "",
    /terminated/,
    "asking again revives nothing",
  );
  assert.equal(await refusal(operations.resume(OP, BY)), "invalid_transition");
  assert.equal(await refusal(operations.pause(OP, BY)), "invalid_transition");
  const late = operations.subscribe(AGENT, new AbortController().signal);
  assert.ok(late);
  assert.deepEqual(await drained(late, 1), ["terminate t:s"]);
});

Deno.test("invalid transitions are refused, and nothing is recorded or told", async () => {
  const { operations, state } = await room();
  operations.answered(PRINCIPAL, "t", "s", 3);
  assert.equal(await refusal(operations.pause(OP, BY)), "invalid_transition", "pending");
  operations.answered(PRINCIPAL, "t", "s", 1);
  assert.equal(await refusal(operations.resume(OP, BY)), "invalid_transition", "running");
  assert.equal(await refusal(operations.resume(FLEET, BY)), "invalid_transition");
  assert.equal(await refusal(operations.lift(WHOLE, BY)), "not_found");
  assert.deepEqual(state.recorded, []);
  await operations.pause(OP, BY);
  assert.equal(await refusal(operations.pause(OP, BY)), "invalid_transition", "paused twice");
});

Deno.test("the life of an operation has exactly the transitions of the contract", () => {
  const legal = OP_STATES.flatMap((from) =>
    OP_STATES.filter((to) => mayBecome(from, to)).map((to) => `${from} ${to}`)
  );
  assert.deepEqual(legal, [
    "pending running",
    "pending terminated",
    "running paused",
    "running completing",
    "running terminated",
    "paused running",
    "paused terminated",
    "completing terminated",
    "terminated terminated",
  ]);
});

Deno.test("a halt of everything survives a restart, and so does every other order", async () => {
  const { operations, store } = await room();
  await operations.terminate(FLEET, BY);
  await operations.pause(OP, BY);
  await operations.pause(WHOLE, BY);
  const again = (await room(store)).operations;
  assert.match(again.denial(OTHER, "", "") ?? "", /all operations terminated/);
  await again.lift(FLEET, BY);
  assert.match(again.denial(PRINCIPAL, "", "") ?? "", /agent paused/);
  const third = (await room(store)).operations;
  assert.equal(third.denial(OTHER, "", ""), undefined, "lifted for good");
  await third.resume(WHOLE, BY);
  assert.match(third.denial(PRINCIPAL, "t", "s") ?? "", /operation paused/);
});

Deno.test("an order without evidence is no order", async () => {
  const { operations, state, store } = await room();
  state.audit_fault = true;
  assert.equal(await refusal(operations.terminate(FLEET, BY)), "audit_unavailable");
  assert.equal(operations.denial(PRINCIPAL, "", ""), undefined);
  state.audit_fault = false;
  assert.equal((await room(store)).operations.denial(PRINCIPAL, "", ""), undefined);
});

Deno.test("when the store fails a halt holds and is stored later, and a halt is not lifted", async () => {
  const { operations, store, state } = await room();
  store.fault = new Error("disk full");
  assert.equal(await refusal(operations.terminate(FLEET, BY)), "storage_failed");
  assert.match(operations.denial(PRINCIPAL, "", "") ?? "", /all operations/);
  assert.equal(operations.status().unsaved, 1);
  assert.equal(await refusal(operations.lift(FLEET, BY)), "storage_failed");
  assert.match(operations.denial(PRINCIPAL, "", "") ?? "", /all operations/);
  store.fault = undefined;
  await operations.tick(state.now_ms);
  assert.equal(operations.status().unsaved, 0);
  assert.match((await room(store)).operations.denial(PRINCIPAL, "", "") ?? "", /all operations/);
});

Deno.test("an order that cannot be read back halts everything until the halt is lifted", async () => {
  const { operations, store } = await room();
  await operations.terminate(WHOLE, BY);
  const records: { key: string; value: string }[] = [];
  for await (const page of store.records("operations")) records.push(...page);
  const [{ key, value } = { key: "", value: "" }] = records;
  const damages = [
    value.slice(0, -1),
    value.replace("terminate", "allow"),
    value.replace('"v":1', '"v":2'),
    value.replace("abab", "cdab"),
    "null",
  ];
  for (const damage of damages) {
    await store.commit([{ kind: "put_record", collection: "operations", key, value: damage }]);
    const again = (await room(store)).operations;
    assert.equal(again.denial(OTHER, "", ""), ORDERS_UNREADABLE, damage);
    assert.equal(again.status().fleet, "damaged");
  }
  const again = (await room(store)).operations;
  await again.lift(FLEET, BY);
  assert.equal(again.denial(OTHER, "", ""), undefined);
  assert.equal((await room(store)).operations.status().fleet, "running");
});

Deno.test("a subscriber that lags is cut off, never left ignorant of a termination", async () => {
  const { operations } = await room();
  const lagging = operations.subscribe(AGENT, new AbortController().signal);
  assert.ok(lagging);
  for (let n = 0; n <= OPERATION_LIMITS.queued_messages; n++) {
    await (n % 2 === 0 ? operations.pause(WHOLE, BY) : operations.resume(WHOLE, BY));
  }
  await operations.lift(WHOLE, BY);
  await operations.terminate(WHOLE, BY);
  assert.equal(lagging.ended, "lagging");
  let read = 0;
  for await (const _message of lagging) read++;
  assert.equal(read, OPERATION_LIMITS.queued_messages, "what was queued is still given");
  const again = operations.subscribe(AGENT, new AbortController().signal);
  assert.ok(again);
  assert.deepEqual(await drained(again, 1), [`terminate agent:${AGENT.agent_id}`]);
  assert.equal(operations.lagging, 1);
});

Deno.test("signals go to their own agent, a halt to everybody, and sequence counts every one", async () => {
  const { operations } = await room();
  const mine = operations.subscribe(AGENT, new AbortController().signal);
  const other = operations.subscribe(
    { registry_key: OTHER.registry_key ?? "", agent_id: OTHER.agent_id },
    new AbortController().signal,
  );
  assert.ok(mine && other);
  assert.equal((await operations.pause(OP, BY)).told, 1);
  assert.equal((await operations.pause(FLEET, BY)).told, 2);
  assert.deepEqual(await drained(mine, 2), ["pause t:s", "pause *"]);
  for await (const message of other) {
    assert.deepEqual(message, { op_id: "*", signal: "pause", sequence: 1n });
    break;
  }
});

Deno.test("more subscriptions of one agent than there may be end the oldest, not the newest", async () => {
  const { operations } = await room();
  const signal = new AbortController().signal;
  const all = Array.from(
    { length: OPERATION_LIMITS.subscribers_per_agent + 1 },
    () => operations.subscribe(AGENT, signal),
  );
  assert.equal(all[0]?.ended, "replaced");
  assert.ok(all.slice(1).every((one) => one?.ended === undefined));
  assert.equal(operations.status().subscribers, OPERATION_LIMITS.subscribers_per_agent);
});

Deno.test("an ended operation leaves the list after 60 s; its order stays", async () => {
  const { operations, state } = await room();
  operations.answered(PRINCIPAL, "denied", "s", 2);
  await operations.terminate(OP, BY);
  assert.deepEqual(operations.ops().map((op) => `${op.op_id} ${op.state}`), [
    "denied:s terminated",
    "t:s terminated",
  ]);
  await operations.tick(state.now_ms += OPERATION_LIMITS.ended_kept_ms - 1);
  assert.equal(operations.ops().length, 2);
  await operations.tick(state.now_ms += OPERATION_LIMITS.sweep_interval_ms);
  assert.equal(operations.ops().length, 0);
  assert.match(operations.denial(PRINCIPAL, "t", "s") ?? "", /terminated/);
});

Deno.test("a denied operation that asks again runs; a verdict is no order", async () => {
  const { operations } = await room();
  operations.answered(PRINCIPAL, "t", "s", 2);
  assert.equal(operations.denial(PRINCIPAL, "t", "s"), undefined);
  operations.answered(PRINCIPAL, "t", "s", 1);
  assert.equal(operations.ops()[0]?.state, "running");
});

Deno.test("an idle operation completes and ends by itself, a paused one waits for its operator", async () => {
  const { operations, state } = await room();
  operations.answered(PRINCIPAL, "idle", "s", 1);
  operations.answered(PRINCIPAL, "t", "s", 1);
  await operations.pause(OP, BY);
  const after = async (ms: number) => {
    await operations.tick(state.now_ms += ms);
    return operations.ops().map((op) => op.state);
  };
  assert.deepEqual(await after(OPERATION_LIMITS.idle_ms), ["completing", "paused"]);
  assert.deepEqual(await after(OPERATION_LIMITS.completing_ms), ["terminated", "paused"]);
  assert.deepEqual(await after(OPERATION_LIMITS.ended_kept_ms), ["paused"]);
});

Deno.test("a clock set back neither ends operations nor stops the sweeping", async () => {
  const { operations, state } = await room();
  await operations.tick(state.now_ms + 1_000_000_000);
  operations.answered(PRINCIPAL, "denied", "s", 2);
  await operations.tick(state.now_ms);
  assert.equal(operations.ops().length, 1);
  await operations.tick(state.now_ms + OPERATION_LIMITS.ended_kept_ms);
  assert.equal(operations.ops().length, 0);
});

Deno.test("a call without trace or span, or with a reserved id, belongs to no operation", () => {
  assert.equal(opIdOf("", "s"), undefined);
  assert.equal(opIdOf("t", ""), undefined);
  assert.equal(opIdOf("agent", "did:key:z6a"), undefined, "it would read as a whole agent");
  assert.equal(opIdOf("t", "s"), "t:s");
  assert.equal(opIdOf("t".repeat(OPERATION_LIMITS.op_id_chars), "s"), undefined);
});

Deno.test("an operation id that several agents use is ordered only with its agent named", async () => {
  const { operations } = await room();
  assert.throws(() => operations.agentOfOp("t:s"), { code: "not_found" });
  operations.answered(PRINCIPAL, "t", "s", 1);
  assert.deepEqual(operations.agentOfOp("t:s"), AGENT);
  operations.answered(OTHER, "t", "s", 1);
  assert.throws(() => operations.agentOfOp("t:s"), { code: "ambiguous" });
  await operations.close();
});

Deno.test("a flood of operations from one agent drops only its own from the list, and no order", async () => {
  const { operations } = await room();
  await operations.terminate(OP, BY);
  operations.answered(OTHER, "kept", "s", 1);
  for (let n = 0; n < OPERATION_LIMITS.listed_ops_per_agent + 10; n++) {
    operations.answered(PRINCIPAL, `flood-${n}`, "s", 1);
  }
  assert.ok(operations.ops().some((op) => op.op_id === "kept:s"));
  assert.equal(operations.ops().length, OPERATION_LIMITS.listed_ops_per_agent + 1);
  assert.match(operations.denial(PRINCIPAL, "t", "s") ?? "", /terminated/);
});

Deno.test("whatever orders are given, in whatever order, a restart brings back the same denials", async () => {
  const targets: OrderTarget[] = [FLEET, WHOLE, OP, {
    kind: "agent",
    agent: { agent_id: "plain" },
  }];
  const step = fc.tuple(
    fc.constantFrom("pause", "resume", "terminate", "lift"),
    fc.nat(targets.length - 1),
    fc.boolean(),
  );
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
    const { operations, store, state } = await room();
    for (const [word, at, audit_fails] of steps) {
      state.audit_fault = audit_fails;
      await operations[word as "pause"](targets[at] ?? FLEET, BY).catch((error) => {
        assert.ok(error instanceof OperationError);
      });
    }
    const again = (await room(store)).operations;
    const { registry_key: _unproven, ...plain } = { ...PRINCIPAL, agent_id: "plain" };
    for (const who of [PRINCIPAL, OTHER, plain]) {
      assert.equal(again.denial(who, "t", "s"), operations.denial(who, "t", "s"));
    }
    assert.deepEqual(
      again.orders().map((order) => JSON.stringify(order)).toSorted(),
      operations.orders().map((order) => JSON.stringify(order)).toSorted(),
    );
  }));
});
