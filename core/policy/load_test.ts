import assert from "node:assert/strict";
import { loadPolicy } from "./load.ts";
import { loaded, loadedWith, place, refused, refusedFor } from "./load_fixture.ts";

Deno.test("a document without rules says so by absence, never by an empty rule", () => {
  const document = loaded("{}");
  for (const key of ["network", "schedule", "budget", "data", "capabilities"] as const) {
    assert.equal(key in document, false, key);
  }
});

Deno.test("every section reads to its typed form", () => {
  const document = loaded(`
version: 1.10
scope: team:red:blue
network:
  allowlist: [API.example.com, "*.example.org"]
schedule:
  active_hours: {start: "09:00", end: "24:00", timezone: Asia/Taipei}
budget:
  daily_limit_usd: 0.1
  org_monthly_limit_usd: 1e3
  timezone: UTC
  action_on_exceed: suspend
  window: 1h 30m
data:
  sensitive_patterns: ['tok_\\w+']
  credential_action: block
tools:
  search: {allow: true, limit_per_hour: 0x10, requires_approval_if: 'args.n > 1'}
  bare: {}
capabilities: {allow: [file_read, "mcp_tool:git"], deny: []}
filesystem:
  read: {allow: [/data//a/./b/, /data/a]}
  write: {}
syscalls: {allow: []}
approval_timeout_secs: 60
approval: {timeout_seconds: 0, escalation_role: lead}
`);
  assert.equal(document.version, "1.10");
  assert.deepEqual(document.scope, { tier: "team", id: "red:blue" });
  assert.deepEqual(document.network?.allowlist.map(({ value }) => value), [
    "API.example.com",
    "*.example.org",
  ]);
  assert.equal(document.schedule?.active_hours?.start_minute, 540);
  assert.equal(document.schedule?.active_hours?.end_minute, 1440);
  assert.equal(document.budget?.daily_limit_micro_usd?.value, 100_000);
  assert.equal(document.budget?.org_monthly_limit_micro_usd?.value, 1_000_000_000);
  assert.equal(document.budget?.window_ms, 5_400_000);
  assert.equal(document.budget?.action_on_exceed, "suspend");
  assert.equal(document.data?.credential_action, "block");
  assert.equal(document.tools.get("search")?.limit_per_hour?.value, 16);
  assert.equal(document.tools.get("search")?.requires_approval_if?.text, "args.n > 1");
  assert.equal(document.tools.get("bare")?.allow, false);
  assert.equal(document.tools.get("bare")?.allow_at, undefined);
  assert.deepEqual(document.capabilities?.deny, []);
  assert.deepEqual(document.filesystem?.read?.allow.map(({ value }) => value), ["/data/a"]);
  assert.deepEqual(document.filesystem?.write?.allow, []);
  assert.deepEqual(document.syscalls?.allow, []);
  assert.equal(document.approval_timeout_secs, 60);
  assert.deepEqual(document.approval, { timeout_seconds: 0, escalation_role: "lead" });
});

Deno.test("every rule knows its line and column", () => {
  const document = loaded(`tools:
  search:
    allow: true
    limit_per_hour: 5
    requires_approval_if: "tool == \\"search\\""
data:
  credential_action: block
network:
  allowlist:
    - a.example
`);
  const rule = document.tools.get("search");
  assert.deepEqual(rule?.at, { line: 2, column: 3 });
  assert.deepEqual(rule?.allow_at, { line: 3, column: 5 });
  assert.deepEqual(rule?.limit_per_hour, { value: 5, line: 4, column: 21 });
  assert.deepEqual(rule?.requires_approval_if?.at, { line: 5, column: 28 });
  assert.deepEqual(document.data?.credential_action_at, { line: 7, column: 3 });
  assert.deepEqual(document.network?.at, { line: 8, column: 1 });
  assert.deepEqual(document.network?.allowlist[0], { value: "a.example", line: 10, column: 7 });
});

Deno.test("an unknown key is an error in every section, named by its path", () => {
  const sections = {
    "schedule.x": "schedule: {x: 1}",
    "schedule.active_hours.x":
      "schedule: {active_hours: {start: '01:00', end: '02:00', timezone: UTC, x: 1}}",
    "budget.x": "budget: {x: 1}",
    "data.x": "data: {x: 1}",
    "capabilities.x": "capabilities: {x: 1}",
    "filesystem.x": "filesystem: {x: {}}",
    "filesystem.read.x": "filesystem: {read: {x: 1}}",
    "syscalls.x": "syscalls: {x: 1}",
    "approval.x": "approval: {x: 1}",
    enforcement_mode: "enforcement_mode: observe",
    toString: "toString: 1",
  };
  for (const [field, text] of Object.entries(sections)) refusedFor(text, field, "unknown key");
  // Kept out of the object above, where this key would have set the prototype.
  refusedFor('"__proto__": {}', "__proto__", "unknown key");
});

