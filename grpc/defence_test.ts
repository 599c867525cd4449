import assert from "node:assert/strict";
import { SERVER_BOUNDS } from "./bounds.ts";
import { Code } from "./code.ts";
import { ErrorCode } from "./http2/frames.ts";

const ROOM = new URL("./", import.meta.url);

function read(name: string): string {
  return Deno.readTextFileSync(new URL(name, ROOM));
}

/** Names of tests, where a name made of parts stands for whatever the parts may be. */
function testNames(): readonly RegExp[] {
  const names: RegExp[] = [];
  for (const folder of ["server/", "client/", "http2/", ""]) {
    for (const entry of Deno.readDirSync(new URL(folder, ROOM))) {
      if (!entry.name.endsWith("_test.ts")) continue;
      const text = read(`${folder}${entry.name}`);
      const pattern =
        /\b(?:boundTest|policyTest|rawTest|Deno\.test)\(\s*(?:"((?:[^"\\]|\\.)+)"|`([^`]+)`)/g;
      for (const [, plain, made] of text.matchAll(pattern)) {
        const literal = (plain ?? made ?? "").split(/\$\{[^}]+\}/).map((part) =>
          RegExp.escape(part)
        );
        names.push(new RegExp(`^${literal.join(".+")}$`));
      }
    }
  }
  return names;
}

/** Keys of `ServerStats.refused`: the type has no value at run time. */
function metrics(): ReadonlySet<string> {
  const [, union = ""] = /export type Refusal =\n([^;]+);/.exec(read("bounds.ts")) ?? [];
  return new Set(Array.from(union.matchAll(/"(\w+)"/g), (match) => match[1] ?? ""));
}

const ROWS = read("defence.md").split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| Attack"))
  .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

const quoted = (cell: string) => Array.from(cell.matchAll(/`(\w+)`/g), (match) => match[1] ?? "");

Deno.test("each attack in defence.md has a bound, a code, a metric and a test that exist", () => {
  const names = testNames();
  const known = metrics();
  const codes = new Set(["none", ...Object.keys(ErrorCode), ...Object.keys(Code)]);
  assert.ok(!names.some((name) => name.test("a test that nobody wrote")));
  assert.ok(ROWS.length > 50 && known.size > 30 && names.length > 60);
  for (const [attack = "", bound = "", , code = "", metric = "", test = ""] of ROWS) {
    const named = quoted(bound);
    assert.ok(named.length > 0 || /^(none: |every )/.test(bound), `${attack}: no bound`);
    for (const name of named) assert.ok(name in SERVER_BOUNDS, `${attack}: no bound \`${name}\``);
    assert.ok(codes.has(code), `${attack}: no code ${code}`);
    for (const name of quoted(metric)) assert.ok(known.has(name), `${attack}: no metric ${name}`);
    assert.ok(quoted(metric).length === 1 || metric.startsWith("every "), `${attack}: no metric`);
    assert.ok(names.some((name) => name.test(test)), `${attack}: no test "${test}"`);
  }
});

Deno.test("each bound a peer can run into stands in defence.md", () => {
  const listed = new Set(ROWS.flatMap(([, bound = ""]) => quoted(bound)));
  // What a server does to itself, or how fast it looks; and the web handler, with tests of its own.
  const own =
    /^(send_message_bytes|compression_min_bytes|status_message_bytes|linger_timeout_ms|sweep_interval_ms|web_\w+)$/;
  const missing = Object.keys(SERVER_BOUNDS).filter((name) => !listed.has(name) && !own.test(name));
  assert.deepEqual(missing, []);
});
