import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Connection } from "./connection.ts";
import { agentNumber } from "./records_arbitrary.ts";

Deno.test("after damage was seen nothing is written any more", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/state.db`;
    const writes = [[{ kind: "put_agent" as const, agent: agentNumber(1) }]];
    const first = new Connection();
    assert.ok(first.answer({ id: 1, kind: "open", options: { path } }).ok);
    assert.ok(first.answer({ id: 2, kind: "commit", writes }).ok);
    assert.ok(first.answer({ id: 3, kind: "close" }).ok);
    const database = new DatabaseSync(path);
    database.exec("UPDATE agents SET tool_names = 'no json'");
    database.close();
    const second = new Connection();
    assert.ok(second.answer({ id: 1, kind: "open", options: { path } }).ok);
    const read = second.answer({ id: 2, kind: "agents", after: "" });
    assert.ok(!read.ok && read.failure.code === "corrupt");
    const written = second.answer({
      id: 3,
      kind: "commit",
      writes: [[{ kind: "put_meta", key: "k", value: "v" }]],
    });
    assert.ok(written.ok && written.result.kind === "committed");
    assert.deepEqual(written.result.failures.map((failure) => failure?.code), ["corrupt"]);
    second.answer({ id: 4, kind: "close" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a connection that is not open refuses by name", () => {
  const connection = new Connection();
  for (
    const request of [{ id: 1, kind: "operators" }, { id: 2, kind: "agents", after: "" }] as const
  ) {
    const response = connection.answer(request);
    assert.ok(!response.ok && response.failure.code === "closed");
  }
  assert.ok(connection.answer({ id: 3, kind: "close" }).ok);
});
