import assert from "node:assert/strict";
import { Halts } from "./halts.ts";

Deno.test("a pause under another name of the agent does not lift its termination", () => {
  const halts = new Halts("coder-1");
  const terminated = { op_id: "agent:did:key:zA", signal: "terminate" } as const;
  const paused = { op_id: "agent:coder-1", signal: "pause" } as const;
  for (const orders of [[terminated, paused], [paused, terminated]]) {
    halts.replace(orders);
    assert.equal(halts.governing("", "")?.signal, "terminate");
  }
  halts.replace([]);
  assert.equal(halts.governing("", ""), undefined);
});

Deno.test("more orders than can be kept hold everything", () => {
  const halts = new Halts("coder-1");
  halts.replace(Array.from({ length: 10_001 }, (_, at) => ({
    op_id: `trace:${at}`,
    signal: "pause" as const,
  })));
  assert.deepEqual(halts.governing("other", "span"), { op_id: "*", signal: "pause" });
});
