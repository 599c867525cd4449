/**
 * `deno task test:grpc`: the module's own tests, then every conformance suite against other
 * people's programs. Prints each suite's table as it runs, a summary, and closes with one line
 * `N passed, N failed, N skipped`.
 *
 * Options: `--long` for the long forms, `--only=h2spec,fuzz` for some suites (`tests` names the
 * module's own tests). Exit code 0 when nothing failed, 1 otherwise, 2 for an unknown option.
 *
 * Permissions: run of this Deno; read of the repository. The suites run with what they need.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const SUITES = `${ROOT}/grpc/conformance`;
/**
 * Suites build peers, start servers, make network namespaces, and read other processes' memory and
 * files below `/proc`, which the runtime opens to nothing less.
 */
const SUITE_PERMISSIONS = ["--allow-all"];
const TOTALS = /^(\d+) passed, (\d+) failed, (\d+) skipped$/;

/** What one program reported. */
interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
}

interface Options {
  readonly long: boolean;
  readonly only: readonly string[] | undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  const names = ["tests", ...suiteNames()];
  for (const name of options.only ?? []) {
    if (!names.includes(name)) fail(`no suite is named \`${name}\`: have ${names.join(", ")}`);
  }
  const outcomes: Outcome[] = [];
  for (const name of names) {
    if (options.only !== undefined && !options.only.includes(name)) continue;
    console.log(`\n== ${name}`);
    outcomes.push(await runProgram(name, programOf(name, options.long)));
  }
  return report(outcomes);
}

function parse(args: readonly string[]): Options {
  let long = false;
  let only: string[] | undefined;
  for (const arg of args) {
    if (arg === "--long") long = true;
    else if (arg.startsWith("--only=")) only = arg.slice("--only=".length).split(",");
    else fail(`unknown option \`${arg}\`: expected --long or --only=name,name`);
  }
  return { long, only };
}

function fail(text: string): never {
  console.error(text);
  Deno.exit(2);
}

function suiteNames(): string[] {
  const names: string[] = [];
  for (const entry of Deno.readDirSync(SUITES)) {
    if (!entry.isDirectory || entry.name.startsWith(".")) continue;
    for (const file of Deno.readDirSync(`${SUITES}/${entry.name}`)) {
      if (file.name === "main.ts") names.push(entry.name);
    }
  }
  return names.sort();
}

/** Arguments of the Deno that runs one suite. */
function programOf(name: string, long: boolean): readonly string[] {
  if (name === "tests") {
    return ["run", "--no-prompt", "--allow-run", `--allow-read=${ROOT}`, "tests/run.ts", "grpc"];
  }
  const main = `grpc/conformance/${name}/main.ts`;
  return ["run", "--no-prompt", ...SUITE_PERMISSIONS, main, ...(long ? ["--long"] : [])];
}

async function runProgram(name: string, args: readonly string[]): Promise<Outcome> {
  const started_ms = Date.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let last = "";
  for await (const line of linesOf(child.stdout)) {
    console.log(line);
    if (line.trim() !== "") last = line.trim();
  }
  const { code } = await child.status;
  const seconds = Math.round((Date.now() - started_ms) / 1000);
  const [, passed, failed, skipped] = TOTALS.exec(last)?.map(Number) ?? [];
  if (passed === undefined || failed === undefined || skipped === undefined) {
    // A suite that ended without its totals proved nothing.
    return { name, passed: 0, failed: 1, skipped: 0, seconds };
  }
  const silent_failure = code !== 0 && failed === 0;
  return { name, passed, failed: silent_failure ? 1 : failed, skipped, seconds };
}

function report(outcomes: readonly Outcome[]): number {
  const total = { passed: 0, failed: 0, skipped: 0 };
  console.log("\n== summary");
  console.log(row(["suite", "passed", "failed", "skipped", "seconds"]));
  for (const { name, passed, failed, skipped, seconds } of outcomes) {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
    console.log(row([name, passed, failed, skipped, seconds]));
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell, index) => index === 0 ? `${cell}`.padEnd(12) : `${cell}`.padStart(9))
    .join("");
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

Deno.exit(await main(Deno.args));
