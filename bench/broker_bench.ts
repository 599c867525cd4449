/**
 * Microseconds that one permission check of a Deno program costs: without a broker, with one that
 * allows without looking, and with the runtime's, as `aasm run deno` starts it (a gateway, a
 * runtime, a registered agent).
 *
 * `first`: every look-up is of another file, so each is a policy decision with durable evidence.
 * `again`: one file again and again, answered from the cache of the policy epoch and counted.
 *
 * `deno task bench:broker` prints a table, then JSON. Everything shares the machine's cores.
 *
 * @module
 */
// deno-lint-ignore-file no-console
const BENCH = new URL("./broker/", import.meta.url).pathname;
const LAUNCHER = new URL("../launch/main.ts", import.meta.url).pathname;
const FILES = 1_000;

interface Row {
  readonly way: string;
  readonly first_us: number;
  readonly again_us: number;
}

/** Runs Deno and gives the line of JSON that the measured program printed. */
async function measured(
  way: string,
  args: readonly string[],
  cwd: string,
  broker?: string,
): Promise<Row> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: {
      NO_COLOR: "1",
      ...(broker === undefined ? {} : { DENO_PERMISSION_BROKER_PATH: broker }),
    },
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return { way, ...JSON.parse(new TextDecoder().decode(stdout)) };
}

async function withFloor(socket: string, cwd: string, program: readonly string[]): Promise<Row> {
  const floor = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--allow-net=unix:${socket}`,
      `--allow-read=${socket}`,
      `--allow-write=${socket}`,
      `${BENCH}floor.ts`,
      socket,
    ],
    stdin: "null",
  }).spawn();
  try {
    while (!await Deno.stat(socket).then(() => true, () => false)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return await measured("a broker that allows without looking", program, cwd, socket);
  } finally {
    floor.kill();
    await floor.status;
  }
}

async function withRuntime(directory: string, program: readonly string[]): Promise<Row> {
  const policy = `${directory}/policy.yaml`;
  await Deno.writeTextFile(policy, `filesystem: {read: {allow: [${directory}, ${BENCH}]}}\n`);
  return await measured("the runtime's broker", [
    "run",
    "--no-prompt",
    "--no-remote",
    "--quiet",
    `--allow-run=${Deno.execPath()}`,
    LAUNCHER,
    "aasm",
    "run",
    "deno",
    "--timeout=60",
    // A benchmark may run as root; what the runtime is allowed does not change what it costs.
    "--allow-privileged",
    `--policy=${policy}`,
    "--",
    ...program,
  ], directory);
}

const directory = await Deno.realPath(await Deno.makeTempDir({ dir: "/tmp" }));
try {
  for (let at = 0; at < FILES; at++) await Deno.writeTextFile(`${directory}/f${at}`, "");
  const program = [
    "run",
    "-A",
    "--quiet",
    "--no-lock",
    `${BENCH}program.ts`,
    directory,
    `${FILES}`,
  ];
  const rows = [
    await measured("no broker", program, directory),
    await withFloor(`${directory}/floor.sock`, directory, program),
    await withRuntime(directory, program),
  ];
  const cell = (us: number) => us.toFixed(1).padStart(10);
  console.log(`${"µs a check".padEnd(40)}${"first".padStart(10)}${"again".padStart(10)}`);
  for (const { way, first_us, again_us } of rows) {
    console.log(`${way.padEnd(40)}${cell(first_us)}${cell(again_us)}`);
  }
  console.log(JSON.stringify({ deno: Deno.version.deno, files: FILES, rows }));
} finally {
  await Deno.remove(directory, { recursive: true });
}
