/** Conformance group X: the cascade (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import fc from "fast-check";
import { applicableDocuments, compilePolicySet } from "./compile.ts";
import { decide } from "./decide.ts";
import { capabilityMatrix } from "./matrix.ts";
import {
  agent,
  ask,
  call,
  directory,
  exec,
  facts,
  NOON_MS,
  request,
  STRANGER,
} from "./policy_fixture.ts";

const NO_BASH = "scope: org:o1\ntools: { bash: { allow: false } }";
const DENIED = "deny: tool denied by policy";

Deno.test("X1: an organisation's document governs its agents alone", () => {
  const policy = directory("tools: {}", NO_BASH);
  assert.equal(ask(policy, call("bash")), DENIED);
  assert.equal(ask(policy, call("bash"), { principal: agent({ org_id: "o2" }) }), "allow");
});

Deno.test("X2: only the authoritative organisation counts; a request cannot carry another", () => {
  const policy = directory("tools: {}", NO_BASH);
  const claiming = call("bash", { org_id: "o2", scope: "org:o2" });
  assert.equal(ask(policy, claiming, { principal: agent({ org_id: "o1" }) }), DENIED);
});

Deno.test("X3: an unregistered agent placed in an organisation is governed by it", () => {
  const policy = directory("tools: {}", NO_BASH);
  assert.equal(ask(policy, call("bash"), { principal: { ...STRANGER, org_id: "o1" } }), DENIED);
});

Deno.test("X4: a narrower allow never cancels a wider deny", () => {
  const policy = directory(
    "tools: { bash: { allow: false } }",
    "scope: agent:00000000-0000-0000-0000-0000000000a1\ntools: { bash: { allow: true } }",
  );
  assert.equal(ask(policy, call("bash")), DENIED);
});

Deno.test("X5: of two conditions that fire, the narrower document's timeout is used", () => {
  const asks = "tools: { bash: { allow: true, requires_approval_if: 'tool == \"bash\"' } }";
  const agents = "scope: agent:00000000-0000-0000-0000-0000000000a1\napproval_timeout_secs: 600";
  assert.equal(ask(directory(`${agents}\n${asks}`, asks), call("bash")), "approval 600");
});

Deno.test("X6: a deny outranks an approval", () => {
  const asks = "tools: { fetch: { allow: true, requires_approval_if: 'tool == \"fetch\"' } }";
  const wide = 'capabilities: { deny: ["mcp_tool:fetch"] }';
  const policy = directory(wide, `scope: team:t1\n${asks}`);
  assert.equal(ask(policy, call("fetch")), "deny: capability denied by policy");
  const hosts = directory("network: { allowlist: [a.example] }", `scope: team:t1\n${asks}`);
  assert.equal(ask(hosts, request("https://b.example/")), "deny: host not in network allowlist");
});

Deno.test("X7: a document scoped to a tool applies to that tool's calls and results alone", () => {
  const policy = directory("{}", "scope: tool:bash\ncapabilities: { deny: [terminal_exec] }");
  const applying = (action: Parameters<typeof ask>[1]) =>
    applicableDocuments(policy, agent(), action).map((by) => by.document.file);
  assert.deepEqual(applying(call("bash")), ["p0.yaml", "p1.yaml"]);
  const result = { kind: "tool_result", tool: "bash", result: "" } as const;
  assert.deepEqual(applying(result), ["p0.yaml", "p1.yaml"]);
  assert.deepEqual(applying(call("ls")), ["p0.yaml"]);
  assert.equal(ask(policy, exec("bash")), "allow");
});

Deno.test("X11: live context is read at each call", () => {
  const policy = directory(
    "tools: { x: { allow: true, requires_approval_if: 'agent.depth > 3' } }",
  );
  const at = (depth: number) =>
    ask(policy, call("x"), { principal: agent({ context: { depth } }) });
  assert.equal(at(1), "allow");
  assert.equal(at(9), "approval 300");
  assert.equal(at(1), "allow");
});

Deno.test("X12: without a governing document the matrix is unconfigured, not allowed", () => {
  assert.deepEqual(capabilityMatrix(compilePolicySet([]), agent()), { state: "unconfigured" });
  const elsewhere = directory("scope: org:elsewhere\ntools: {}");
  assert.deepEqual(capabilityMatrix(elsewhere, agent()), { state: "unconfigured" });
});

Deno.test("documents apply widest first: global, org, team, agent, tool", () => {
  const policy = directory(
    "scope: tool:bash",
    "scope: agent:00000000-0000-0000-0000-0000000000a1",
    "scope: team:t1",
    "scope: org:o1",
    "scope: global",
    "scope: agent:ffffffff-ffff-ffff-ffff-ffffffffffff",
    "scope: agent:00000000-0000-0000-0000-0000000000a1",
  );
  const files = applicableDocuments(policy, agent(), call("bash")).map((by) => by.document.file);
  assert.deepEqual(files, [
    "p4.yaml",
    "p3.yaml",
    "p2.yaml",
    "p1.yaml",
    "p5.yaml",
    "p6.yaml",
    "p0.yaml",
  ]);
});

Deno.test("the document that denied is named; else the one that asked; else the last", () => {
  const policy = directory(
    "tools: { bash: { allow: false } }",
    "scope: org:o1\ntools: { ls: { allow: true, requires_approval_if: 'tool == \"ls\"' } }",
    "scope: team:t1\ntools: {}",
  );
  const digests = policy.documents.map((by) => by.document.digest);
  const idOf = (tool: string) =>
    decide(policy, call(tool), facts({ now_ms: NOON_MS })).policy_doc_id;
  assert.deepEqual([idOf("bash"), idOf("ls"), idOf("cat")], digests);
});

Deno.test("asking for one agent never changes which documents govern another", () => {
  const ids = ["1".repeat(32), "2".repeat(32), "3".repeat(32)];
  const uuid = (id: string) => id.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  const texts = ["org", "team", "agent", "tool"].flatMap((tier) =>
    ids.map((id) => `scope: ${tier}:${tier === "agent" ? uuid(id) : id}`)
  );
  const shared = directory("{}", ...texts);
  const fresh = () => compilePolicySet(shared.documents.map((by) => by.document));
  const filesOf = (policy: typeof shared, [org_id, team_id, own, registered, tool]: string[]) =>
    applicableDocuments(
      policy,
      agent({
        org_id: org_id ?? "",
        team_id: team_id ?? "",
        engine_key: own ?? "",
        registry_key: registered ?? "",
      }),
      call(tool ?? ""),
    ).map((by) => by.document.file);
  const id = fc.constantFrom(...ids, "none");
  fc.assert(
    fc.property(fc.array(id, { minLength: 5, maxLength: 5 }), (who) => {
      assert.deepEqual(filesOf(shared, who), filesOf(fresh(), who));
    }),
    { numRuns: 500 },
  );
});
