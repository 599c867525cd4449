/**
 * The test command: runs every test of the suite, each room under the permissions it needs, and
 * closes with one line `N passed, N failed, N skipped`.
 *
 * A test that cannot get what it needs prints `SKIPPED: <name>: <reason>`; the runner counts it and
 * lists it again at the end. With `CI=true` such a test fails instead. Property tests draw the same
 * cases every time; `--seed=random` draws fresh ones and `--seed=N` repeats a printed one.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const DENO = Deno.execPath();

/** One `deno test` run. */
interface Group {
  readonly name: string;
  readonly paths: readonly string[];
  readonly permissions: readonly string[];
  readonly flags?: readonly string[];
}

/** Bare where it says so, because tests start programs, servers and foreign peers. */
const PROGRAM_PERMISSIONS: readonly string[] = [
  "--allow-read",
  // Bare, because the tests make symbolic links, which the runtime allows no other way.
  "--allow-write",
  "--allow-net",
  "--allow-run",
  "--allow-env",
  "--allow-sys",
  "--allow-ffi",
];

const GROUPS: readonly Group[] = [
  {
    name: "pure rooms (may read the repository, nothing else)",
    paths: ["core", "proto", "launch"],
    // The YAML library that the tests print edited policies with looks at two debug variables.
    permissions: [`--allow-read=${ROOT}`, "--allow-env=LOG_TOKENS,LOG_STREAM,PROPERTY_SEED"],
    // They touch nothing that another could; half of the time is theirs.
    flags: ["--parallel"],
  },
  {
    name: "programs, transport and storage (loopback, temporary files, child processes)",
    paths: [
      "grpc",
      "storage",
      "gateway",
      "runtime",
      "sdk",
      "cli",
      "policies",
      "examples",
      "bench",
      "tests",
    ],
    permissions: PROGRAM_PERMISSIONS,
  },
  {
    name: "examples in the documentation",
    paths: ["grpc/mod.ts", "grpc/error_details.ts", "grpc/README.md"],
    permissions: ["--allow-net=127.0.0.1", "--allow-env=PROPERTY_SEED"],
    flags: ["--doc"],
  },
];

interface Tally {
  passed: number;
  failed: number;
  ignored: number;
  readonly skipped: string[];
}

async function main(args: readonly string[]): Promise<number> {
  const seed = seedAsked(args);
  const filters = args.filter((arg) => !arg.startsWith("--seed="));
  const tally: Tally = { passed: 0, failed: 0, ignored: 0, skipped: [] };
  for (const group of GROUPS) {
    const paths = await existing(group.paths);
    const chosen = filters.length === 0 ? paths : [
      ...filters.filter((filter) => paths.some((path) => `${filter}/`.startsWith(`${path}/`))),
      ...paths.filter((path) => filters.some((filter) => path.startsWith(`${filter}/`))),
    ];
    if (chosen.length === 0) continue;
    console.log(`\n== ${group.name}`);
    await runGroup({ ...group, paths: chosen }, seed, tally);
  }
  const skipped = tally.skipped.length + tally.ignored;
  for (const line of tally.skipped) console.log(line);
  console.log(
    `${tally.passed - tally.skipped.length} passed, ${tally.failed} failed, ${skipped} skipped`,
  );
  return tally.failed > 0 || tally.passed === 0 ? 1 : 0;
}

async function existing(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const info = await Deno.stat(`${ROOT}/${path}`).catch(() => undefined);
    if (info !== undefined) found.push(path);
  }
  return found;
}

/** The seed of every property test: `--seed=random`, `--seed=N`, or the fixed one. */
function seedAsked(args: readonly string[]): string | undefined {
  const asked = args.find((arg) => arg.startsWith("--seed="))?.slice("--seed=".length);
  if (asked !== undefined && asked !== "random" && !/^-?\d+$/.test(asked)) {
    console.error(`--seed is neither \`random\` nor a whole number: received \`${asked}\``);
    Deno.exit(2);
  }
  return asked;
}

async function runGroup(group: Group, seed: string | undefined, tally: Tally): Promise<void> {
  const child = new Deno.Command(DENO, {
    args: [
      "test",
      "--no-prompt",
      "--quiet",
      "--unstable-worker-options",
      "--preload",
      "tests/property_seed.ts",
      ...(group.flags ?? []),
      ...group.permissions,
      ...group.paths,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...(seed === undefined ? {} : { PROPERTY_SEED: seed }) },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let summary = false;
  for await (const line of linesOf(child.stdout)) {
    console.log(line);
    if (line.startsWith("SKIPPED: ")) tally.skipped.push(line);
    const match = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?:.*? \| (\d+) ignored)?/.exec(
      line,
    );
    if (match === null) continue;
    summary = true;
    tally.passed += Number(match[1]);
    tally.failed += Number(match[2]);
    tally.ignored += Number(match[3] ?? 0);
  }
  const { code } = await child.status;
  // A module that does not compile, or a leak outside a test, fails the run without a failed test.
  if (code !== 0 && (!summary || tally.failed === 0)) tally.failed += 1;
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
