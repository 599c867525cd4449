/**
 * Fuzzes both halves of the module in memory: sound sessions made worse, and noise.
 *
 *     deno run -A grpc/conformance/fuzz/main.ts [--long] [--seed N] [--runs N] [--half server|client]
 *                                               [--replay FILE]
 *
 * A failure leaves a small session that shows it in `.cache/fuzz`, for `--replay`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import type { Failure, Progress, Task } from "./worker.ts";
import type { Half } from "./session.ts";

/** Seeds of the bounded form: the same inputs in every run of one commit. */
const SEEDS = [1, 2, 3];
const RUNS = 12_000;
const LONG_RUNS = 1_000_000;
/** No session takes nearly that long, but for one that never ends. */
const HANG_MS = 60_000;
const TEXT_BYTES = 8 * 1024 * 1024;
/** Growth of the live heap between the first quarter of a run and its end. */
const HEAP_GROWTH_BYTES_MAX = 24 * 1024 * 1024;
const CACHE = new URL("../.cache/fuzz/", import.meta.url);
const REPRODUCERS = new URL("./reproducers/", import.meta.url);

interface Options {
  readonly long: boolean;
  readonly seed: number | undefined;
  readonly runs: number;
  readonly halves: readonly Half[];
  readonly replay: string | undefined;
}

interface Result {
  readonly what: string;
  readonly figures: string;
  readonly problems: readonly string[];
}

function optionsOf(args: readonly string[]): Options {
  const value = (name: string): string | undefined => {
    const at = args.indexOf(name);
    return at < 0 ? undefined : args[at + 1];
  };
  const long = args.includes("--long");
  const half = value("--half");
  return {
    long,
    seed: value("--seed") === undefined ? undefined : Number(value("--seed")),
    runs: Number(value("--runs") ?? (long ? LONG_RUNS : RUNS)),
    halves: half === "server" || half === "client" ? [half] : ["server", "client"],
    replay: value("--replay"),
  };
}

/** Runs a task in a thread; stops it when it stands still. */
function runTask(
  task: Omit<Task, "current">,
  onProgress: (progress: Progress) => void,
): Promise<{ progress: Progress | undefined; problem: string | undefined }> {
  const current = new SharedArrayBuffer(8 + TEXT_BYTES);
  const counter = new Int32Array(current, 0, 2);
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return new Promise((resolve) => {
    let last: Progress | undefined;
    let count = 0;
    let since_ms = performance.now();
    const end = (problem: string | undefined) => {
      clearInterval(watch);
      worker.terminate();
      resolve({ progress: last, problem });
    };
    const watch = setInterval(() => {
      const now = Atomics.load(counter, 0);
      if (now !== count) since_ms = performance.now();
      count = now;
      if (performance.now() - since_ms < HANG_MS) return;
      const bytes = new Uint8Array(current, 8, Atomics.load(counter, 1)).slice();
      const file = keep(`${task.half}-hang`, new TextDecoder().decode(bytes));
      end(`a session does not end; see ${file}`);
    }, 1000);
    worker.onmessage = ({ data }: MessageEvent<Progress | { broken: string }>) => {
      since_ms = performance.now();
      if ("broken" in data) return end(`the fuzzer itself broke: ${data.broken}`);
      last = data;
      onProgress(data);
      if (data.done) end(undefined);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end(`the thread died: ${event.message}`);
    };
    worker.postMessage({ ...task, current });
  });
}

/** Writes a session to the cache; returns its path. */
function keep(name: string, text: string): string {
  Deno.mkdirSync(CACHE, { recursive: true });
  const file = new URL(`${name}.json`, CACHE).pathname;
  Deno.writeTextFileSync(file, text);
  return file;
}

function describeFailure(half: Half, seed: number, failure: Failure): string {
  const file = keep(`${half}-${seed}-${failure.run}`, failure.session);
  return `${failure.text}; repeat with --replay ${file}`;
}

async function fuzz(half: Half, seed: number, runs: number): Promise<Result> {
  const heaps: number[] = [];
  let told_s = 0;
  const { progress, problem } = await runTask({ half, seed, runs }, (now) => {
    if (now.runs >= runs / 4) heaps.push(now.heap_bytes);
    if (now.done || now.seconds - told_s < 15) return;
    told_s = now.seconds;
    console.log(`${half} half, seed ${seed}: ${figures(now)}`);
  });
  const problems = (progress?.failures ?? []).map((each) => describeFailure(half, seed, each));
  if (problem !== undefined) problems.push(problem);
  const [first = 0] = heaps;
  const growth = (heaps.at(-1) ?? 0) - first;
  if (growth > HEAP_GROWTH_BYTES_MAX) problems.push(`the live heap grew by ${mebibytes(growth)}`);
  return {
    what: `${half} half, seed ${seed}`,
    figures: progress === undefined ? "" : `${figures(progress)}, ${mebibytes(growth)} growth`,
    problems,
  };
}

function figures({ runs, seconds, corpus, features, blocks, heap_bytes }: Progress): string {
  const rate = Math.round(runs / seconds);
  return `${runs} inputs, ${seconds.toFixed(0)} s, ${rate}/s, corpus ${corpus}, ` +
    `${features} features, ${blocks} code blocks, heap ${mebibytes(heap_bytes)}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

async function replay(what: string, text: string): Promise<Result> {
  const half: Half = JSON.parse(text).half === "client" ? "client" : "server";
  const { progress, problem } = await runTask({ half, seed: 0, runs: 1, replay: text }, () => {});
  const problems = (progress?.failures ?? []).map((failure) => failure.text);
  if (problem !== undefined) problems.push(problem);
  return { what, figures: "replayed", problems };
}

/** Sessions that once broke a promise. */
async function replayReproducers(): Promise<Result[]> {
  const results: Result[] = [];
  const names = [...Deno.readDirSync(REPRODUCERS)].map(({ name }) => name).sort();
  for (const name of names.filter((name) => name.endsWith(".json"))) {
    results.push(await replay(name, Deno.readTextFileSync(new URL(name, REPRODUCERS))));
  }
  return results;
}

async function main(): Promise<number> {
  const options = optionsOf(Deno.args);
  const results: Result[] = [];
  if (options.replay !== undefined) {
    results.push(await replay(options.replay, Deno.readTextFileSync(options.replay)));
  } else {
    results.push(...await replayReproducers());
    const fresh = options.seed ?? (options.long ? Date.now() : undefined);
    const seeds = fresh === undefined ? SEEDS : [fresh];
    console.log(`seeds ${seeds.join(", ")}; ${options.runs} inputs each`);
    for (const seed of seeds) {
      const work = options.halves.map((half) => fuzz(half, seed, options.runs));
      results.push(...await Promise.all(work));
    }
  }
  console.log("");
  for (const { what, figures, problems } of results) {
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"}  ${what}: ${figures}`);
    for (const problem of problems) console.log(`      ${problem}`);
  }
  const failed = results.filter(({ problems }) => problems.length > 0).length;
  console.log(`${results.length - failed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 ? 0 : 1;
}

Deno.exit(await main());
