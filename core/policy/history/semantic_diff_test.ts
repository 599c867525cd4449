import assert from "node:assert/strict";
import fc from "fast-check";
import { loadPolicy } from "../load.ts";
import { policyText, SCOPES } from "../policy_arbitrary.ts";
import { type NamedDocument, rulesOf, semanticDiff } from "./semantic_diff.ts";

function named(name: string, text: string): NamedDocument {
  const loaded = loadPolicy(name, text);
  assert.ok(loaded.ok, text);
  return { name, document: loaded.document };
}

Deno.test("every kind of rule that changes is told by its path, before and after", () => {
  const before = named(
    "a.yaml",
    `
tools: { bash: { allow: false }, search: { allow: true, limit_per_hour: 5 } }
network: { allowlist: [a.example, b.example] }
budget: { daily_limit_usd: 5 }
schedule: { active_hours: { start: "09:00", end: "17:00", timezone: UTC } }
filesystem: { read: { allow: [/a] } }
rate_limits: [{ per: team, tool: bash, limit: 3, window: 1h }]
`,
  );
  const after = named(
    "a.yaml",
    `
scope: team:t1
tools: { bash: { allow: true }, search: { allow: true } }
network: { allowlist: [b.example, c.example] }
budget: { daily_limit_usd: 6 }
data: { credential_action: block }
filesystem: { read: { allow: [] } }
rate_limits: [{ per: team, tool: bash, limit: 4, window: 1h }]
approval_timeout_secs: 60
`,
  );
  const changes = semanticDiff([before], [after])
    .map(({ path, before, after }) => `${path}: ${before ?? "-"} -> ${after ?? "-"}`);
  assert.deepEqual(changes, [
    "approval_timeout_secs: 300 -> 60",
    "budget.daily_limit_micro_usd: 5000000 -> 6000000",
    "data.credential_action: - -> block",
    "data.locale_packs: - -> []",
    "data.sensitive_patterns: - -> []",
    "filesystem.read.allow: - -> []",
    "filesystem.read.allow[/a]: listed -> -",
    "network.allowlist[a.example]: listed -> -",
    "network.allowlist[c.example]: - -> listed",
    "rate_limits[team bash 3600000 ms]: 3 -> 4",
    "schedule.active_hours.end: 17:00 -> -",
    "schedule.active_hours.start: 09:00 -> -",
    "schedule.active_hours.timezone: UTC -> -",
    "scope: global -> team:t1",
    "tools.bash.allow: false -> true",
    "tools.search.limit_per_hour: 5 -> -",
  ]);
});

Deno.test("a document that came or went is told as a whole and rule by rule", () => {
  const document = named("b.yaml", "scope: tool:bash\ntools: { bash: { allow: false } }");
  const paths = semanticDiff([], [document]).map(({ path, after }) => `${path} ${after}`);
  assert.equal(paths[0], "(document) tool:bash");
  assert.ok(paths.includes("tools.bash.allow false"));
  assert.ok(semanticDiff([document], []).every(({ after }) => after === undefined));
});

Deno.test("the changes lead from the old rules to the new ones, and writing differently is no change", () => {
  const text = policyText(SCOPES);
  fc.assert(
    fc.property(text, text, (a, b) => {
      const [before, after] = [named("a.yaml", a), named("a.yaml", b)];
      const rules = rulesOf(before.document);
      const changes = semanticDiff([before], [after]);
      for (const { path, before: was, after: is } of changes) {
        assert.equal(rules.get(path), was);
        if (is === undefined) rules.delete(path);
        else rules.set(path, is);
      }
      assert.deepEqual(new Map([...rules].sort()), new Map([...rulesOf(after.document)].sort()));
      if (before.document.digest === after.document.digest) assert.deepEqual(changes, []);
    }),
    { numRuns: 300 },
  );
});
