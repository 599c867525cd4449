import assert from "node:assert/strict";
import { runCli } from "../testing/run_cli.ts";

const GOOD = "tools:\n  bash:\n    allow: false\n  search:\n    allow: true\n";

interface Folder extends AsyncDisposable {
  readonly path: string;
}

async function folder(files: Record<string, string>): Promise<Folder> {
  const path = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${path}/${name}`, text);
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

function testFile(expect: string, policy = "./p.yaml"): string {
  return `policy: ${policy}\ncases:\n  - name: no shell\n    action: { tool: { name: bash } }\n` +
    `    expect: ${expect}\n`;
}

Deno.test("validate: a good file is valid with its digest, a bad one lists every problem with its line", async () => {
  await using place = await folder({
    "good.yaml": GOOD,
    "bad.yaml": "tools:\n  bash:\n    alow: false\nnetwork:\n  allowlist: 5\n",
    "old.yml": GOOD,
    "good.test.yaml": testFile("deny"),
  });
  const good = await runCli(["policy", "validate", `${place.path}/good.yaml`]);
  assert.equal(good.code, 0);
  assert.match(good.out, /^valid: .*good\.yaml {2}sha256:[0-9a-f]{64}\n$/);
  const all = await runCli(["policy", "validate", place.path]);
  assert.equal(all.code, 1);
  assert.match(all.out, /^error: .*bad\.yaml:3:5: tools\.bash\.alow — /m);
  assert.match(all.out, /^error: .*bad\.yaml:5:14: network\.allowlist — /m);
  assert.match(all.out, /^warning: .*old\.yml: not loaded/m);
  assert.doesNotMatch(all.out, /test\.yaml/);
  const data = JSON.parse(
    (await runCli(["policy", "validate", place.path, "--output", "json"])).out,
  );
  assert.equal(data.valid, false);
  assert.deepEqual(data.files.map((file: { valid: boolean }) => file.valid), [false, true]);
});

Deno.test("validate: nothing to validate is not valid", async () => {
  await using place = await folder({});
  const { code, out } = await runCli(["policy", "validate", place.path]);
  assert.equal(code, 1);
  assert.match(out, /holds no policy file/);
  const missing = await runCli(["policy", "validate", `${place.path}/no.yaml`]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /cannot read policy `.*no\.yaml`: no such file/);
});

Deno.test("explain: decides here, says why and where, and that it assumes a fresh world", async () => {
  await using place = await folder({ "p.yaml": GOOD });
  const file = `${place.path}/p.yaml`;
  const denied = await runCli(["policy", "explain", file, "tool", "bash"]);
  assert.equal(denied.code, 3);
  assert.match(denied.out, /^DENY {2}tool denied by policy$/m);
  assert.match(denied.out, /^at {4}.*p\.yaml:3:5$/m);
  assert.match(denied.out, /^note: assumes that nothing was spent/m);
  assert.equal((await runCli(["policy", "explain", file, "tool", "search"])).code, 0);
  const suspended = ["policy", "explain", file, "--agent", "a", "--status", "suspended"];
  assert.equal((await runCli([...suspended, "tool", "search"])).code, 3);
  const asked = await runCli(["policy", "explain", file, "--output", "json", "tool", "bash"]);
  assert.equal(JSON.parse(asked.out).rule.path, "tools.bash.allow");
});

Deno.test("explain: approval is exit code 4", async () => {
  const text = "tools:\n  pay:\n    allow: true\n    requires_approval_if: 'tool == \"pay\"'\n";
  await using place = await folder({ "p.yaml": text });
  const { code, out } = await runCli(["policy", "explain", `${place.path}/p.yaml`, "tool", "pay"]);
  assert.equal(code, 4, out);
  assert.match(out, /^REQUIRE APPROVAL/);
});

Deno.test("explain: an invalid policy decides nothing", async () => {
  await using place = await folder({ "p.yaml": "tols: {}\n" });
  const file = `${place.path}/p.yaml`;
  const { code, out, err } = await runCli(["policy", "explain", file, "tool", "x"]);
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.match(err, /^error: invalid policy\n.*p\.yaml:1:1: tols — /);
});

Deno.test("test: passing cases are exit code 0, with each case by name and a summary", async () => {
  await using place = await folder({ "p.yaml": GOOD, "p.test.yaml": testFile("deny") });
  const { code, out } = await runCli(["policy", "test", place.path]);
  assert.equal(code, 0);
  assert.match(out, /^ {2}ok {5}no shell$/m);
  assert.match(out, /\n1 passed, 0 failed\n$/);
});

Deno.test("test: a failing case says expected, got and why, and is exit code 1", async () => {
  await using place = await folder({ "p.yaml": GOOD, "p.test.yaml": testFile("allow") });
  const { code, out } = await runCli(["policy", "test", `${place.path}/p.test.yaml`]);
  assert.equal(code, 1);
  assert.match(out, /^ {2}FAILED no shell\n {9}at .*p\.test\.yaml:3$/m);
  assert.match(out, /^ {9}expected `allow`, got `deny`$/m);
  assert.match(out, /tools\.bash\.allow/);
  assert.match(out, /\n0 passed, 1 failed\n$/);
  const json = await runCli(["policy", "test", place.path, "--output", "json"]);
  const data = JSON.parse(json.out);
  assert.equal(data.failed, 1);
  assert.equal(data.results[0].cases[0].explanation.outcome, "deny");
});

Deno.test("test: a bad test file, a missing or invalid policy and an empty folder are failures", async () => {
  const files = {
    "typo.test.yaml": testFile("dney"),
    "gone.test.yaml": testFile("deny", "./gone.yaml"),
    "bad.test.yaml": testFile("deny", "./bad.yaml"),
    "bad.yaml": "tols: {}\n",
  };
  for (const name of Object.keys(files).filter((file) => file.endsWith(".test.yaml"))) {
    await using place = await folder(files);
    const { code, out } = await runCli(["policy", "test", `${place.path}/${name}`]);
    assert.equal(code, 1, name);
    assert.match(out, /1 files unreadable/, name);
  }
  await using empty = await folder({});
  const { code, err } = await runCli(["policy", "test", empty.path]);
  assert.equal(code, 1);
  assert.match(err, /no policy test in/);
});

Deno.test("test: a policy outside the test file's directory is refused, however it is written", async () => {
  for (const path of ["..", "../p.yaml", "./../p.yaml", "a/../../p.yaml", "/etc/passwd"]) {
    await using place = await folder({ "t.test.yaml": testFile("deny", path) });
    const { code, out } = await runCli(["policy", "test", `${place.path}/t.test.yaml`]);
    assert.equal(code, 1, path);
    assert.match(out, /t\.test\.yaml:1:9: policy — .* is outside the directory/, path);
  }
});

Deno.test("test: several policies are one cascade", async () => {
  await using place = await folder({
    "a.yaml": "tools:\n  bash: { allow: true }\n",
    "b.yaml": "scope: team:t1\ntools:\n  bash: { allow: false }\n",
    "c.test.yaml": [
      "policy: [a.yaml, b.yaml]",
      "cases:",
      "  - name: others may",
      "    action: { tool: { name: bash } }",
      "    expect: allow",
      "  - name: team t1 may not",
      "    agent: { id: a, org: o, team: t1 }",
      "    action: { tool: { name: bash } }",
      "    expect: deny",
    ].join("\n"),
  });
  const { code, out } = await runCli(["policy", "test", place.path]);
  assert.equal(code, 0, out);
});

Deno.test("schema: JSON Schema 2020-12 on standard output, whatever --output says", async () => {
  for (const form of ["table", "yaml", "json"]) {
    const { code, out } = await runCli(["policy", "schema", "--output", form]);
    assert.equal(code, 0);
    assert.equal(JSON.parse(out).$schema, "https://json-schema.org/draft/2020-12/schema");
  }
});
