/** Conformance group F: path scopes (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { mergePathScopes } from "./filesystem.ts";
import { loadPolicy } from "./load.ts";
import { ask, directory, file, load } from "./policy_fixture.ts";

const OUTSIDE = "deny: path not in filesystem allowlist";

/** The merged read scope of documents: paths, or the state's name. */
function merged(...texts: string[]): readonly string[] | string {
  const scope = mergePathScopes(load(...texts), "read");
  return scope.state === "stated" ? scope.subtrees.paths : scope.state;
}

function reading(...paths: string[]): string {
  return `filesystem: { read: { allow: [${paths.join(", ")}] } }`;
}

function inTeam(text: string): string {
  return `scope: team:t1\n${text}`;
}

Deno.test("F1: two tiers leave what both hold", () => {
  const texts = [reading("/workspace"), inTeam(reading("/workspace/src"))];
  assert.deepEqual(merged(...texts), ["/workspace/src"]);
  const policy = directory(...texts);
  assert.equal(ask(policy, file("read", "/workspace/src/a.ts")), "allow");
  assert.equal(ask(policy, file("read", "/workspace/b.ts")), OUTSIDE);
});

Deno.test("F2: disjoint tiers deny every path", () => {
  const texts = [reading("/a"), inTeam(reading("/b"))];
  assert.deepEqual(merged(...texts), []);
  const policy = directory(...texts);
  for (const path of ["/a", "/b", "/a/b", "/", "/c"]) {
    assert.equal(ask(policy, file("read", path)), OUTSIDE);
  }
});

Deno.test("F3: a silent tier does not widen", () => {
  assert.deepEqual(merged(reading("/a"), inTeam("tools: {}")), ["/a"]);
  const policy = directory(reading("/a"), inTeam("tools: {}"));
  assert.equal(ask(policy, file("read", "/b")), OUTSIDE);
});

Deno.test("F4: names are matched whole", () => {
  const policy = directory(reading("/workspace"));
  assert.equal(ask(policy, file("read", "/workspace-old/x")), OUTSIDE);
  assert.equal(ask(policy, file("read", "/workspace/x")), "allow");
  assert.equal(ask(policy, file("read", "/workspace")), "allow");
});

Deno.test("F5: an entry that climbs is refused at load", () => {
  const loaded = loadPolicy("p.yaml", reading("/workspace/../etc"), { reject_blank: false });
  assert.equal(loaded.ok, false);
});

Deno.test("F6: an empty section states nothing", () => {
  assert.equal(merged("filesystem: {}"), "not_stated");
  assert.equal(ask(directory("filesystem: {}"), file("read", "/etc/passwd")), "allow");
});

Deno.test("no document at all is its own state, not an absence of rules", () => {
  assert.equal(merged(), "empty_cascade");
});

Deno.test("the verbs are separate; `write` covers append and delete", () => {
  const policy = directory("filesystem: { write: { allow: [/out] } }");
  assert.equal(ask(policy, file("read", "/etc/hosts")), "allow");
  for (const mode of ["write", "append", "delete"] as const) {
    assert.equal(ask(policy, file(mode, "/out/a")), "allow");
    assert.equal(ask(policy, file(mode, "/etc/hosts")), OUTSIDE);
  }
});
