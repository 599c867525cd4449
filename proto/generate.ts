/**
 * Regenerates every generated file of the repository from its `.proto`, or with `--check` fails when
 * the two differ.
 *
 * Needs `protoc` 3.21 or later on the path. Permissions: run of `protoc`; read of the repository;
 * write of the folders named `gen` and the temporary directory.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The code generator, pinned like every dependency; `generate.lock` holds its integrity hashes. */
const PLUGIN = "npm:@bufbuild/protoc-gen-es@2.17.0";
const OPTIONS = "target=ts,import_extension=ts";

const PROTO_DIRECTORY = dirname(fileURLToPath(import.meta.url));
/** Well-known types sources may import; what is generated from sources takes them from protobuf-es. */
const WELL_KNOWN = join(PROTO_DIRECTORY, "well_known");
const ROOT = dirname(PROTO_DIRECTORY);

/** Where sources are and where what is generated from them goes, from the repository's root. */
interface Room {
  /** The root that imports and generated paths are relative to. */
  readonly directory: string;
  /** Below `directory`. */
  readonly sources: string;
  readonly generated: string;
}

/** `grpc/` is a package of its own: its sources lie beside what is generated from them. */
const ROOMS: readonly Room[] = [
  { directory: "proto", sources: "assembly", generated: "proto/gen" },
  ...[
    "grpc/gen",
    "grpc/examples/gen",
    "grpc/conformance/interop/gen",
    "grpc/conformance/connect/gen",
    "bench/grpc/gen",
  ].map(
    (directory) => ({ directory, sources: ".", generated: directory }),
  ),
];

/** Every file under `directory` with the given ending, relative to `base`, sorted. */
async function listFiles(directory: string, ending: string, base = directory): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) found.push(...await listFiles(path, ending, base));
    else if (entry.name.endsWith(ending)) found.push(relative(base, path));
  }
  return found.sort();
}

/** Runs protoc over a room's sources; the generated files land in `target`. */
async function generate(room: Room, target: string, scratch: string): Promise<void> {
  const plugin = join(scratch, "protoc-gen-es");
  const lock = join(PROTO_DIRECTORY, "generate.lock");
  await Deno.writeTextFile(
    plugin,
    `#!/bin/sh\nexec '${Deno.execPath()}' run --quiet --no-prompt --no-config --frozen ` +
      `--lock='${lock}' --allow-read --allow-env ${PLUGIN}\n`,
    { mode: 0o700 },
  );
  const directory = join(ROOT, room.directory);
  const sources = await listFiles(join(directory, room.sources), ".proto", directory);
  const result = await new Deno.Command("protoc", {
    args: [
      `-I${directory}`,
      `-I${WELL_KNOWN}`,
      `--plugin=protoc-gen-es=${plugin}`,
      `--es_out=${target}`,
      `--es_opt=${OPTIONS}`,
      ...sources,
    ],
    stderr: "piped",
  }).output();
  if (!result.success) {
    throw new Error(`protoc failed: ${new TextDecoder().decode(result.stderr).trim()}`);
  }
}

/** Paths that exist on one side only or differ in content. */
async function differences(expected: string, actual: string): Promise<string[]> {
  const paths = new Set([
    ...await listFiles(expected, ".ts"),
    ...await listFiles(actual, ".ts"),
  ]);
  const differing: string[] = [];
  for (const path of paths) {
    const [left, right] = await Promise.all(
      [expected, actual].map((side) => Deno.readTextFile(join(side, path)).catch(() => undefined)),
    );
    if (left !== right) differing.push(path);
  }
  return differing.sort();
}

async function main(check: boolean): Promise<number> {
  let stale = 0;
  for (const room of ROOMS) {
    if (!await exists(join(ROOT, room.directory))) continue;
    const scratch = await Deno.makeTempDir({ prefix: "proto-generate-" });
    try {
      const target = join(scratch, "gen");
      await Deno.mkdir(target);
      await generate(room, target, scratch);
      stale += await settle(join(ROOT, room.generated), target, room.generated, check);
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  }
  if (stale > 0) say("run proto/generate.ts and commit what it writes");
  return stale === 0 ? 0 : 1;
}

/** Compares, or brings the generated folder up to date; returns what is left to do. */
async function settle(
  generated: string,
  target: string,
  name: string,
  check: boolean,
): Promise<number> {
  await Deno.mkdir(generated, { recursive: true });
  const differing = await differences(target, generated);
  if (check) {
    for (const path of differing) say(`${name}/${path} differs from its source`);
    return differing.length;
  }
  for (const path of differing) {
    const destination = join(generated, path);
    const fresh = await Deno.readTextFile(join(target, path)).catch(() => undefined);
    if (fresh === undefined) {
      await Deno.remove(destination);
    } else {
      await Deno.mkdir(dirname(destination), { recursive: true });
      await Deno.writeTextFile(destination, fresh);
    }
    say(`${name}/${path} ${fresh === undefined ? "removed" : "written"}`);
  }
  return 0;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

function say(line: string): void {
  // deno-lint-ignore no-console
  console.error(line);
}

if (import.meta.main) Deno.exit(await main(Deno.args.includes("--check")));
