/**
 * The demo as a stranger runs it: its own process, its own permissions, the real gateway.
 *
 * @module
 */
import assert from "node:assert/strict";

const REPOSITORY = new URL("../../", import.meta.url).pathname;

interface DemoRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo with exactly the permissions of `deno task demo:sdk`. */
async function runDemo(...argv: string[]): Promise<DemoRun> {
  const directory = await Deno.makeTempDir({ prefix: "demo-sdk-" });
  const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", `--config=${REPOSITORY}sdk/frameworks/frameworks.json`, "--quiet"],
      ...["--no-prompt", "--no-remote", "--ignore-env", "--allow-sys=hostname,uid"],
      `--allow-net=127.0.0.1,unix:${directory}/runtime/agent.sock`,
      `--allow-run=${Deno.execPath()}`,
      ...[`--allow-read=${REPOSITORY},/tmp,${npmCache}`, "--allow-write=/tmp"],
      `${REPOSITORY}examples/sdk_agent/main.ts`,
      ...["--directory", directory],
      ...argv,
    ],
    cwd: REPOSITORY,
    stdin: "null",
  }).output();
  const left = await Deno.stat(directory).catch(() => undefined);
  if (left !== undefined) await Deno.remove(directory, { recursive: true });
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

for (const through of ["runtime", "gateway"]) {
  Deno.test(`through the ${through} the demo holds every claim, from the first denial to the log after the kill`, async () => {
    await holdsEveryClaim(through);
  });
}

async function holdsEveryClaim(through: string): Promise<void> {
  const { code, stdout, stderr } = await runDemo("--through", through);
  assert.equal(code, 0, stdout + stderr);
  assert.equal(stderr, "");
  assert.equal(stdout.match(/^ {2}✓ /gm)?.length, 14, stdout);
  assert.match(stdout, /every claim held/);
  assert.ok(!stdout.includes("\x1b"), "not a terminal: no escape sequences");
}

Deno.test("as JSON, each claim has what was seen, and nothing that was seen is a secret", async () => {
  const { code, stdout } = await runDemo("--output", "json");
  assert.equal(code, 0, stdout);
  const { ok, checks } = JSON.parse(stdout);
  assert.equal(ok, true);
  assert.equal(checks.length, 14);
  for (const { claim, seen } of checks) assert.ok(seen.length > 0, claim);
  assert.ok(!stdout.includes("AKIAIOSFODNN7EXAMPLE") && !stdout.includes("winter-is-long"));
});

Deno.test("under a policy that restricts nothing the claims do not hold, and the demo says so", async () => {
  const { code, stdout } = await runDemo("--policy", `${REPOSITORY}policies/audit-only.yaml`);
  assert.equal(code, 1, stdout);
  assert.match(stdout, /✗ a forbidden tool did not run/);
  assert.match(stdout, /✗ a leaked key in arguments reached the tool as a label/);
  assert.match(stdout, /✗ a deployment was held/);
  assert.match(
    stdout,
    /✓ the tool that was about to run did not/,
    "no policy makes up for a gateway",
  );
});

Deno.test("a command line the demo does not understand ends with usage and code 2", async () => {
  for (const argv of [["--output", "xml"], ["--policy"], ["now"]]) {
    const { code, stdout, stderr } = await runDemo(...argv);
    assert.equal(code, 2, argv.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, /^error: .*see --help/);
  }
});
