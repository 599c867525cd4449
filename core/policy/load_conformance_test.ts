/** Conformance group L: loading (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { loaded, loadedWith, place, refused, refusedFor } from "./load_fixture.ts";

Deno.test("L1: an empty mapping is valid, without warnings", () => {
  const { document, warnings } = loadedWith("{}");
  assert.deepEqual(warnings, []);
  assert.deepEqual(document.scope, { tier: "global" });
  assert.equal(document.tools.size, 0);
  assert.equal(document.network, undefined);
  assert.equal(document.approval_timeout_secs, 300);
});

Deno.test("L2: an unknown top-level key is an error on that key", () => {
  const problem = refusedFor("capabilties: {}", "capabilties", "did you mean `capabilities`?");
  assert.ok(problem.message.includes("version, scope, network, schedule, budget, data, tools"));
});

Deno.test("L3: a top-level rule list is refused, never loaded as allow-all", () => {
  refusedFor("rules: [{effect: deny}]", "rules", "not supported");
});

Deno.test("L4: an unknown key inside a section is an error on the dotted key", () => {
  refusedFor("network: {allowlst: [a]}", "network.allowlst", "did you mean `allowlist`?");
});

Deno.test("L5: an unknown key inside a tool entry is an error on the dotted key", () => {
  refusedFor("tools: {x: {limit_per_hr: 1}}", "tools.x.limit_per_hr", "`limit_per_hour`");
});

Deno.test("L6: a blank allowlist entry is an error on its index", () => {
  const text = "network:\n  allowlist:\n    - a.example\n    - '  '\n";
  const problem = refusedFor(
    text,
    "network.allowlist[1]",
    "allowlist entry must not be empty",
  );
  assert.equal(place(problem), "4:7");
});

Deno.test("L7: an approval timeout of zero is an error", () => {
  refusedFor("approval_timeout_secs: 0", "approval_timeout_secs", "must be greater than 0");
});

Deno.test("L8: a monthly limit below the daily one is an error, for agent, team and org", () => {
  for (const prefix of ["", "team_", "org_"]) {
    refusedFor(
      `budget: {${prefix}daily_limit_usd: 10, ${prefix}monthly_limit_usd: 5}`,
      `budget.${prefix}monthly_limit_usd`,
      `must be >= ${prefix}daily_limit_usd`,
    );
  }
});

Deno.test("L9: equal daily and monthly limits are valid", () => {
  const { budget } = loaded("budget: {daily_limit_usd: 10, monthly_limit_usd: 10}");
  assert.equal(budget?.monthly_limit_micro_usd?.value, 10_000_000);
});

Deno.test("L10: a monthly limit alone is valid", () => {
  const { budget } = loaded("budget: {monthly_limit_usd: 10}");
  assert.equal(budget?.daily_limit_micro_usd, undefined);
});

Deno.test("L11: an unknown action_on_exceed is an error that names both words", () => {
  refusedFor(
    "budget: {action_on_exceed: pause}",
    "budget.action_on_exceed",
    "must be 'deny' or 'suspend'",
  );
});

Deno.test("L12: a window of zero and a window that is no duration are errors", () => {
  refusedFor("budget: {window: 0s}", "budget.window", "must be a positive duration");
  refusedFor("budget: {window: soon}", "budget.window", "not a valid humantime");
});

Deno.test("L13: an unknown credential_action is an error that lists the four", () => {
  const { message } = refusedFor("data: {credential_action: mask}", "data.credential_action", "");
  for (const word of ["block", "redact_only", "alert_only", "alert_and_redact"]) {
    assert.ok(message.includes(word), message);
  }
});

Deno.test("L14: a pattern that does not compile is an error on its index", () => {
  refusedFor("data: {sensitive_patterns: ['[unclosed']}", "data.sensitive_patterns[0]", "invalid");
});

Deno.test("L15: an agent scope without a UUID is an invalid policy scope", () => {
  const problem = refusedFor("scope: agent:not-a-uuid", "scope", "invalid policy scope");
  assert.ok(problem.message.includes("agent id is not a valid UUID"));
});

Deno.test("L16: an unknown scope kind and an empty scope id are errors", () => {
  refusedFor("scope: galaxy:x", "scope", 'unknown scope kind "galaxy"');
  refusedFor("scope: 'team:'", "scope", "identifier after ':' must not be empty");
});

Deno.test("L17: an inert capability loads with a warning", () => {
  const { document, warnings } = loadedWith("capabilities: {deny: [network_inbound]}");
  assert.deepEqual(document.capabilities?.deny.map(({ text }) => text), ["network_inbound"]);
  const [warning, ...others] = warnings;
  assert.deepEqual(others, []);
  assert.equal(warning?.field, "capabilities.deny[0]");
  assert.ok(warning.message.includes("declared but NOT enforced"));
});

Deno.test("L18: an unknown capability is an error on its index", () => {
  refusedFor(
    "capabilities: {allow: [fly]}",
    "capabilities.allow[0]",
    "unknown capability: 'fly'",
  );
});

Deno.test("L19: an unknown system call is an error on its index", () => {
  refusedFor("syscalls: {allow: [read, foo]}", "syscalls.allow[1]", "unknown syscall");
});

Deno.test("L20: active hours that end before they start are an error", () => {
  refusedFor(
    "schedule: {active_hours: {start: '18:00', end: '09:00', timezone: UTC}}",
    "schedule.active_hours",
    "start must be earlier than end",
  );
});

Deno.test("L21: a clock time without its leading zero is an error", () => {
  refusedFor(
    "schedule: {active_hours: {start: '9:00', end: '17:00', timezone: UTC}}",
    "schedule.active_hours.start",
    "HH:MM",
  );
});

Deno.test("L22: a governance level that does not exist is an error", () => {
  refusedFor(
    'tools: {x: {allow: true, requires_approval_if: "governance_level >= L4"}}',
    "tools.x.requires_approval_if",
    "unknown governance level: L4; valid values: L0, L1, L2, L3",
  );
});

Deno.test("L23: an unknown variable is an error with the likely name", () => {
  const { message } = refusedFor(
    "tools: {x: {allow: true, requires_approval_if: agnt.depth > 1}}",
    "tools.x.requires_approval_if",
    "unknown variable",
  );
  assert.ok(message.includes("did you mean `agent.depth`?"), message);
});

Deno.test("L24: independent errors are all returned, in the order of the text", () => {
  const problems = refused("network: {nope: 1}\napproval_timeout_secs: 0\nscope: mars\n");
  assert.deepEqual(problems.map(({ field }) => field), [
    "network.nope",
    "approval_timeout_secs",
    "scope",
  ]);
  assert.deepEqual(problems.map(({ line }) => line), [1, 2, 3]);
});

Deno.test("L25: an envelope without metadata has no name", () => {
  const document = loaded("apiVersion: x/v9\nkind: Y\nspec: {tools: {a: {allow: true}}}\n");
  assert.equal(document.form, "envelope");
  assert.equal(document.name, undefined);
  assert.equal(document.tools.get("a")?.allow, true);
});

Deno.test("L26: flat and envelope of one body differ in identity by name and version only", () => {
  const body = "network: {allowlist: [a]}\ntools: {x: {allow: true}}\n";
  const nested = body.replace(/^/gm, "  ");
  const flat = loaded(body);
  assert.equal(loaded(`spec:\n${nested}`).digest, flat.digest);
  const named = loaded(`metadata: {name: n, version: 2.10}\nspec:\n${nested}`);
  assert.equal(named.name, "n");
  assert.equal(named.policy_version, "2.10");
  assert.notEqual(named.digest, flat.digest);
});

Deno.test("L27: broken YAML is one problem of the document, with its line", () => {
  const [problem] = refused("scope: global\ntools:\n  x: [1, }\n");
  assert.equal(problem?.field, "(document)");
  assert.ok(problem.message.startsWith("YAML parse error"));
  assert.equal(problem.line, 3);
});

Deno.test("L28: a locale pack nobody has is carried through, with a warning", () => {
  const { document, warnings } = loadedWith("data: {locale_packs: [xx-YY, zh-tw]}");
  assert.deepEqual(document.data?.locale_packs.map(({ value }) => value), ["xx-YY", "zh-tw"]);
  assert.deepEqual(warnings.map(({ field }) => field), ["data.locale_packs[0]"]);
});