Deno.test("a value of the wrong type is an error that says what was expected and received", () => {
  const wrong: readonly (readonly [string, string, string])[] = [
    ["tools: [a]", "tools", "must be a mapping"],
    ["tools: {x: true}", "tools.x", "must be a mapping"],
    ["tools: {x: {allow: yes}}", "tools.x.allow", "must be `true` or `false`"],
    ['tools: {x: {allow: "true"}}', "tools.x.allow", "without quotes"],
    ["tools: {x: {limit_per_hour: -1}}", "tools.x.limit_per_hour", "from 0 to 4294967295"],
    ["tools: {x: {limit_per_hour: 4294967296}}", "tools.x.limit_per_hour", "`4294967296`"],
    ["tools: {x: {limit_per_hour: 1.5}}", "tools.x.limit_per_hour", "whole number"],
    ["tools: {x: {limit_per_hour: 5.0}}", "tools.x.limit_per_hour", "whole number"],
    ['tools: {x: {limit_per_hour: "5"}}', "tools.x.limit_per_hour", "without quotes"],
    ["network: {allowlist: a.example}", "network.allowlist", "must be a list"],
    ["network: {allowlist: [[a]]}", "network.allowlist[0]", "must be a text, received a list"],
    ["scope: {team: a}", "scope", "must be a text, received a mapping"],
    ["budget: {daily_limit_usd: lots}", "budget.daily_limit_usd", "US dollars"],
    ["approval_timeout_secs: .inf", "approval_timeout_secs", "whole number"],
    ["spec: 5", "spec", "must be a mapping"],
    ["metadata: 5\nspec: {}", "metadata", "must be a mapping"],
    ["[a]", "(document)", "a policy is a mapping"],
    ["just text", "(document)", "a policy is a mapping"],
  ];
  for (const [text, field, phrase] of wrong) refusedFor(text, field, phrase);
});

Deno.test("a misspelled value is answered with the likely one", () => {
  refusedFor("budget: {action_on_exceed: Suspend}", "budget.action_on_exceed", "`suspend`?");
  refusedFor("capabilities: {deny: [file_wirte]}", "capabilities.deny[0]", "`file_write`?");
  refusedFor("capabilities: {deny: ['mcp_tol:git']}", "capabilities.deny[0]", "`mcp_tool:git`?");
  refusedFor("capabilities: {deny: [mcp_tool]}", "capabilities.deny[0]", "`mcp_tool:<name>`?");
  refusedFor("scope: tem:a", "scope", "did you mean `team`?");
  refusedFor("scope: globel", "scope", "did you mean `global`?");
  refusedFor("budget: {timezone: Europe/Berln}", "budget.timezone", "`Europe/Berlin`?");
  refusedFor("budget: {timezone: taipei}", "budget.timezone", "`Asia/Taipei`?");
});

Deno.test("a named capability needs its name", () => {
  refusedFor(
    "capabilities: {deny: ['mcp_tool:']}",
    "capabilities.deny[0]",
    "mcp_tool: name must not be empty",
  );
  refusedFor("capabilities: {deny: ['model: ']}", "capabilities.deny[0]", "model: name must not");
});

Deno.test("agent scopes take every spelling of a UUID and keep one", () => {
  const uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
  const spellings = [
    uuid,
    uuid.toUpperCase(),
    uuid.replaceAll("-", ""),
    `{${uuid}}`,
    `urn:uuid:${uuid}`,
  ];
  for (const spelling of spellings) {
    assert.deepEqual(loaded(`scope: 'agent:${spelling}'`).scope, { tier: "agent", id: uuid });
  }
  refusedFor(`scope: 'agent:${uuid}0'`, "scope", "not a valid UUID");
  refusedFor(`scope: 'agent:${uuid.replace("-", "")}'`, "scope", "not a valid UUID");
});

Deno.test("several problems inside active_hours are all reported", () => {
  const problems = refused("schedule: {active_hours: {start: '9:00', timezone: Mars/Base}}");
  assert.deepEqual(problems.map(({ field }) => field).sort(), [
    "schedule.active_hours.end",
    "schedule.active_hours.start",
    "schedule.active_hours.timezone",
  ]);
});

