/** Conformance group C: capabilities (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { decide } from "./decide.ts";
import { agent, ask, call, directory, exec, facts, file } from "./policy_fixture.ts";

const DENIED = "deny: capability denied by policy";
const NOT_LISTED = "deny: capability not in allow list";
const AGENT_SCOPE = "scope: agent:00000000-0000-0000-0000-0000000000a1";
const NO_EXEC_NO_WRITE = directory("capabilities: { deny: [terminal_exec, file_write] }");

Deno.test("C1: a denied capability stops a program start", () => {
  assert.equal(ask(NO_EXEC_NO_WRITE, exec("id")), DENIED);
});

Deno.test("C2: denying writes also denies deletes", () => {
  assert.equal(ask(NO_EXEC_NO_WRITE, file("write", "/etc/passwd")), DENIED);
  assert.equal(ask(NO_EXEC_NO_WRITE, file("append", "/etc/passwd")), DENIED);
  assert.equal(ask(NO_EXEC_NO_WRITE, file("delete", "/etc/passwd")), DENIED);
});

Deno.test("C3: reading passes when only writes are denied", () => {
  assert.equal(ask(NO_EXEC_NO_WRITE, file("read", "/tmp/ok")), "allow");
});

Deno.test("C4: denying deletes does not deny writes", () => {
  const policy = directory("capabilities: { deny: [file_delete] }");
  assert.equal(ask(policy, file("write", "/tmp/a")), "allow");
  assert.equal(ask(policy, file("delete", "/tmp/a")), DENIED);
});

Deno.test("C5: allowing writes does not allow deletes", () => {
  const policy = directory("capabilities: { allow: [file_read, file_write] }");
  assert.equal(ask(policy, file("delete", "/tmp/a")), NOT_LISTED);
});

Deno.test("C6: a denied tool capability stops that tool alone", () => {
  const policy = directory('capabilities: { deny: ["mcp_tool:git"] }');
  assert.equal(ask(policy, call("git")), DENIED);
  assert.equal(ask(policy, call("ls")), "allow");
});

Deno.test("C7: an allow list of one tool denies the others", () => {
  const policy = directory('capabilities: { allow: ["mcp_tool:git"] }');
  assert.equal(ask(policy, call("ls")), NOT_LISTED);
  assert.equal(ask(policy, call("git")), "allow");
});

Deno.test("C8: denials are united over the cascade", () => {
  const policy = directory(
    "capabilities: { deny: [file_write] }",
    `${AGENT_SCOPE}\ncapabilities: { allow: [file_read, file_write] }`,
  );
  assert.equal(ask(policy, file("write", "/tmp/a")), DENIED);
});

Deno.test("C9: allow lists are intersected, and an allow under a list is narrowed", () => {
  const policy = directory(
    "capabilities: { allow: [file_read, file_write] }",
    `${AGENT_SCOPE}\ncapabilities: { allow: [file_read] }`,
  );
  assert.equal(ask(policy, file("write", "/tmp/a")), NOT_LISTED);
  const read = decide(policy, file("read", "/tmp/a"), facts());
  assert.equal(read.outcome, "allow");
  assert.equal(read.narrowed, true);
});

Deno.test("C10: without capability sections an allow is not narrowed", () => {
  const policy = directory("{}", `${AGENT_SCOPE}\ntools: {}`);
  const decision = decide(policy, file("write", "/tmp/a"), facts());
  assert.equal(decision.outcome, "allow");
  assert.equal(decision.narrowed, false);
});

Deno.test("C11: an empty intersection denies everything", () => {
  const policy = directory(
    "capabilities: { allow: [file_read] }",
    "scope: team:t1\ncapabilities: { allow: [file_write] }",
  );
  assert.equal(ask(policy, file("read", "/tmp/a")), NOT_LISTED);
  assert.equal(ask(policy, file("write", "/tmp/a")), NOT_LISTED);
});

Deno.test("a message needs no capability and is never narrowed", () => {
  const policy = directory("capabilities: { allow: [file_read] }");
  const decision = decide(policy, { kind: "send_message" }, facts({ principal: agent() }));
  assert.equal(decision.outcome, "allow");
  assert.equal(decision.narrowed, false);
});
