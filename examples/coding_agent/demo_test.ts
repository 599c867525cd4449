/**
 * The demo as a stranger runs it: its own process, its own permissions, the real gateway.
 *
 * @module
 */
import assert from "node:assert/strict";
import { contextOf } from "./act.ts";
import { redactedAct } from "./redaction.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;
const STEPS_MIN = 60;

interface DemoRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo with exactly the permissions of `deno task demo`. */
async function runDemo(...argv: string[]): Promise<DemoRun> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-remote", "--quiet", `--config=${REPOSITORY}deno.json`],
      "--allow-net=127.0.0.1",
      `--allow-run=${Deno.execPath()},sh,touch`,
      `--allow-read=${REPOSITORY},/tmp,/etc/passwd`,
      "--allow-write=/tmp",
      `${REPOSITORY}examples/coding_agent/main.ts`,
      ...argv,
    ],
    cwd: REPOSITORY,
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

Deno.test("the demo meets every expectation and the verifier names the tampered entry", async () => {
  const { code, stdout, stderr } = await runDemo();
  assert.equal(code, 0, stdout + stderr);
  assert.equal(stderr, "");
  const steps = stdout.match(/^ *\d+ {2}.+ (?:ALLOW|DENY|PENDING|REDACT|REFUSED|DONE)\b/gm) ?? [];
  assert.ok(steps.length >= STEPS_MIN, `${steps.length} steps`);
  assert.match(stdout, /holds {2}\d+ acts were stopped; none of the [1-9]\d* .* left one/);
  const named =
    /holds {2}tampered copy, entry (\d+) changed from denied to allowed: the verifier names entry (\d+)/
      .exec(stdout);
  assert.ok(named !== null, stdout);
  assert.equal(named[1], named[2]);
  assert.match(stdout, /the chain alone says OK\): the signed tree names entry \d+/);
  assert.doesNotMatch(stdout, /FAILS|✗/);
  // Not a terminal: no escape sequences.
  assert.ok(!stdout.includes("\x1b"));
});

interface JsonStep {
  readonly acted: boolean;
  readonly title: string;
  readonly answer?: {
    readonly verdict: string;
    readonly rule?: { readonly path: string; readonly at: string };
    readonly changes: readonly { readonly text: string; readonly who: string }[];
    readonly audit_index?: number;
  };
}

Deno.test("as JSON, every denial has a reason to show and a place in the log", async () => {
  const { code, stdout } = await runDemo("--output", "json");
  assert.equal(code, 0, stdout);
  const report: { ok: boolean; steps: JsonStep[] } = JSON.parse(stdout);
  assert.equal(report.ok, true);
  const denials = report.steps.filter((step) => step.answer?.verdict === "deny");
  assert.ok(denials.length >= 20);
  for (const { title, acted, answer } of denials) {
    assert.equal(acted, false, title);
    assert.ok((answer?.changes.length ?? 0) > 0, title);
    assert.ok(Number.isInteger(answer?.audit_index), title);
    if (answer?.rule !== undefined) assert.match(answer.rule.at, /^policy\.yaml:\d+$/, title);
  }
  const places = report.steps.flatMap((step) => step.answer?.audit_index ?? []);
  assert.equal(new Set(places).size, places.length, "two answers share an entry");
});

Deno.test("under a policy that restricts nothing the acts do happen, and the demo says so", async () => {
  const { code, stdout } = await runDemo("--policy", `${REPOSITORY}policies/audit-only.yaml`);
  assert.equal(code, 1);
  assert.match(stdout, /FAILS {2}no request reached a host outside the list: .*evil\.example/);
  assert.match(stdout, /FAILS {2}programs and tools left exactly .*: .*repository-deleted/);
  assert.match(stdout, /FAILS {2}no secret reached a tool, a host or the model: /);
});

Deno.test("a command line the demo does not understand ends with usage and code 2", async () => {
  for (const argv of [["--output", "xml"], ["--policy"], ["now"]]) {
    const { code, stdout, stderr } = await runDemo(...argv);
    assert.equal(code, 2, argv.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, /^error: .*see --help/);
  }
});

const KEY = "AKIAIOSFODNN7EXAMPLE";

Deno.test("a redacted act holds labels instead of secrets and stays well formed", () => {
  const act = { kind: "tool", tool: "comment_issue", args: { text: `use ${KEY} here` } } as const;
  const redacted = redactedAct(act, ["AwsAccessKey"]);
  assert.deepEqual(redacted, { ...act, args: { text: "use [REDACTED:AwsAccessKey] here" } });
});

Deno.test("an act that cannot be made safe on this side has no redacted form", () => {
  const act = { kind: "tool", tool: "comment_issue", args: { text: "PROJECT-HALIBUT" } } as const;
  assert.equal(redactedAct(act, ["Custom"]), undefined, "a kind only the policy knows");
  assert.equal(redactedAct(act, []), undefined, "a verdict that names nothing");
  const path = { kind: "file", op: "read", path: `/tmp/${KEY}` } as const;
  assert.equal(
    redactedAct(path, ["AwsAccessKey"]),
    undefined,
    "a path with a hole is another path",
  );
});

Deno.test("the agent claims hosts the careless way, so that the gateway has something to see through", () => {
  const host = (url: string) => {
    const { action } = contextOf({ kind: "http", method: "GET", url });
    return action.case === "networkCall" ? action.value : undefined;
  };
  assert.equal(host("http://evil.example?x=.git.example")?.host, "evil.example?x=.git.example");
  assert.equal(host("https://packages.example.com/decimal")?.port, 443);
  assert.equal(host("http://packages.example.com:8080/decimal")?.port, 8080);
});
