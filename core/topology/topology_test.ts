import assert from "node:assert/strict";
import fc from "fast-check";
import { findCycles } from "./cycles.ts";
import { crossesTeams, EDGE_KINDS, type EdgeKind, type TopologyEdge } from "./edge.ts";
import { lineageOf, treeBelow } from "./tree.ts";

function edge(source: string, target: string, kind: EdgeKind = "calls", id = 1): TopologyEdge {
  const end = (key: string) => ({ key, org_id: "acme", team_id: "ops" });
  return {
    id,
    source: end(source),
    target: end(target),
    kind,
    reported_by: "operator:ana",
    created_at_ms: 0,
  };
}

const pairs = fc.array(fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 9 })), { maxLength: 30 });

/** Whether a walk of at least one step leads from each node to each (Warshall). */
function reaches(edges: readonly (readonly [number, number])[]): boolean[][] {
  const reach = Array.from({ length: 10 }, () => Array<boolean>(10).fill(false));
  const at = (row: number, column: number) => reach[row]?.[column] === true;
  for (const [a, b] of edges) (reach[a] ?? [])[b] = true;
  for (let via = 0; via < 10; via++) {
    for (let a = 0; a < 10; a++) {
      for (let b = 0; b < 10; b++) if (at(a, via) && at(via, b)) (reach[a] ?? [])[b] = true;
    }
  }
  return reach;
}

Deno.test("the cycles found are exactly the groups whose members reach each other", () => {
  fc.assert(fc.property(pairs, (edges) => {
    const reach = reaches(edges);
    const expected = new Set<string>();
    for (let a = 0; a < 10; a++) {
      if (reach[a]?.[a] !== true) continue;
      const group = Array.from({ length: 10 }, (_, b) => b)
        .filter((b) => reach[a]?.[b] === true && reach[b]?.[a] === true);
      expected.add(group.map(String).sort().join());
    }
    const { cycles, more } = findCycles(edges.map(([a, b]) => edge(`${a}`, `${b}`)), 100);
    assert.equal(more, 0);
    assert.deepEqual(new Set(cycles.map(({ members }) => members.join())), expected);
  }));
});

Deno.test("every example is a way round: it starts and ends at the first member", () => {
  fc.assert(fc.property(pairs, (edges) => {
    for (
      const { members, example } of findCycles(edges.map(([a, b]) => edge(`${a}`, `${b}`)), 99)
        .cycles
    ) {
      assert.ok(example.length >= 1 && example.length <= members.length);
      assert.equal(example[0]?.source.key, members[0]);
      assert.equal(example.at(-1)?.target.key, members[0]);
      for (const [at, { target }] of example.slice(0, -1).entries()) {
        assert.equal(example[at + 1]?.source.key, target.key);
      }
    }
  }));
});

Deno.test("a cycle names the kinds of its relations, and of no others", () => {
  const { cycles } = findCycles([
    edge("a", "b", "calls"),
    edge("b", "a", "messages"),
    edge("b", "a", "reads"),
    edge("a", "c", "writes"),
  ], 10);
  assert.deepEqual(cycles.map(({ members, kinds }) => [members, kinds]), [
    [["a", "b"], ["calls", "messages", "reads"]],
  ]);
});

Deno.test("an agent that relates to itself is a cycle of one", () => {
  const { cycles } = findCycles([edge("a", "a"), edge("a", "b")], 10);
  assert.deepEqual(cycles.map(({ members }) => members), [["a"]]);
});

Deno.test("beyond the bound cycles are counted, not lost", () => {
  const loops = ["a", "b", "c"].map((key) => edge(key, key));
  const { cycles, more } = findCycles(loops, 2);
  assert.deepEqual([cycles.length, more], [2, 1]);
});

Deno.test("a chain of a hundred thousand relations exhausts no stack", () => {
  const chain = Array.from({ length: 100_000 }, (_, n) => edge(`${n}`, `${(n + 1) % 100_000}`));
  const { cycles } = findCycles(chain, 10);
  assert.deepEqual(cycles.map(({ members }) => members.length), [100_000]);
});

Deno.test("a relation crosses teams when team or organisation differ", () => {
  const end = (org_id: string, team_id: string) => ({ key: "k", org_id, team_id });
  const crosses = (...ends: [string, string, string, string]) =>
    crossesTeams({ source: end(ends[0], ends[1]), target: end(ends[2], ends[3]) });
  assert.equal(crosses("o", "t", "o", "t"), false);
  assert.equal(crosses("o", "t", "o", "u"), true);
  assert.equal(crosses("o", "t", "p", "t"), true);
  assert.equal(crosses("o", "", "o", "t"), true);
});

interface Node {
  readonly key: string;
  readonly parent?: string;
}

function forest(links: Readonly<Record<string, string | undefined>>) {
  const nodes = Object.entries(links).map(([key, parent]): Node =>
    parent === undefined ? { key } : { key, parent }
  );
  const byKey = (key: string | undefined) => nodes.find((node) => node.key === key);
  const childrenOf = ({ key }: Node) => nodes.filter((node) => node.parent === key);
  return { byKey, childrenOf };
}

const TREE = { a: undefined, b: "a", c: "a", d: "b", e: "d" };

function treeOf(
  root: string,
  max_depth: number,
  nodes_max = 100,
  links: Record<string, string | undefined> = TREE,
) {
  const { byKey, childrenOf } = forest(links);
  return treeBelow(byKey(root) ?? { key: root }, ({ key }) => key, childrenOf, {
    max_depth,
    nodes_max,
  });
}

Deno.test("a tree goes as many generations down as asked, 0 for all", () => {
  const sizes = [0, 1, 2, 3, 9].map((max_depth) => {
    const tree = treeOf("a", max_depth);
    return tree.ok ? tree.nodes : tree.problem;
  });
  assert.deepEqual(sizes, [5, 3, 4, 5, 5]);
});

Deno.test("a tree that is too large or goes in a circle is refused, not cut", () => {
  const large = treeOf("a", 0, 4);
  assert.deepEqual(large, { ok: false, problem: "too_many_nodes" });
  assert.equal(treeOf("a", 0, 5).ok, true);
  const circle = treeOf("a", 0, 100, { a: "c", b: "a", c: "b" });
  assert.deepEqual(circle, { ok: false, problem: "loop" });
});

Deno.test("a lineage lists the ancestors, the root first, and ends however the links lie", () => {
  const { byKey } = forest(TREE);
  const of = (key: string) =>
    lineageOf(byKey(key) ?? { key }, ({ parent }) => byKey(parent), 10).map(({ key }) => key);
  assert.deepEqual([of("e"), of("b"), of("a")], [["a", "b", "d"], ["a"], []]);
  const circle = forest({ x: "y", y: "x" });
  const around = lineageOf(
    { key: "x", parent: "y" },
    ({ parent }: Node) => circle.byKey(parent),
    10,
  );
  assert.equal(around.length, 10);
});

Deno.test("the six kinds are those of the contract", () => {
  assert.deepEqual(EDGE_KINDS, [
    "delegates_to",
    "calls",
    "reads",
    "writes",
    "approves",
    "messages",
  ]);
});
