/**
 * What is measured, in the order of the tables.
 *
 * @module
 */

import { bound, output, type Program, type Running } from "./children.ts";
import type { Figures, Sample } from "./figures.ts";
import { h2load } from "./h2load.ts";
import { GO_CLIENT, type Peer, PYTHON_CLIENT, TLS } from "./peers.ts";

const PATH = "/grpc.bench.v1.Echo/Unary";
const FIXED_RATE = 20_000;
const FIXED_CLIENTS = 50;

/** Values of x-request-id and the like: what tracing and identity put on a call. */
const METADATA = [
  "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "x-request-id: 7f1c6a52-93a0-4d0e-8b63-6f2f6b0f2f11",
  "x-tenant: acme-production-eu-central-1",
  "user-agent: bench/1.0 (one value of the length that clients send)",
];

/** What a measurement has to work with. */
export interface Bench {
  /** How long one measurement lasts. */
  readonly seconds: number;
  /** How often a connection is made, a process started. */
  readonly connects: number;
  readonly starts: number;
  /** Files: the message, the message with its gRPC prefix. */
  readonly message: string;
  readonly framed: string;
  /** For files that come and go. */
  readonly directory: string;
  /** Requests a second a server reached lately under a load; unknown before the first. */
  readonly rates: Map<string, number>;
}

/** One measure; every server is measured by the same. */
export interface Measure {
  readonly id: string;
  readonly title: string;
  /** Of {@linkcode value}. */
  readonly unit: string;
  readonly better: "more" | "less";
  /** What the table compares. */
  value(sample: Sample): number | undefined;
  /** Whether it says anything of this server. */
  suits(peer: Peer): boolean;
  /** Starts servers of its own, and needs none that runs. */
  readonly starts_servers?: true;
  readonly repetitions_max: number;
  run(bench: Bench, peer: Peer, server: Running | undefined): Promise<Figures>;
}

const rate = (sample: Sample) => sample.rate;
const median_ms = (sample: Sample) => (sample.p50_us ?? NaN) / 1000;
/** Beside the unary loads, variants of a server differ too little to be worth the time. */
const isPlainGrpc = (peer: Peer) => peer.grpc && !/default|hand/.test(peer.name);

function addressOf(server: Running | undefined, secure = false): string {
  const address = secure ? server?.tls_address : server?.address;
  if (address === undefined) throw new Error("the server does not listen");
  return address;
}

function unary(
  id: string,
  title: string,
  shape: readonly string[],
  headers: readonly string[],
  secure = false,
): Measure {
  return {
    id,
    title,
    unit: "req/s",
    better: "more",
    value: rate,
    suits: secure ? isPlainGrpc : () => true,
    repetitions_max: 9,
    run: async (bench, peer, server) => {
      const key = `${id} ${peer.name}`;
      const loadOf = (requests: number) => {
        const load = unaryLoad(bench, peer, server, shape, headers, requests);
        return secure ? { ...load, url: `https://${addressOf(server, true)}${PATH}` } : load;
      };
      // A fragile server would not survive the end of a trial.
      const trial = async () => peer.fragile ? 4000 : (await h2load(loadOf(2000))).rate;
      const known = bench.rates.get(key) ?? await trial();
      const figures = await h2load(loadOf(Math.max(2000, Math.round(known * bench.seconds))));
      if (figures.failed === 0) bench.rates.set(key, figures.rate);
      return figures;
    },
  };
}

function unaryLoad(
  bench: Bench,
  peer: Peer,
  server: Running | undefined,
  shape: readonly string[],
  headers: readonly string[],
  requests: number,
): Parameters<typeof h2load>[0] {
  const type = peer.grpc ? "application/grpc" : "application/proto";
  return {
    shape,
    requests,
    url: `http://${addressOf(server)}${PATH}`,
    body: peer.grpc ? bench.framed : bench.message,
    headers: [`content-type: ${type}`, "te: trailers", ...headers],
    directory: bench.directory,
  };
}

/**
 * h2load lets each client's requests go by a timer of 10 ms. Clients that begin 1 ms apart spread
 * over ten phases of it, so that 20 requests leave together each millisecond and not 200 each ten.
 */
const FIXED: Measure = {
  id: "fixed",
  title: `${FIXED_RATE} req/s, ${FIXED_CLIENTS} connections begun 1 ms apart: latency`,
  unit: "p99 ms",
  better: "less",
  value: (sample) => (sample.p99_us ?? NaN) / 1000,
  suits: ({ name }) => ["ours", "ours_hand", "tonic", "grpc_go"].includes(name),
  repetitions_max: 9,
  run: (bench, peer, server) => {
    const per_client = String(FIXED_RATE / FIXED_CLIENTS);
    const clients = String(FIXED_CLIENTS);
    const shape = ["-c", clients, "-m", "32", "--rps", per_client, "-r", "1", "--rate-period=1ms"];
    const requests = Math.round(FIXED_RATE * bench.seconds * 2);
    return h2load(unaryLoad(bench, peer, server, shape, [], requests));
  },
};

/** What a client of ours prints. */
interface Printed {
  readonly seconds: number;
  readonly messages: number;
  readonly bytes?: number;
  readonly failed?: number;
  readonly p50_us?: number;
  readonly p99_us?: number;
  readonly max_us?: number;
}

async function printed(program: Program): Promise<Printed> {
  const { success, stdout, stderr } = await output(program, 1);
  if (!success) throw new Error(stderr.trim() || stdout);
  return JSON.parse(stdout);
}

