import assert from "node:assert/strict";
import { toolQuery } from "./_fixture.ts";
import { decideByRules, loadLocalPolicy, LocalPolicyError, readLocalRules } from "./fallback.ts";
import { DECISION_LIMITS } from "./limits.ts";

const AGENT = { org: "", team: "", did: "a", token: "" };
const bytes = (text: string) => () => Promise.resolve(new TextEncoder().encode(text));

Deno.test("the file of the contract loads, with its defaults", async () => {
  const text = `[[rules]]\nname = "no shell"\nblocked_actions = ["PROCESS_EXEC"]\n`;
  assert.deepEqual(await loadLocalPolicy("/p", bytes(text)), {
    state: "loaded",
    path: "/p",
    rules: [{
      name: "no shell",
      blocked_actions: ["PROCESS_EXEC"],
      requires_approval_actions: [],
      approval_timeout_secs: 300,
    }],
  });
});

Deno.test("an empty path disables, a missing file is a name, anything else unreadable stops the start", async () => {
  assert.deepEqual(await loadLocalPolicy(""), { state: "disabled" });
  const gone = () => Promise.reject(new Deno.errors.NotFound("gone"));
  assert.deepEqual(await loadLocalPolicy("/p", gone), { state: "missing", path: "/p" });
  const forbidden = () => Promise.reject(new Deno.errors.PermissionDenied("no"));
  await assert.rejects(loadLocalPolicy("/p", forbidden), LocalPolicyError);
  const large = () => Promise.resolve(new Uint8Array(DECISION_LIMITS.local_policy_bytes + 1));
  await assert.rejects(loadLocalPolicy("/p", large), /is longer than/);
  await assert.rejects(loadLocalPolicy("/dev/zero"), /is longer than/);
  assert.deepEqual(await loadLocalPolicy("/dev/null"), {
    state: "loaded",
    path: "/dev/null",
    rules: [],
  });
});

Deno.test("what is no policy is refused with the field and what was expected", () => {
  const bad: Readonly<Record<string, RegExp>> = {
    "rules = 1": /rules: must be written/,
    "[[rules]]\nblocked_actions = []": /rules\[0\]\.name/,
    '[[rules]]\nname = "x"\nblocked_actions = ["TOOLCALL"]': /expected any of LLM_CALL.*`TOOLCALL`/,
    '[[rules]]\nname = "x"\napproval_timeout_secs = 0': /approval_timeout_secs/,
    "[[rules": /local policy `\/p`/,
  };
  for (const [text, expected] of Object.entries(bad)) {
    assert.throws(() => readLocalRules(text, "/p"), expected);
  }
});

Deno.test("what an action is counts, whatever the caller labels it", () => {
  const rules = readLocalRules('[[rules]]\nname = "x"\nblocked_actions = ["TOOL_CALL"]', "/p");
  const labelled = toolQuery(AGENT, "search", "{}", { actionType: 1 });
  assert.deepEqual(decideByRules(rules, labelled), {
    verdict: "deny",
    reason: "blocked by rule: x",
    rule: "x",
  });
});

Deno.test("a block stands before an approval, and what matches nothing is allowed", () => {
  const text = `[[rules]]
name = "ask"
requires_approval_actions = ["TOOL_CALL", "LLM_CALL"]
approval_timeout_secs = 7
[[rules]]
name = "never"
blocked_actions = ["TOOL_CALL"]
`;
  const rules = readLocalRules(text, "/p");
  assert.equal(decideByRules(rules, toolQuery(AGENT, "x")).verdict, "deny");
  assert.equal(decideByRules([], toolQuery(AGENT, "x")).verdict, "allow");
});
