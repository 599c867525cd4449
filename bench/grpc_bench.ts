/**
 * Our gRPC server beside tonic, grpc-go, grpc-js and `Deno.serve`: one run, every server bound to
 * the same core, the load on the other, repetitions interleaved so that all see the same machine.
 *
 *     deno run -A bench/grpc_bench.ts [--quick] [--only NAME,NAME] [--measures ID,ID]
 *                                     [--repetitions N] [--out FILE]
 *
 * The message is an EchoMessage of 501 bytes, read and written by every server with its own
 * library. Tables go to standard output, progress to standard error, raw samples to
 * `bench/results/grpc.json` (a quick run writes only where `--out` says).
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { EchoMessageSchema } from "./grpc/gen/echo_pb.ts";
import { type Running, start, stopAll } from "./grpc/children.ts";
import type { Figures, Sample } from "./grpc/figures.ts";
import { type Bench, type Measure, MEASURES, warmUp } from "./grpc/measures.ts";
import { ALL_PEERS, build, type Peer, TLS, versions } from "./grpc/peers.ts";
import { CoreMeter, cpuSeconds, forgetPeak, peakMegabytes } from "./grpc/process_stat.ts";
import { rowsOf, shown, table } from "./grpc/report.ts";

const MESSAGE_BYTES = 501;
const ROOT = new URL("..", import.meta.url).pathname;
const RESULTS = new URL("results/grpc.json", import.meta.url).pathname;
/** How long a server that dies of its client's leaving takes to do so. */
const DYING_MS = 300;

/** What the flags ask for. */
interface Plan {
  readonly quick: boolean;
  readonly repetitions: number;
  readonly peers: readonly Peer[];
  readonly measures: readonly Measure[];
  readonly out: string | undefined;
}

function planOf(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      measures: { type: "string" },
      repetitions: { type: "string" },
      out: { type: "string" },
    },
  });
  const { quick, only, measures } = values;
  const repetitions = Number(values.repetitions ?? (quick ? 1 : 5));
  if (!Number.isInteger(repetitions) || repetitions < 1) {
    throw new Error(`--repetitions is \`${values.repetitions}\`: expected a whole number from 1`);
  }
  return {
    quick,
    repetitions,
    peers: chosen("--only", only, ALL_PEERS, (peer) => peer.name),
    measures: chosen("--measures", measures, MEASURES, (measure) => measure.id),
    out: values.out ?? (quick ? undefined : RESULTS),
  };
}

function chosen<T>(
  flag: string,
  list: string | undefined,
  all: readonly T[],
  nameOf: (each: T) => string,
): readonly T[] {
  if (list === undefined) return all;
  const names = list.split(",");
  for (const name of names) {
    if (all.some((each) => nameOf(each) === name)) continue;
    throw new Error(`${flag} names \`${name}\`: expected some of ${all.map(nameOf).join(", ")}`);
  }
  return all.filter((each) => names.includes(nameOf(each)));
}

function message(): Uint8Array {
  const payload = Uint8Array.from({ length: 372 }, (_, index) => (index * 31) & 255);
  const text = "x".repeat(120);
  const bytes = toBinary(
    EchoMessageSchema,
    create(EchoMessageSchema, { text, payload, count: 1_234_567 }),
  );
  if (bytes.length !== MESSAGE_BYTES) throw new Error(`the message has ${bytes.length} bytes`);
  return bytes;
}

async function prepare(quick: boolean, directory: string): Promise<Bench> {
  const bytes = message();
  const framed = new Uint8Array(5 + bytes.length);
  new DataView(framed.buffer).setUint32(1, bytes.length);
  framed.set(bytes, 5);
  const bench: Bench = {
    seconds: quick ? 0.4 : 1.2,
    connects: quick ? 50 : 200,
    starts: quick ? 2 : 10,
    message: `${directory}/message.bin`,
    framed: `${directory}/message.grpc`,
    directory,
    rates: new Map(),
  };
  await Deno.writeFile(bench.message, bytes);
  await Deno.writeFile(bench.framed, framed);
  return bench;
}

