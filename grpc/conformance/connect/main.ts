/**
 * `connectconformance`, the conformance suite of the Connect project, unmodified, against our
 * servers (gRPC on our own listeners, gRPC-Web and Connect through the web handler; HTTP/1.1 and
 * HTTP/2, plain and TLS, binary and JSON) and against our gRPC client (plain and TLS).
 *
 * The runner and everything it is built from are pinned by `go.mod` and `go.sum` beside this file.
 * Cases that cannot pass are listed in `grpc/known_failing.md` as `connect/server/NAME` or
 * `connect/client/NAME`, blanks in their names written `_`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { knownFailing } from "../known_failing.ts";
import { buildOnce, cacheOf, isInstalled, progress, runToEnd } from "../peer_process.ts";

const HERE = new URL(".", import.meta.url).pathname;
const RUNNER = "connectrpc.com/conformance/cmd/connectconformance";
const RUN_TIMEOUT_MS = 10 * 60_000;
/** What the runner says of each configuration, of each failure, and at its end. */
const CONFIGURATION = /^Running (\d+) tests with (\S+) for (?:server|client) config #\d+ \{(.*)\}/;
const FAILED = /^FAILED: (.+):$/;
const TOTALS = /^(\d+) passed, (\d+) failed$/;

/** Which side of ours is under test. */
type Side = "server" | "client";

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** What the runner said of one run. */
interface RunnerOutput {
  /** Name and number of cases of each configuration. */
  readonly configurations: readonly (readonly [string, number])[];
  /** Reasons by case. */
  readonly failures: ReadonlyMap<string, string>;
  readonly totals: { readonly passed: number; readonly failed: number } | undefined;
}

async function main(): Promise<number> {
  if (!await isInstalled("go", ["version"])) {
    console.log("FAIL `go` is missing: install Go 1.26 or later (Debian: golang-go)");
    console.log("0 passed, 1 failed, 0 skipped");
    return 1;
  }
  const folder = cacheOf("connect");
  await build(folder);
  const known = await knownFailing("connect");
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const side of ["server", "client"] as const) {
    progress(`running connectconformance against our ${side}`);
    judge(side, readOutput(await run(`${folder}/connectconformance`, side)), known, tally);
  }
  for (const id of known.keys()) {
    console.log(`FAIL ${id}: passes or does not exist, but known_failing.md lists it`);
    tally.failed++;
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
  return tally.failed > 0 || tally.passed === 0 ? 1 : 0;
}

async function build(folder: string): Promise<void> {
  const inputs = await Promise.all(
    ["go.mod", "go.sum"].map((name) => Deno.readTextFile(`${HERE}${name}`)),
  );
  await buildOnce(
    folder,
    "connectconformance",
    inputs,
    () => runToEnd("go", ["build", "-o", `${folder}/connectconformance`, RUNNER], { cwd: HERE }),
  );
}

async function run(runner: string, side: Side): Promise<string> {
  const flags = ["-v", "--mode", side, "--conf", `${HERE}${side}_config.yaml`];
  const program = [Deno.execPath(), "run", "--quiet", "-A", `${HERE}${side}.ts`];
  const parallel = side === "server" ? ["--parallel", "4"] : [];
  const args = [...flags, "--max-servers", "2", ...parallel, "--", ...program];
  const signal = AbortSignal.timeout(RUN_TIMEOUT_MS);
  return (await runToEnd(runner, args, { signal })).text;
}

function readOutput(text: string): RunnerOutput {
  const configurations: [string, number][] = [];
  const failures = new Map<string, string>();
  let totals: RunnerOutput["totals"];
  let failing: string | undefined;
  for (const line of text.split("\n")) {
    const [, count, client, properties] = CONFIGURATION.exec(line) ?? [];
    if (properties !== undefined) {
      configurations.push([`${properties}, ${client}`, Number(count)]);
      continue;
    }
    const [, passed, failed] = TOTALS.exec(line) ?? [];
    if (passed !== undefined) totals = { passed: Number(passed), failed: Number(failed) };
    const name = FAILED.exec(line)?.[1];
    if (name !== undefined) failing = name;
    else if (!line.startsWith("\t")) failing = undefined;
    else if (failing !== undefined) failures.set(failing, line.trim());
    if (name !== undefined) failures.set(name, "no reason given");
  }
  return { configurations, failures, totals };
}

/** Prints the configurations and the failures, and counts; takes the known ones out of the list. */
function judge(side: Side, output: RunnerOutput, known: Map<string, string>, tally: Tally): void {
  const { configurations, failures, totals } = output;
  for (const [name, count] of configurations) {
    console.log(`${String(count).padStart(5)} cases  ${side}: ${name}`);
  }
  for (const [name, reason] of failures) {
    const id = `connect/${side}/${name.replaceAll(" ", "_")}`;
    const expected = known.get(id);
    known.delete(id);
    console.log(`${expected === undefined ? "FAIL" : "SKIP"} ${id}: ${expected ?? reason}`);
    tally[expected === undefined ? "failed" : "skipped"]++;
  }
  tally.passed += totals?.passed ?? 0;
  const announced = configurations.reduce((sum, [, count]) => sum + count, 0);
  const counted = totals === undefined ? undefined : totals.passed + totals.failed;
  if (counted !== announced || totals?.failed !== failures.size) {
    const read = `${announced} cases announced, ${failures.size} failures read`;
    console.log(`FAIL connect/${side}: ${read}, the runner counted ${JSON.stringify(totals)}`);
    tally.failed++;
  }
}

Deno.exit(await main());
