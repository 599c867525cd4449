/**
 * Three verifiers that share no code must say the same of one log: ours, a Python script, and the
 * fsck of the Go module github.com/transparency-dev/tessera, which reads the tile log only.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { verifyLog } from "../../core/audit/verify/mod.ts";
import { draft, SampleDirectory } from "../../gateway/audit/_sample_directory.ts";
import { directoryReader } from "../../gateway/audit/reading.ts";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const ENTRIES = 700;

/** A verdict of one verifier: the first bad entry, `bad` without one, or whole. */
type Verdict = { readonly ok: true } | { readonly ok: false; readonly entry: number | undefined };

async function run(program: string, args: string[], cwd?: string) {
  const command = new Deno.Command(program, { args, ...(cwd === undefined ? {} : { cwd }) });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Whether a program is there; in CI its absence is a failure. */
async function available(test: string, program: string, ...args: string[]): Promise<boolean> {
  try {
    if ((await run(program, args)).code === 0) return true;
  } catch {
    // Not there.
  }
  const reason = `${program} is not installed`;
  if (Deno.env.get("CI") === "true") assert.fail(`${test}: ${reason}`);
  await Deno.stdout.write(new TextEncoder().encode(`SKIPPED: ${test}: ${reason}\n`));
  return false;
}

async function ours(at: SampleDirectory, key: string): Promise<Verdict> {
  const report = await verifyLog(directoryReader(at.directory), { verifier_key: key });
  if (report.ok) return { ok: true };
  const entry = report.problems.find((problem) => problem.resource.endsWith(".jsonl"))?.index;
  return { ok: false, entry };
}

async function python(at: SampleDirectory, key: string): Promise<Verdict> {
  const { code, stdout, stderr } = await run("python3", [here("verify_log.py"), at.directory, key]);
  assert.ok(code === 0 ? stdout.startsWith("OK: ") : stdout.startsWith("BAD"), stdout + stderr);
  const entry = /^BAD entry (\d+):/.exec(stdout)?.[1];
  return code === 0 ? { ok: true } : { ok: false, entry: entry ? Number(entry) : undefined };
}

let built: Promise<string> | undefined;

/** Builds the Go program once a run, into a temporary folder. */
function fsckProgram(): Promise<string> {
  built ??= (async () => {
    const directory = Deno.makeTempDirSync({ prefix: "fsck-" });
    addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
    const program = `${directory}/fsck`;
    const args = ["build", "-mod=readonly", "-o", program, "."];
    const { code, stderr } = await run("go", args, here("tessera"));
    assert.equal(code, 0, stderr);
    return program;
  })();
  return built;
}

async function tessera(at: SampleDirectory, key: string): Promise<boolean> {
  const { code, stdout, stderr } = await run(await fsckProgram(), [`${at.directory}/log`, key]);
  assert.ok(code === 0 ? stdout === "OK\n" : stdout.startsWith("BAD: "), stdout + stderr);
  return code === 0;
}

interface Damage {
  readonly name: string;
  readonly apply: (at: SampleDirectory) => void;
  /** First bad entry of the log file; absent when only the tile log is damaged. */
  readonly entry?: number;
  /** Whether the tile log alone is still whole. */
  readonly tiles_whole: boolean;
}

function editLines(change: (lines: string[]) => string[]): Damage["apply"] {
  return (at) => at.write(change(at.lines()));
}

function flip(path: string, offset: number): Damage["apply"] {
  return (at) => {
    const file = `${at.directory}/log/${path}`;
    const bytes = Deno.readFileSync(file);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    Deno.writeFileSync(file, bytes);
  };
}

const DAMAGES: readonly Damage[] = [
  {
    name: "an edited entry",
    apply: editLines((lines) => lines.with(333, (lines[333] ?? "").replace("step 3", "step 4"))),
    entry: 333,
    tiles_whole: true,
  },
  {
    name: "white space in an entry",
    apply: editLines((lines) => lines.with(12, (lines[12] ?? "").replace(",", ", "))),
    entry: 12,
    tiles_whole: true,
  },
  {
    name: "a dropped entry",
    apply: editLines((lines) => lines.toSpliced(256, 1)),
    entry: 256,
    tiles_whole: true,
  },
  {
    name: "an entry twice",
    apply: editLines((lines) => lines.toSpliced(100, 0, lines[99] ?? "")),
    entry: 100,
    tiles_whole: true,
  },
  {
    name: "two entries swapped",
    apply: editLines((l) => l.with(5, l[600] ?? "").with(600, l[5] ?? "")),
    entry: 5,
    tiles_whole: true,
  },
  {
    name: "a line that is no entry",
    apply: editLines((lines) => lines.with(77, '{"seq":77}')),
    entry: 77,
    tiles_whole: true,
  },
  {
    name: "a truncated file",
    apply: editLines((lines) => lines.slice(0, 650)),
    entry: 650,
    tiles_whole: true,
  },
  { name: "a leaf tile", apply: flip("tile/0/001", 1_000), tiles_whole: false },
  { name: "an upper tile", apply: flip("tile/1/000.p/2", 40), tiles_whole: false },
  { name: "a partial bundle", apply: flip("tile/entries/002.p/188", 5_000), tiles_whole: false },
  { name: "a checkpoint's root", apply: flip("checkpoint", 40), tiles_whole: false },
  {
    name: "a missing tile",
    apply: (at) => Deno.removeSync(`${at.directory}/log/tile/0/000`),
    tiles_whole: false,
  },
];

async function filled(at: SampleDirectory): Promise<string> {
  const { log } = await at.open();
  for (let i = 0; i < ENTRIES; i += 100) {
    const more = i === 300
      ? {
        root_agent_id: new Uint8Array(16).fill(1),
        depth: 3,
        spawned_by_tool: "spawn",
        delegation_reason: "é",
        policy_doc_id: "sha256:00",
        credential_findings: [{ kind: "Custom", offset: 2n ** 60n, matched: "[REDACTED:Custom]" }],
      }
      : {};
    await Promise.all(Array.from({ length: 100 }, (_, j) => log.append(draft(i + j, more))));
  }
  await log.close();
  return log.status().verifier_key;
}

Deno.test("our verifier and the Python one agree, whole and damaged, on the first bad entry", async () => {
  if (!await available("Python verifier", "python3", "--version")) return;
  using whole = new SampleDirectory();
  const whole_key = await filled(whole);
  assert.deepEqual(await ours(whole, whole_key), { ok: true });
  assert.deepEqual(await python(whole, whole_key), { ok: true });
  for (const { name, apply, entry } of DAMAGES) {
    using at = new SampleDirectory();
    const key = await filled(at);
    apply(at);
    assert.deepEqual(await ours(at, key), { ok: false, entry }, `ours: ${name}`);
    assert.deepEqual(await python(at, key), { ok: false, entry }, `Python: ${name}`);
    assert.equal((await ours(at, whole_key)).ok, false, `ours, another key: ${name}`);
  }
  using other = new SampleDirectory();
  const other_key = await filled(other);
  assert.deepEqual(await python(whole, other_key), { ok: false, entry: undefined });
  assert.deepEqual(await ours(whole, other_key), { ok: false, entry: undefined });
});

Deno.test("tessera's fsck agrees with both about the tile log", async () => {
  if (!await available("tessera fsck", "go", "version")) return;
  using whole = new SampleDirectory();
  const key = await filled(whole);
  assert.equal(await tessera(whole, key), true);
  assert.equal(await tessera(whole, key.replace(/^agent/, "other")), false);
  for (const { name, apply, tiles_whole } of DAMAGES) {
    using at = new SampleDirectory();
    const damaged_key = await filled(at);
    apply(at);
    assert.equal(await tessera(at, damaged_key), tiles_whole, name);
  }
});
