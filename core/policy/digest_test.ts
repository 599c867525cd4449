import assert from "node:assert/strict";
import fc from "fast-check";
import { policyDigest } from "./digest.ts";
import { loaded } from "./load_fixture.ts";

/** A policy that states everything, in two other ways of writing it. */
const FULL = `
version: v1
scope: team:a
network: {allowlist: [a.example, b.example]}
schedule: {active_hours: {start: "09:00", end: "17:00", timezone: UTC}}
budget:
  daily_limit_usd: 1
  monthly_limit_usd: 2
  team_daily_limit_usd: 3
  team_monthly_limit_usd: 4
  org_daily_limit_usd: 5
  org_monthly_limit_usd: 6
  timezone: UTC
  action_on_exceed: suspend
  window: 1h
data: {sensitive_patterns: [p1, p2], credential_action: block, locale_packs: [zh-TW]}
tools:
  search: {allow: true, limit_per_hour: 5, requires_approval_if: 'args.n > 1'}
  other: {allow: true}
capabilities: {allow: [file_read], deny: [file_write]}
filesystem: {read: {allow: [/r]}, write: {allow: [/w]}}
syscalls: {allow: [read]}
approval_timeout_secs: 60
approval: {timeout_seconds: 5, escalation_role: lead}
`;

Deno.test("a digest is sha256 and 64 hexadecimal digits, and the same every time", () => {
  assert.match(loaded(FULL).digest, /^sha256:[0-9a-f]{64}$/);
  assert.equal(loaded(FULL).digest, loaded(FULL).digest);
  assert.equal(policyDigest(loaded(FULL)), loaded(FULL).digest);
});

Deno.test("the digest of an empty policy is fixed: a change of the encoding is a new version", () => {
  assert.equal(
    loaded("{}").digest,
    "sha256:ded0ece597e9134256cce779e422c2a364520cf02f651299c85fdc1ab31e6268",
  );
});

Deno.test("comments, key order, quotes, spacing and file names do not change the digest", () => {
  const entries = FULL.trim().split(/\n(?=\w)/).toReversed();
  const rewritten = `# a comment\n${entries.join("\n\n")}`
    .replace("{allow: true, limit_per_hour: 5", "{limit_per_hour: 0x5, allow: True")
    .replace("'args.n > 1'", '"  args.n>1 "')
    .replace("daily_limit_usd: 1\n", "daily_limit_usd: 1.000\n")
    .replace("window: 1h", "window: 60m")
    .replace("/r]", "/r/, /r/./x]");
  assert.notEqual(rewritten, FULL);
  assert.equal(loaded(rewritten).digest, loaded(FULL).digest);
});

