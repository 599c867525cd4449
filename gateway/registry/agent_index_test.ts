import assert from "node:assert/strict";
import { agentNumber } from "../../storage/sqlite/records_arbitrary.ts";
import { AgentIndex } from "./agent_index.ts";

Deno.test("teams without agents leave nothing behind", () => {
  const index = new AgentIndex();
  const agents = [1, 2, 3].map((number) => agentNumber(number, { team_id: `t${number % 2}` }));
  for (const agent of agents) index.install(agent);
  assert.equal(index.teams, 2);
  for (const { token_hash: _, ...agent } of agents) {
    index.install({ ...agent, state: { status: "deregistered", reason: "", since_ms: 1 } });
  }
  assert.equal(index.teams, 0);
  assert.equal(index.size, 0);
  for (const agent of agents) assert.equal(index.byTokenHash(agent.token_hash ?? ""), undefined);
});

Deno.test("an agent whose token changes is found by the new one only", () => {
  const index = new AgentIndex();
  const before = agentNumber(1);
  const after = { ...before, token_hash: "e".repeat(64) };
  index.install(before);
  index.install(after);
  assert.equal(index.byTokenHash(before.token_hash ?? ""), undefined);
  assert.equal(index.byTokenHash(after.token_hash)?.record, after);
});

Deno.test("an agent that loses its parent is nobody's child", () => {
  const index = new AgentIndex();
  const parent = agentNumber(1);
  const child = agentNumber(2, { parent_key: parent.key, depth: 1, tool_names: ["bash"] });
  index.install(parent);
  index.install(child);
  const entry = index.byKey(parent.key);
  assert.ok(entry !== undefined);
  assert.deepEqual(index.childFacts(entry).tools, ["bash"]);
  index.install({ ...child, orphaned: true });
  assert.equal(entry.children.size, 0);
  assert.deepEqual(index.childFacts(entry).tools, []);
});
