import assert from "node:assert/strict";
import { choosePolicyFiles } from "./directory.ts";

Deno.test("policies are taken in code-unit order, tests are left out, .yml is named", () => {
  const choice = choosePolicyFiles("p", [
    "b.yaml",
    "a.yml",
    "Z.yaml",
    "b.test.yaml",
    "x.txt",
    "ä.yaml",
  ]);
  assert.deepEqual(choice.names, ["Z.yaml", "b.yaml", "ä.yaml"]);
  assert.deepEqual(choice.warnings, ["p/a.yml: not loaded: policy files end in .yaml, rename it"]);
});