/** The servers of a run: started when first asked for, and again when they have died. */
class Servers {
  readonly #bench: Bench;
  readonly #running = new Map<string, Running>();

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  /** A warm server. */
  async get(peer: Peer): Promise<Running> {
    const known = this.#running.get(peer.name);
    if (known !== undefined && !known.ended() && !peer.fragile) return known;
    await known?.stop();
    const { command } = peer.program;
    const args = peer.grpc ? TLS.args : [];
    const server = await start({ ...peer.program, command: [...command, ...args] }, 0);
    this.#running.set(peer.name, server);
    await warmUp(this.#bench, peer, server);
    return server;
  }
}

/** One measurement of one server. */
async function sample(
  bench: Bench,
  servers: Servers,
  measure: Measure,
  peer: Peer,
  repetition: number,
): Promise<Sample> {
  const base = { measure: measure.id, server: peer.name, repetition };
  if (measure.starts_servers) {
    const load = new CoreMeter(1);
    const figures = await measure.run(bench, peer, undefined);
    return { ...base, ...figures, load_core_busy: load.busy(), crashed: false };
  }
  const server = await servers.get(peer);
  const load = new CoreMeter(1);
  forgetPeak(server.pid);
  const cpu = cpuSeconds(server.pid);
  let figures: Figures = { units: 0, seconds: NaN, rate: NaN, failed: 1 };
  try {
    figures = await measure.run(bench, peer, server);
  } catch (reason) {
    // Only a server known to die may; whatever else fails is a mistake of the benchmark.
    if (!peer.fragile) throw reason;
  }
  const load_core_busy = load.busy();
  if (peer.fragile) await new Promise((resolve) => setTimeout(resolve, DYING_MS));
  if (server.ended()) return { ...base, ...figures, load_core_busy, crashed: true };
  const cpu_us_per_unit = (cpuSeconds(server.pid) - cpu) * 1e6 / figures.units;
  const peak_megabytes = peakMegabytes(server.pid);
  return { ...base, ...figures, cpu_us_per_unit, peak_megabytes, load_core_busy, crashed: false };
}

async function run(plan: Plan, bench: Bench): Promise<Sample[]> {
  const servers = new Servers(bench);
  const samples: Sample[] = [];
  for (const measure of plan.measures) {
    const peers = plan.peers.filter((peer) => measure.suits(peer));
    const repetitions = Math.min(plan.repetitions, measure.repetitions_max);
    for (let repetition = 0; repetition < repetitions; repetition++) {
      console.error(`${measure.id}: repetition ${repetition + 1} of ${repetitions}`);
      // Another first each time, so that none is always measured after the same other.
      for (let index = 0; index < peers.length; index++) {
        const peer = peers[(index + repetition) % peers.length];
        if (peer === undefined) continue;
        const one = await sample(bench, servers, measure, peer, repetition);
        samples.push(one);
        const value = shown(measure.value(one));
        console.error(`  ${peer.title}: ${value} ${measure.unit}${one.crashed ? ", died" : ""}`);
      }
    }
  }
  return samples;
}

async function conditions(plan: Plan, bench: Bench): Promise<Record<string, unknown>> {
  const cpu = /^model name\s*:\s*(.*)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
  return {
    date: new Date().toISOString(),
    cpu,
    cores: navigator.hardwareConcurrency,
    kernel: (await Deno.readTextFile("/proc/sys/kernel/osrelease")).trim(),
    load_average_before: Deno.loadavg(),
    versions: await versions(),
    message_bytes: MESSAGE_BYTES,
    seconds_per_measurement: bench.seconds,
    repetitions: plan.repetitions,
    pinning: "servers: taskset -c 0; load: taskset -c 1",
    commands: Object.fromEntries(
      plan.peers.map((peer) => [peer.name, {
        command: peer.program.command,
        ...(peer.program.env === undefined ? {} : { env: peer.program.env }),
      }]),
    ),
  };
}

async function main(): Promise<void> {
  const plan = planOf(Deno.args);
  const began = performance.now();
  const directory = await Deno.makeTempDir({ prefix: "grpc-bench-" });
  const cleanUp = async () => {
    await stopAll();
    await Deno.remove(directory, { recursive: true }).catch(() => {});
  };
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      interrupted = true;
      console.error(`\n${signal}: ending what still runs`);
      cleanUp().finally(() => Deno.exit(130));
    });
  }
  try {
    await build(plan.peers, (text) => console.error(text));
    const bench = await prepare(plan.quick, directory);
    const under = await conditions(plan, bench);
    const samples = await run(plan, bench);
    const rows = plan.measures.map((measure) => ({
      measure,
      rows: rowsOf(measure, plan.peers, samples),
    }));
    for (const each of rows) console.log(`${table(each.measure, plan.peers, each.rows)}\n`);
    const result = { conditions: under, rows: rows.flatMap((each) => each.rows), samples };
    if (plan.out !== undefined) {
      // Paths from the repository's root: where a machine keeps it is nobody's business.
      const text = JSON.stringify(result, null, 1).replaceAll(ROOT, "");
      await Deno.writeTextFile(plan.out, `${text}\n`);
      console.error(`written to ${plan.out}`);
    }
    console.error(`took ${((performance.now() - began) / 1000).toFixed(0)} s`);
  } catch (reason) {
    // What was killed fails, and that is no news.
    if (!interrupted) throw reason;
  } finally {
    await cleanUp();
  }
}

await main();
