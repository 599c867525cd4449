import assert from "node:assert/strict";
import fc from "fast-check";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import type { OrphanMode } from "./lineage.ts";
import { Fixture, triple } from "./registry_fixture.ts";

const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);

Deno.test("G1: a depth-9 agent cannot spawn", async () => {
  const fixture = await Fixture.create();
  const keys = await fixture.registerChain(...names(10));
  const depths = keys.map((key) => fixture.registry.byKey(key)?.depth);
  assert.deepEqual(depths, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await assert.rejects(fixture.register("n10", { parent_agent_id: "n9" }), {
    code: "depth_exceeded",
  });
});

Deno.test("G2: a parent in another team or organisation is not found", async () => {
  const fixture = await Fixture.create();
  await fixture.register("parent");
  for (const elsewhere of [{ team_id: "other" }, { org_id: "other" }, { team_id: "" }]) {
    await assert.rejects(fixture.register("child", { parent_agent_id: "parent", ...elsewhere }), {
      code: "parent_not_registered",
    });
  }
});

Deno.test("a parent that is empty, unknown or deregistered is not found", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("gone");
  await fixture.registry.deregister(agent.key, "done");
  for (const parent_agent_id of ["", "unknown", "gone", "child"]) {
    await assert.rejects(fixture.register("child", { parent_agent_id }), {
      code: "parent_not_registered",
    });
  }
});

Deno.test("a registered agent that names itself as parent is in a loop", async () => {
  const fixture = await Fixture.create();
  await fixture.register("a");
  await assert.rejects(fixture.register("a", { parent_agent_id: "a" }), { code: "lineage_loop" });
});

Deno.test("the root is the topmost ancestor's key, and an agent's own without a parent", async () => {
  const fixture = await Fixture.create();
  const keys = await fixture.registerChain("a", "b", "c");
  for (const key of keys) assert.equal(fixture.registry.byKey(key)?.root_key, keys[0]);
});

Deno.test("G5: descendants of a deregistered parent are suspended, however deep", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = "", c = ""] = await fixture.registerChain("a", "b", "c");
  const { agent: other } = await fixture.register("other");
  const { also } = await fixture.registry.deregister(a, "done");
  assert.deepEqual(also.map((agent) => agent.key), [b, c]);
  for (const key of [b, c]) {
    const record = fixture.registry.byKey(key);
    assert.ok(record?.state.status === "suspended");
    assert.equal(record.state.cause, "parent_deregistered");
  }
  assert.deepEqual([fixture.registry.byKey(b)?.orphaned, fixture.registry.byKey(c)?.orphaned], [
    true,
    false,
  ]);
  assert.equal(fixture.registry.byKey(other.key)?.state.status, "active");
  const changes = fixture.audited.slice(-3).map((change) => [change.action, change.after.key]);
  assert.deepEqual(changes, [
    ["agent_deregistered", a],
    ["agent_suspended", b],
    ["agent_suspended", c],
  ]);
});

Deno.test("trap 45: promoted children take their whole subtree to the new root", async () => {
  const fixture = await Fixture.create({ orphan_mode: "promote_to_root" });
  const [a = "", b = "", c = "", d = ""] = await fixture.registerChain("a", "b", "c", "d");
  await fixture.registry.deregister(a, "done");
  const lineage = (key: string) => {
    const record = fixture.registry.byKey(key);
    return [record?.depth, record?.root_key, record?.state.status];
  };
  const expected = [[0, b, "active"], [1, b, "active"], [2, b, "active"]];
  assert.deepEqual([b, c, d].map(lineage), expected);
  await fixture.restart();
  assert.deepEqual([b, c, d].map(lineage), expected);
});

Deno.test("trap 45: a cascading deregistration leaves no token and no agent behind", async () => {
  const fixture = await Fixture.create({ orphan_mode: "cascade_deregister" });
  const parent = await fixture.register("a");
  const child = await fixture.register("b", { parent_agent_id: "a" });
  const { credential_token } = await fixture.register("c", { parent_agent_id: "b" });
  await fixture.registry.deregister(parent.agent.key, "done");
  assert.equal(fixture.registry.size, 0);
  for (const token of [parent.credential_token, child.credential_token, credential_token]) {
    assert.equal(fixture.registry.byToken(token), undefined);
  }
  for (const record of fixture.store.records.values()) assert.equal(record.token_hash, undefined);
});