Deno.test("a window may end at 24:00 but not start there, and never be empty", () => {
  const hours = (start: string, end: string) =>
    `schedule: {active_hours: {start: '${start}', end: '${end}', timezone: UTC}}`;
  assert.equal(loaded(hours("00:00", "24:00")).schedule?.active_hours?.end_minute, 1440);
  refusedFor(hours("24:00", "24:00"), "schedule.active_hours.start", "HH:MM");
  refusedFor(hours("09:00", "09:00"), "schedule.active_hours", "start must be earlier than end");
  refusedFor(hours("09:00", "24:01"), "schedule.active_hours.end", "HH:MM");
});

Deno.test("time zones are zone names: offsets and inventions are refused", () => {
  for (const zone of ["Not/AZone", "'+01:00'", "''"]) {
    refusedFor(`budget: {timezone: ${zone}}`, "budget.timezone", "IANA time zone");
  }
  for (const zone of ["UTC", "Europe/Berlin", "US/Pacific", "Asia/Calcutta"]) {
    assert.equal(loaded(`budget: {timezone: ${zone}}`).budget?.timezone, zone);
  }
});

Deno.test("paths are absolute and stay inside what they name (F5)", () => {
  const field = "filesystem.read.allow[0]";
  refusedFor("filesystem: {read: {allow: [/workspace/../etc]}}", field, "`..`");
  refusedFor("filesystem: {read: {allow: [relative]}}", field, "absolute");
  refusedFor("filesystem: {read: {allow: ['']}}", field, "empty");
  refusedFor('filesystem: {read: {allow: ["/a\\0b"]}}', field, "NUL");
  refusedFor(`filesystem: {read: {allow: [${"/a".repeat(4_000)}]}}`, field, "limit");
  const paths = loaded("filesystem: {read: {allow: ['/b/..c', ' / ', /a]}}").filesystem?.read;
  assert.deepEqual(paths?.allow.map(({ value }) => value), ["/"]);
});

Deno.test("entries inside another entry's subtree are pruned, neighbours stay", () => {
  const paths = loaded("filesystem: {write: {allow: [/w/src, /w, /w-old, /w/, /x]}}").filesystem;
  assert.deepEqual(paths?.write?.allow.map(({ value }) => value), ["/w", "/w-old", "/x"]);
});

Deno.test("filesystem: {} states nothing; an empty verb denies all (F6)", () => {
  assert.equal(loaded("filesystem: {}").filesystem, undefined);
  const { filesystem } = loaded("filesystem: {read: {}}");
  assert.deepEqual(filesystem?.read?.allow, []);
  assert.equal(filesystem?.write, undefined);
});

Deno.test("patterns are linear-time expressions of bounded size", () => {
  const field = "data.sensitive_patterns[0]";
  const pattern = (text: string) => `data: {sensitive_patterns: ['${text}']}`;
  refusedFor(pattern("(?=a)b"), field, "RE2");
  refusedFor(pattern("(a)\\1"), field, "RE2");
  refusedFor(pattern("(?<=a)b"), field, "RE2");
  refusedFor(pattern("(((a{1000}){1000}){1000})"), field, "invalid");
  refusedFor(pattern("a{1000}".repeat(30)), field, "30002");
  refusedFor(pattern("a".repeat(4_097)), field, "4097");
  refusedFor(pattern(""), field, "must not be empty");
  const { warnings } = loadedWith(pattern("a*"));
  assert.ok(warnings[0]?.message.includes("matches the empty text"));
});

Deno.test("the patterns of one policy are bounded together", () => {
  const items = "  - a{1000}\n".repeat(600);
  const problems = refused(`data:\n  sensitive_patterns:\n${items}`);
  assert.equal(problems.length, 1);
  assert.ok(problems[0]?.message.includes("more than 500000"));
});

Deno.test("money is read exactly", () => {
  const daily = (text: string) =>
    loaded(`budget: {daily_limit_usd: ${text}}`).budget?.daily_limit_micro_usd?.value;
  assert.equal(daily("0.1"), 100_000);
  assert.equal(daily("1.000001"), 1_000_001);
  assert.equal(daily("1.10000000"), 1_100_000);
  assert.equal(daily(".5"), 500_000);
  assert.equal(daily("2e-6"), 2);
  assert.equal(daily("9007199254.740991"), Number.MAX_SAFE_INTEGER);
});

Deno.test("trap: a scope beside spec is an error, not a silently global policy", () => {
  const problem = refusedFor(
    "apiVersion: v1\nscope: team:a\nspec: {tools: {}}\n",
    "scope",
    "move `scope` into `spec`",
  );
  assert.equal(place(problem), "2:1");
  refusedFor("rules: []\nspec: {}", "rules", "move");
  refusedFor("tools: {}\nspec: {}", "tools", "move");
});