Deno.test("every change of meaning changes the digest, and no two changes collide", () => {
  const edits: readonly (readonly [string, string])[] = [
    ["version: v1", "version: v2"],
    ["version: v1", ""],
    ["scope: team:a", "scope: org:a"],
    ["scope: team:a", "scope: team:b"],
    ["[a.example, b.example]", "[a.exampleb.example]"],
    ["[a.example, b.example]", "[a.example]"],
    ["[a.example, b.example]", "[]"],
    ['"09:00"', '"09:01"'],
    ['"17:00"', '"24:00"'],
    ['17:00", timezone: UTC', '17:00", timezone: Asia/Taipei'],
    ["  daily_limit_usd: 1\n", "  daily_limit_usd: 1.000001\n"],
    ["  daily_limit_usd: 1\n", ""],
    ["monthly_limit_usd: 2", "monthly_limit_usd: 2.5"],
    ["team_daily_limit_usd: 3", "team_daily_limit_usd: 2"],
    ["team_monthly_limit_usd: 4", "team_monthly_limit_usd: 5"],
    ["org_daily_limit_usd: 5", "org_daily_limit_usd: 4"],
    ["org_monthly_limit_usd: 6", "org_monthly_limit_usd: 7"],
    ["  timezone: UTC\n", "  timezone: Asia/Taipei\n"],
    ["suspend", "deny"],
    ["window: 1h", "window: 2h"],
    ["[p1, p2]", "[p1]"],
    ["[p1, p2]", "[p1p2]"],
    ["block", "alert_only"],
    ["locale_packs: [zh-TW]", "locale_packs: []"],
    ["locale_packs: [zh-TW]", "locale_packs: [zh-tw]"],
    ["search:", "search2:"],
    ["{allow: true, limit_per_hour", "{allow: false, limit_per_hour"],
    ["limit_per_hour: 5", "limit_per_hour: 50"],
    ["limit_per_hour: 5, ", ""],
    ["args.n > 1", "args.n >= 1"],
    ["args.n > 1", "args.n > 1.0"],
    ["  other: {allow: true}\n", ""],
    ["{allow: [file_read], deny: [file_write]}", "{allow: [], deny: [file_read, file_write]}"],
    ["{allow: [file_read], deny: [file_write]}", "{allow: [file_read, file_write]}"],
    ["read: {allow: [/r]}, ", ""],
    ["{allow: [/r]}", "{allow: []}"],
    ["[/w]", "[/w, /x]"],
    ["filesystem: {read: {allow: [/r]}, write: {allow: [/w]}}", "filesystem: {}"],
    ["allow: [read]", "allow: [read, write]"],
    ["syscalls: {allow: [read]}", "syscalls: {}"],
    ["approval_timeout_secs: 60", "approval_timeout_secs: 61"],
    ["timeout_seconds: 5", "timeout_seconds: 6"],
    ["timeout_seconds: 5, ", ""],
    ["escalation_role: lead", "escalation_role: boss"],
    ["approval: {timeout_seconds: 5, escalation_role: lead}", "approval: {}"],
  ];
  const digests = new Map([[loaded(FULL).digest, "unchanged"]]);
  for (const [from, to] of edits) {
    const changed = FULL.replace(from, to);
    assert.notEqual(changed, FULL, from);
    const { digest } = loaded(changed);
    assert.equal(digests.get(digest), undefined, `${from} -> ${to}`);
    digests.set(digest, `${from} -> ${to}`);
  }
});

Deno.test("removing any one section changes the digest", () => {
  const digests = new Set([loaded(FULL).digest]);
  const entries = FULL.trim().split(/\n(?=\w)/);
  for (const [index] of entries.entries()) {
    digests.add(loaded(entries.toSpliced(index, 1).join("\n")).digest);
  }
  assert.equal(digests.size, entries.length + 1);
});

Deno.test("schedule: {} is a statement and has its own digest", () => {
  assert.notEqual(loaded("schedule: {}").digest, loaded("{}").digest);
});

Deno.test("an envelope has the digest of its body, its name and its version", () => {
  const spec = "spec: {tools: {x: {allow: true}}}";
  const digests = [
    loaded("tools: {x: {allow: true}}"),
    loaded(`metadata: {name: a, version: b}\n${spec}`),
    loaded(`metadata: {name: ab}\n${spec}`),
    loaded(`metadata: {version: ab}\n${spec}`),
  ].map(({ digest }) => digest);
  assert.equal(new Set(digests).size, digests.length);
  const described = loaded(`apiVersion: x\nmetadata: {description: d}\n${spec}`);
  assert.equal(described.digest, digests[0]);
});

Deno.test("lists of texts never collide by how they are cut", () => {
  const hosts = fc.array(fc.stringMatching(/^[a-z.*]{1,4}$/), { maxLength: 4 });
  const digestOf = (list: readonly string[], patterns: readonly string[]) =>
    loaded(JSON.stringify({
      network: { allowlist: list },
      data: { locale_packs: patterns },
    })).digest;
  fc.assert(fc.property(hosts, hosts, hosts, hosts, (a, b, c, d) => {
    const same = JSON.stringify([a, b]) === JSON.stringify([c, d]);
    assert.equal(digestOf(a, b) === digestOf(c, d), same);
  }));
});