Deno.test("a child of a suspended parent is born suspended: spawning is no way out", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  await fixture.registry.suspend(agent.key, "looked odd");
  const child = await fixture.register("b", { parent_agent_id: "a" });
  assert.ok(child.agent.state.status === "suspended");
  assert.equal(child.agent.state.cause, "parent_suspended");
});

Deno.test("a parent that registers again is a new parent: it has no children yet", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = ""] = await fixture.registerChain("a", "b");
  await fixture.registry.deregister(a, "done");
  await fixture.register("a");
  for (const _ of ["now", "after a restart"]) {
    assert.equal(fixture.registry.childCount(a), 0);
    assert.equal(fixture.registry.byKey(b)?.parent_key, a);
    await fixture.restart();
  }
});

Deno.test("an agent cannot register again below its own former child", async () => {
  const fixture = await Fixture.create();
  const [a = ""] = await fixture.registerChain("a", "b", "c");
  await fixture.registry.deregister(a, "done");
  await assert.rejects(fixture.register("a", { parent_agent_id: "c" }), { code: "lineage_loop" });
});

Deno.test("two registrations at once cannot close a loop between them", async () => {
  const fixture = await Fixture.create();
  const [a = ""] = await fixture.registerChain("a", "b");
  const [c = ""] = await fixture.registerChain("c", "d");
  await fixture.registry.deregister(a, "done");
  await fixture.registry.deregister(c, "done");
  // b was below a, d was below c: a below d and c below b together would be a ring.
  const outcomes = await Promise.allSettled([
    fixture.register("a", { parent_agent_id: "d" }),
    fixture.register("c", { parent_agent_id: "b" }),
  ]);
  assert.deepEqual(outcomes.map((outcome) => outcome.status), ["fulfilled", "rejected"]);
});

Deno.test("a child registering while its parent leaves is refused, or follows the parent", async () => {
  const leaving = await Fixture.create();
  const { agent } = await leaving.register("a");
  const [, refused] = await Promise.allSettled([
    leaving.registry.deregister(agent.key, "done"),
    leaving.register("b", { parent_agent_id: "a" }),
  ]);
  assert.ok(refused.status === "rejected");
  assert.equal(refused.reason.code, "parent_not_registered");

  const arriving = await Fixture.create();
  const { agent: parent } = await arriving.register("a");
  const [child] = await Promise.all([
    arriving.register("b", { parent_agent_id: "a" }),
    arriving.registry.deregister(parent.key, "done"),
  ]);
  const record = arriving.registry.byKey(child.agent.key);
  assert.deepEqual([record?.state.status, record?.orphaned], ["suspended", true]);
});

Deno.test("a stored registry that contradicts itself is refused, not repaired by guessing", async () => {
  const damages: ((child: AgentRecord) => AgentRecord)[] = [
    (child) => ({ ...child, depth: 2 }),
    (child) => ({ ...child, root_key: child.key }),
    (child) => ({ ...child, parent_key: "f".repeat(32) }),
    (child) => ({ ...child, team_id: "other" }),
    (child) => ({ ...child, org_id: "other" }),
  ];
  for (const damage of damages) {
    const fixture = await Fixture.create();
    const [, child = ""] = await fixture.registerChain("a", "b");
    const record = fixture.store.records.get(child);
    assert.ok(record !== undefined);
    fixture.store.records.set(child, damage(record));
    await assert.rejects(fixture.restart(), (error) => {
      return error instanceof RegistryError && error.code === "inconsistent" &&
        error.message.includes(child);
    });
  }
});

type Step =
  | { readonly do: "register"; readonly id: number; readonly parent: number | undefined }
  | { readonly do: "deregister" | "suspend" | "resume" | "kill"; readonly id: number }
  | { readonly do: "reparent"; readonly id: number; readonly parent: number | undefined }
  | { readonly do: "restart" };