function figures(from: Printed, units: number): Figures {
  const { seconds, failed = 0, p50_us, p99_us, max_us } = from;
  return {
    units,
    seconds,
    rate: units / seconds,
    failed,
    ...(p50_us === undefined ? {} : { p50_us }),
    ...(p99_us === undefined ? {} : { p99_us }),
    ...(max_us === undefined ? {} : { max_us }),
  };
}

function cCore(in_flight: number): Measure {
  return {
    id: `c_core_${in_flight}`,
    title: `C-core client (Python grpcio), ${in_flight} in flight: the client is the limit`,
    unit: "req/s",
    better: "more",
    value: rate,
    suits: isPlainGrpc,
    repetitions_max: 3,
    run: async (bench, _peer, server) => {
      const from = await printed({
        command: [
          ...PYTHON_CLIENT,
          addressOf(server),
          bench.message,
          String(bench.seconds),
          String(in_flight),
        ],
      });
      return figures(from, from.messages);
    },
  };
}

function stream(
  mode: "expand" | "collect" | "converse",
  title: string,
  streams: number,
): Measure {
  const bulk = mode !== "converse";
  return {
    id: streams > 1 ? `${mode}_${streams}` : mode,
    title,
    unit: bulk ? "MB/s" : "round trips/s",
    better: "more",
    value: rate,
    suits: (peer) => isPlainGrpc(peer) || peer.name === "ours_hand",
    repetitions_max: 3,
    run: async (bench, _peer, server) => {
      const flags = ["-body", bench.message, "-seconds", String(bench.seconds)];
      const from = await printed({
        command: [
          GO_CLIENT,
          "client",
          mode,
          "-target",
          addressOf(server),
          "-streams",
          String(streams),
          ...flags,
        ],
      });
      return figures(from, bulk ? (from.bytes ?? 0) / 1e6 : from.messages);
    },
  };
}

function connect(secure: boolean): Measure {
  return {
    id: secure ? "connect_tls" : "connect",
    title: `connect${secure ? " with TLS" : ""} to first answer (grpc-go client), server warm`,
    unit: "ms",
    better: "less",
    value: median_ms,
    suits: isPlainGrpc,
    repetitions_max: 3,
    run: async (bench, _peer, server) => {
      const from = await printed({
        command: [
          GO_CLIENT,
          "client",
          "connect",
          "-target",
          addressOf(server, secure),
          "-body",
          bench.message,
          "-count",
          String(bench.connects),
          ...(secure ? ["-ca", TLS.authority] : []),
        ],
      });
      return figures(from, from.messages);
    },
  };
}

/** The client starts the server itself; the one already running has nothing to do with it. */
function startUp(secure: boolean): Measure {
  return {
    id: secure ? "start_tls" : "start",
    title: `start of the process to first answer${secure ? ", TLS" : ""}`,
    unit: "ms",
    better: "less",
    value: median_ms,
    suits: isPlainGrpc,
    repetitions_max: 1,
    starts_servers: true,
    run: async (bench, peer) => {
      const { command, cwd, env } = peer.program;
      const from = await printed({
        command: [
          GO_CLIENT,
          "client",
          "start",
          "-body",
          bench.message,
          "-count",
          String(bench.starts),
          ...(secure ? ["-ca", TLS.authority] : []),
          "--",
          ...bound(command, 0),
          ...(secure ? TLS.args : []),
        ],
        ...(cwd === undefined ? {} : { cwd }),
        ...(env === undefined ? {} : { env }),
      });
      return figures(from, from.messages);
    },
  };
}

/** Everything, in order. */
export const MEASURES: readonly Measure[] = [
  unary("unary_1x1", "unary, 1 connection x 1 stream", ["-c", "1", "-m", "1"], []),
  unary("unary_4x16", "unary, 4 connections x 16 streams", ["-c", "4", "-m", "16"], []),
  unary("unary_32x1", "unary, 32 connections x 1 stream", ["-c", "32", "-m", "1"], []),
  unary(
    "tls_4x16",
    "unary over TLS, 4 connections x 16 streams",
    ["-c", "4", "-m", "16"],
    [],
    true,
  ),
  // The client's table is too small for its fields: it writes them out, and its table changes, with
  // every request, so that nothing about a header block can be remembered.
  unary(
    "headers_4x16",
    "unary, 4 x 16, 4 metadata fields, no header block like the last",
    ["-c", "4", "-m", "16", "--encoder-header-table-size=256"],
    METADATA,
  ),
  FIXED,
  cCore(1),
  cCore(32),
  stream("expand", "server streaming, messages of 64 KiB, 1 stream", 1),
  stream("collect", "client streaming, messages of 64 KiB, 1 stream", 1),
  stream("converse", "bidirectional ping-pong, 1 stream", 1),
  stream("converse", "bidirectional ping-pong, 16 streams of 1 connection", 16),
  connect(false),
  connect(true),
  startUp(false),
  startUp(true),
];

/** Brings a server up to speed; a fragile one by a client whose leaving it survives. */
export async function warmUp(bench: Bench, peer: Peer, server: Running): Promise<void> {
  const seconds = Math.min(1.5, bench.seconds * 2);
  if (peer.fragile) {
    const flags = [server.address, bench.message, String(seconds), "32"];
    await printed({ command: [...PYTHON_CLIENT, ...flags] });
    return;
  }
  const shape = ["-c", "4", "-m", "16"];
  for (let requests = 2000, took = 0; took < seconds;) {
    const each = await h2load(unaryLoad(bench, peer, server, shape, [], requests));
    took += each.seconds;
    requests = Math.max(2000, Math.round(each.rate * seconds / 2));
  }
}
