import assert from "node:assert/strict";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { enrolledBy, loadRouting } from "./approvals.ts";

Deno.test("an agent's owner is the operator whose enrolment it registered under", () => {
  const created_by: Record<string, string> = { e1: "operator:alice", e2: "gateway" };
  const enrolments = {
    byId: (id: string) => created_by[id] === undefined ? undefined : { created_by: created_by[id] },
  };
  const ownerOf = enrolledBy({ enrolments } as unknown as Parameters<typeof enrolledBy>[0]);
  const owner = (enrolment_id?: string) => ownerOf({ enrolment_id } as AgentRecord);
  assert.deepEqual([owner("e1"), owner("e2"), owner("gone"), owner()], [
    "alice",
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("a routing file that is missing, no JSON or wrong in a row stops the start by name", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, '[{ "approvers": ["alice"] }]');
    assert.deepEqual((await loadRouting(path))[0]?.approvers, ["alice"]);
    await Deno.writeTextFile(path, '[{ "aprovers": [] }]');
    await assert.rejects(loadRouting(path), /approval routing `.*`: \[0\]\.aprovers: unknown key/);
    await Deno.writeTextFile(path, "approvers:");
    await assert.rejects(loadRouting(path), /is not JSON/);
    await assert.rejects(loadRouting("/nowhere/routing.json"), /cannot read approval routing/);
    assert.deepEqual(await loadRouting(undefined), []);
  } finally {
    await Deno.remove(path);
  }
});