const id = fc.nat({ max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("register" as const),
      id,
      parent: fc.option(id, { nil: undefined }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "deregister" as const,
        "suspend" as const,
        "resume" as const,
        "kill" as const,
      ),
      id,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("reparent" as const),
      id,
      parent: fc.option(id, { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);

function assertSoundLineage(fixture: Fixture): void {
  const records = [...fixture.store.records.values()];
  let active = 0;
  for (const record of records) {
    assert.ok(record.depth < REGISTRY_LIMITS.lineage_depth, "too deep");
    // Following parents, past ones included, always ends.
    const seen = new Set<string>();
    let key: string | undefined = record.key;
    while (key !== undefined) {
      assert.ok(!seen.has(key), "a loop");
      seen.add(key);
      key = fixture.store.records.get(key)?.parent_key;
    }
    if (record.state.status === "deregistered") {
      assert.equal(record.token_hash, undefined);
      continue;
    }
    if (record.state.status === "active") active++;
    const killed = record.state.status === "suspended" && record.state.cause === "killed";
    assert.equal(
      record.token_hash === undefined,
      killed,
      "a killed agent, and no other, has no token",
    );
    const parent = record.orphaned ? undefined : record.parent_key;
    if (parent === undefined) continue;
    const above = fixture.registry.byKey(parent);
    assert.ok(above !== undefined && above.state.status !== "deregistered");
    assert.equal(record.depth, above.depth + 1);
    assert.equal(record.root_key, above.root_key);
    assert.ok(fixture.registry.childrenOf(parent).some((child) => child.key === record.key));
  }
  const live = records.filter(({ state }) => state.status !== "deregistered");
  assert.equal(fixture.registry.size, live.length);
  const [first] = live;
  if (first === undefined) return;
  const { context } = fixture.registry.principalOf(first, fixture.now_ms);
  assert.equal(context?.team_active_agents, active);
}

async function run(fixture: Fixture, step: Step): Promise<void> {
  fixture.now_ms += 1_000;
  if (step.do === "restart") return await fixture.restart();
  const record = fixture.registry.byTriple(triple(`n${step.id}`));
  const key = record?.key ?? "";
  const change = step.do === "register"
    ? fixture.register(
      `n${step.id}`,
      step.parent === undefined ? {} : { parent_agent_id: `n${step.parent}` },
    )
    : step.do === "deregister"
    ? fixture.registry.deregister(key, "x")
    : step.do === "kill"
    ? fixture.registry.kill(key, "x", { kind: "operator", name: "ops" }, step.id % 2 === 0)
    : step.do === "reparent"
    ? fixture.registry.reparent(
      key,
      step.parent === undefined
        ? undefined
        : fixture.registry.byTriple(triple(`n${step.parent}`))?.key ?? "",
      "x",
      { kind: "operator", name: "ops" },
    )
    : step.do === "suspend"
    ? fixture.registry.suspend(key, "x", { cascade: step.id % 2 === 0 })
    : fixture.registry.resume(key, "x");
  await change.catch((error: unknown) => assert.ok(error instanceof RegistryError, String(error)));
}

Deno.test("lineage has no loop and no depth of 10, whatever is done in whatever order", async () => {
  const modes: OrphanMode[] = ["suspend", "promote_to_root", "cascade_deregister"];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...modes),
      fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 40 }),
      async (orphan_mode, rounds) => {
        const fixture = await Fixture.create({ orphan_mode });
        for (const round of rounds) {
          // Steps of one round run at the same time; a restart waits for what runs.
          await Promise.all(
            round.filter(({ do: what }) => what !== "restart").map((one) => run(fixture, one)),
          );
          if (round.some(({ do: what }) => what === "restart")) await fixture.restart();
          assertSoundLineage(fixture);
        }
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("a long chain stays within the depth, also through re-registration", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(id, { minLength: 20, maxLength: 60 }), async (ids) => {
      const fixture = await Fixture.create();
      let previous: string | undefined;
      for (const each of ids) {
        const below = previous === undefined ? {} : { parent_agent_id: previous };
        await fixture.register(`n${each}`, below).then(
          () => previous = `n${each}`,
          (error) => assert.ok(error instanceof RegistryError),
        );
        assertSoundLineage(fixture);
      }
    }),
    { numRuns: 50 },
  );
});
