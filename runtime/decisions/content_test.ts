import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { policy } from "../../proto/mod.ts";
import { keptNames } from "./content.ts";

Deno.test("a call that nobody judged is on record by its names, whatever its kind", () => {
  const calls = [
    { case: "llmCall", value: { model: "demo-model", promptTokens: 12 } },
    { case: "toolCall", value: { toolName: "deploy" } },
    { case: "toolResult", value: { toolName: "deploy" } },
    { case: "fileOp", value: { operation: "read", path: "/etc/hosts" } },
    { case: "networkCall", value: { host: "git.example", port: 443, protocol: "https" } },
    { case: "processExec", value: { command: "ls" } },
  ] as const;
  for (const action of calls) {
    const kept = keptNames(create(policy.ActionContextSchema, { action }), undefined).action;
    assert.equal(kept.case, action.case, "an action that is lost makes the record unreadable");
    for (const [name, value] of Object.entries(action.value)) {
      assert.equal(Object(kept.value)[name], value, `${action.case}.${name}`);
    }
  }
});
