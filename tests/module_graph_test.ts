/**
 * What may import what: the rules of docs/architecture.md, read off the real module graphs.
 */
import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url).pathname;

/** Entry points of everything that ships. */
const ENTRIES = [
  "gateway/main.ts",
  "runtime/main.ts",
  "cli/main.ts",
  "launch/main.ts",
  "grpc/mod.ts",
  "storage/sqlite/writer.ts",
  "runtime/spool/writer.ts",
  "gateway/audit/tree_worker.ts",
];

interface Graph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly { readonly code?: { readonly specifier: string } }[];
  }[];
}

async function graphOf(entry: string): Promise<Graph> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `${ROOT}${entry}`],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** `gateway/engine/engine.ts` → `gateway`; undefined for what is not ours. */
function roomOf(specifier: string): string | undefined {
  const prefix = `file://${ROOT}`;
  if (!specifier.startsWith(prefix)) return undefined;
  return specifier.slice(prefix.length).split("/")[0];
}

/** Which rooms a room may import. A room may always import itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  grpc: [],
  proto: ["core"],
  storage: ["core"],
  gateway: ["core", "proto", "storage", "grpc"],
  runtime: ["core", "proto", "storage", "grpc"],
  sdk: ["core", "proto", "grpc"],
  cli: ["core", "proto", "grpc"],
};

/** The launcher reads the programs' pure configuration, and only that. */
const LAUNCH_READS =
  /\/(launch\/|gateway\/(config|permissions)\.ts|runtime\/(config|environment|permissions)\.ts|cli\/|core\/)/;

Deno.test("no shipped module graph contains node:http2, grpc-js or connect-node", async () => {
  for (const entry of ENTRIES) {
    const graph = await graphOf(entry);
    assert.ok(graph.modules.length > 1, `${entry} has no module graph`);
    const banned = graph.modules
      .map((module) => module.specifier)
      .filter((name) => /^node:http2$|@grpc\/grpc-js|connect-node/.test(name));
    assert.deepEqual(banned, [], `${entry} reaches ${banned.join(", ")}`);
  }
});

Deno.test("imports run downhill: core and grpc import nothing of the house, programs never each other", async () => {
  for (const entry of ENTRIES) {
    const graph = await graphOf(entry);
    for (const module of graph.modules) {
      const room = roomOf(module.specifier);
      if (room === undefined) continue;
      for (const dependency of module.dependencies ?? []) {
        const target = dependency.code?.specifier ?? "";
        const other = roomOf(target);
        if (other === undefined || other === room) continue;
        const fine = room === "launch"
          ? LAUNCH_READS.test(target)
          : (ALLOWED[room] ?? []).includes(other);
        assert.ok(fine, `${module.specifier} imports ${target}`);
      }
    }
  }
});

Deno.test("no shipped task grants everything or leaves a permission bare", async () => {
  const text = await Deno.readTextFile(`${ROOT}deno.json`);
  const tasks: Record<string, string | { command: string }> = JSON.parse(text).tasks;
  for (const [name, task] of Object.entries(tasks)) {
    const command = typeof task === "string" ? task : task.command;
    assert.doesNotMatch(command, /(^|\s)(-A|--allow-all)(\s|$)/, `task ${name}`);
    assert.doesNotMatch(
      command,
      /--allow-(read|write|net|run|ffi|env|sys)(\s|$)/,
      `task ${name} leaves a permission bare`,
    );
  }
});

/** What would make `core/` impure: the runtime, clocks, randomness, the network, node's I/O. */
const IMPURE =
  /\bDeno\.|\bDate\.now\(|new Date\(\)|\bperformance\.|Math\.random|getRandomValues|\bfetch\(|from "node:(?!crypto"|process")/;

async function* sources(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (/(?<!_test|_fixture|_arbitrary)\.ts$/.test(entry.name)) yield path;
  }
}

Deno.test("core does no I/O and reads neither clock nor randomness", async () => {
  let files = 0;
  for await (const path of sources(`${ROOT}core`)) {
    const code = (await Deno.readTextFile(path)).split("\n")
      .filter((line) => !/^\s*(\*|\/[/*])/.test(line));
    const impure = code.filter((line) => IMPURE.test(line));
    assert.deepEqual(impure, [], path);
    files++;
  }
  assert.ok(files > 50, "the sources of core were found");
});