Deno.test("other unknown keys of an envelope are warned about, with the likely key", () => {
  const { document, warnings } = loadedWith(
    "apiVersion: 1\nkind: [any]\nmetdata: {}\nmetadata: {nmae: x, description: d}\nspec: {}\n",
  );
  assert.equal(document.form, "envelope");
  assert.deepEqual(warnings.map(({ field }) => field), ["metdata", "metadata.nmae"]);
  assert.ok(warnings[0]?.message.includes("`metadata`?"));
  assert.ok(warnings[1]?.message.includes("`name`?"));
});

Deno.test("an envelope whose spec is null is read as flat, and its keys are errors", () => {
  const problems = refused("apiVersion: v1\nkind: Policy\nmetadata: {}\nspec:\n");
  assert.deepEqual(problems.map(({ field }) => field), ["apiVersion", "kind", "metadata", "spec"]);
});

Deno.test("trap: a section without a value is an error, not the absence of its rules", () => {
  for (const section of ["network", "schedule", "budget", "data", "tools", "capabilities"]) {
    refusedFor(`${section}:\n`, section, "has no value");
  }
  refusedFor("network:\n  allowlist:\n", "network.allowlist", "has no value");
  refusedFor("tools:\n  x:\n", "tools.x", "has no value");
  refusedFor("tools: {x: {limit_per_hour: }}", "tools.x.limit_per_hour", "has no value");
  refusedFor("scope:\n", "scope", "has no value");
  assert.equal(loaded("version:\n").version, undefined);
});

Deno.test("a text without a document loads as {} only where a blank file is no accident", () => {
  for (const text of ["", " \n\t\n", "# comment\n", "---\n", "null\n", "\ufeff"]) {
    assert.equal(loaded(text).digest, loaded("{}").digest);
    const result = loadPolicy("p.yaml", text, { reject_blank: true });
    assert.ok(!result.ok, JSON.stringify(text));
    assert.equal(result.problems[0]?.field, "(document)");
  }
  assert.ok(loadPolicy("p.yaml", "{}", { reject_blank: true }).ok);
});

Deno.test("a condition that is denied before it is asked is warned about", () => {
  const { warnings } = loadedWith(`
tools:
  a: {requires_approval_if: 'args.n > 1'}
  b: {allow: false, requires_approval_if: 'args.n > 1'}
  message: {requires_approval_if: 'target.team_id == "x"'}
`);
  assert.deepEqual(warnings.map(({ field }) => field), [
    "tools.a.requires_approval_if",
    "tools.b.requires_approval_if",
  ]);
});

Deno.test("a problem in an expression points into the scalar, however it is quoted", () => {
  const scalars = [
    "tool = 1",
    "'tool = 1'",
    `'path == "it''s" AND tool = 1'`,
    '"path == \\"a\\" AND tool = 1"',
    '"path == \\"\\x41\\u0041\\U0001F600\\t\\" AND tool = 1"',
    '|\n      path == "a"\n      AND tool = 1\n',
    "|-\r\n      tool = 1\r\n",
    "|4\n        tool = 1\n",
  ];
  for (const scalar of scalars) {
    const text = `tools:\n  x:\n    requires_approval_if: ${scalar}`;
    const lines = text.slice(0, text.indexOf("= 1")).split("\n");
    const expected = `${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
    assert.equal(place(refused(text)[0]), expected, scalar);
  }
});

Deno.test("a problem in a folded scalar points at its start", () => {
  const [problem] = refused("tools:\n  x:\n    requires_approval_if: >\n      tool\n      = 1\n");
  assert.equal(place(problem), "3:27");
});

Deno.test("aliases repeat a value and point to where it is written", () => {
  const document = loaded(
    "network: {allowlist: [&host a.example]}\ntools: {x: &rule {allow: true}, y: *rule}\n",
  );
  assert.equal(document.tools.get("y")?.allow, true);
  const hosts = loaded("network:\n  allowlist: [&h a.example, *h]\n").network?.allowlist;
  assert.deepEqual(hosts?.[1], { value: "a.example", line: 2, column: 18 });
});

Deno.test("names of object members are tool names like any other", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "1", "true", "a.b"];
  const { tools } = loaded(`tools:\n${names.map((name) => `  ${name}: {allow: true}\n`).join("")}`);
  assert.deepEqual([...tools.keys()], names);
  for (const name of names) assert.equal(tools.get(name)?.allow, true, name);
});

Deno.test("characters that reorder the text on a screen are warned about, with their place", () => {
  const { warnings } = loadedWith("tools:\n  x: {allow: true} # \u202e\n");
  assert.equal(warnings[0]?.field, "(document)");
  assert.match(warnings[0].message, /\\u\{202e\}/);
  assert.equal(place(warnings[0]), "2:22");
});
