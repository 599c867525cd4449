/**
 * The adapters against the real frameworks: formatting, lint and types of this folder and of the demo, then their tests.
 * The folder is outside the workspace because the frameworks' packages weigh about a gigabyte.
 *
 * Permissions of the tests: loopback, the repository, the package cache, temporary files; to start
 * this Deno and the program that the Claude Agent SDK brings. What the frameworks look up in the
 * environment varies with each, so they may read all of it; it is emptied first.
 *
 * `frameworks.json` repeats what the house's packages export, by relative path. After a change of one of
 * their versions, or of a framework's: `deno cache --frozen=false --config sdk/frameworks/frameworks.json
 * sdk/frameworks/*_test.ts
 * examples/sdk_agent/main.ts`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const ROOT = new URL("../../", import.meta.url).pathname;
const FOLDER = "sdk/frameworks";
/** The demo agent is made of a framework, so it lives by the same configuration. */
const DEMO = "examples/sdk_agent";
const CONFIG = `--config=${FOLDER}/frameworks.json`;
const DENO = Deno.execPath();

async function main(filters: readonly string[]): Promise<number> {
  for (const check of [["fmt", "--check"], ["lint", "--quiet"]]) {
    if (await run([...check, CONFIG, FOLDER, DEMO]) !== 0) return 1;
  }
  const cache = await packageCache();
  const files = filters.length > 0
    ? filters.map((name) => `${name === "demo" ? DEMO : FOLDER}/${name}_test.ts`)
    : [FOLDER, DEMO];
  const child = new Deno.Command(DENO, {
    args: [
      ...["test", CONFIG, "--no-prompt", "--quiet", "--allow-net=127.0.0.1", "--allow-env"],
      ...[`--allow-read=${ROOT},${cache},/tmp,/proc`, "--allow-write=/tmp"],
      ...[`--allow-run=${[DENO, ...await claudePrograms(cache)]}`, "--allow-sys"],
      ...files,
    ],
    cwd: ROOT,
    clearEnv: true,
    env: { NO_COLOR: "1", PATH: "/usr/bin:/bin", DENO_DIR: cache.replace(/\/npm$/, "") },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let [passed, failed, skipped] = [0, 0, 0];
  for await (const line of linesOf(child.stdout)) {
    console.log(line);
    if (line.startsWith("SKIPPED: ")) skipped++;
    const sum = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?:.*? \| (\d+) ignored)?/.exec(
      line,
    );
    if (sum === null) continue;
    [passed, failed] = [Number(sum[1]), Number(sum[2])];
    skipped += Number(sum[3] ?? 0);
  }
  const { code } = await child.status;
  if (code !== 0 && failed === 0) failed = 1;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

async function run(args: readonly string[]): Promise<number> {
  const { code } = await new Deno.Command(DENO, { args: [...args], cwd: ROOT, stdin: "null" })
    .spawn().status;
  return code;
}

async function packageCache(): Promise<string> {
  const { stdout } = await new Deno.Command(DENO, { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  return npmCache;
}

/** Where the program of the Claude Agent SDK may be; which of them fits this machine it decides. */
async function claudePrograms(cache: string): Promise<string[]> {
  const { imports } = JSON.parse(await Deno.readTextFile(`${ROOT}${FOLDER}/frameworks.json`));
  const version = String(imports["@anthropic-ai/claude-agent-sdk"]).split("@").at(-1);
  const kinds = ["x64", "arm64", "x64-musl", "arm64-musl"].map((kind) => `linux-${kind}`);
  const programs: string[] = [];
  // One folder a registry that packages came from; listed by another, as nobody granted it here.
  const list = `for (const { name } of Deno.readDirSync(${
    JSON.stringify(cache)
  })) console.log(name)`;
  const { stdout } = await new Deno.Command(DENO, { args: ["eval", list] }).output();
  for (const name of new TextDecoder().decode(stdout).trim().split("\n")) {
    for (const kind of [...kinds, "darwin-x64", "darwin-arm64"]) {
      programs.push(`${cache}/${name}/@anthropic-ai/claude-agent-sdk-${kind}/${version}/claude`);
    }
  }
  return programs;
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
