/**
 * What transport workers give: the gateway with 0, 1 and 2 of them, plain and TLS, durable audit
 * on, under h2load with many calls on few connections and one call on each of many. Beside the
 * throughput stands the CPU time of each kind of thread for one request, because on a machine whose
 * cores the load generator shares, only that says what more cores would give: no gateway answers
 * faster than its deciding thread decides.
 *
 * `deno run … bench/scale_out_bench.ts [requests]` prints a table and writes
 * `bench/results/scale_out.json`. Needs h2load, taskset and openssl.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { create, toBinary } from "@bufbuild/protobuf";
import { CheckActionRequestSchema } from "../proto/gen/assembly/policy/v1/policy_pb.ts";
import { planLaunch } from "../launch/main.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const PATH = "/assembly.policy.v1.PolicyService/CheckAction";
/** The kernel counts CPU time in these (USER_HZ). */
const TICK_US = 10_000;
const WARM_UP = 20_000;
const REQUESTS = Number(Deno.args[0] ?? 100_000);
const ROUNDS = 3;
const LOADS = [["4 x 16", "-c4", "-m16"], ["32 x 1", "-c32", "-m1"]] as const;

/** CPU time by kind of thread, ticks or microseconds. */
interface Cpu {
  /** Decides, and without workers does the transport, too. */
  readonly deciding: number;
  readonly transport: number;
  /** Merkle tree and state store. */
  readonly storage: number;
  /** The runtime's own threads: collector, file writes. */
  readonly runtime: number;
}

/** One row: the median round by throughput. */
interface Row {
  readonly transport: "plain" | "tls";
  readonly workers: number;
  readonly load: string;
  readonly requests_per_s: number;
  readonly requests_per_s_range: readonly [number, number];
  readonly failed: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly cpu_us_per_request: Cpu;
}

interface Gateway {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

function requestBody(): Uint8Array {
  const message = toBinary(
    CheckActionRequestSchema,
    create(CheckActionRequestSchema, {
      agentId: { orgId: "acme", teamId: "ops", agentId: "agent-1" },
      traceId: "01HZAB1234567890ABCDEF",
      spanId: "01HZAB0000000000000001",
      actionType: 2,
      context: {
        action: {
          case: "toolCall",
          value: {
            toolName: "read_file",
            toolSource: "mcp",
            argsJson: new TextEncoder().encode(
              `{"path":"/workspace/src/main.ts","encoding":"utf-8","limit":4096}`,
            ),
          },
        },
      },
    }),
  );
  const framed = new Uint8Array(5 + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, 5);
  return framed;
}

/** Runs a program to its end. */
async function run(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${program} failed:\n${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

/** A port nobody listens on just now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function startGateway(directory: string, workers: number, tls: boolean): Promise<Gateway> {
  const port = freePort();
  const flags = [
    ...["--policy", `${ROOT}policies/balanced.yaml`, "--state-dir", `${directory}/state`],
    ...["--listen", `127.0.0.1:${port}`, "--transport-workers", String(workers)],
    ...(tls ? ["--tls-cert", `${directory}/cert.pem`, "--tls-key", `${directory}/key.pem`] : []),
    "--allow-shared-port",
  ];
  const launch = planLaunch("gateway", flags, directory, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      `--config=${ROOT}deno.json`,
      ...launch.runtime,
      ...launch.permissions,
      launch.entry.href,
      ...flags,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let text = "";
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  while (!/^ready$/m.test(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the gateway ended:\n${text}`);
    text += value;
  }
  const rest = (async () => {
    while (!(await reader.read()).done);
  })();
  return {
    port,
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await rest;
      await Deno.remove(`${directory}/state`, { recursive: true });
    },
  };
}

/** CPU ticks a gateway has used so far; the transport's threads were started last. */
function cpuOf(pid: number, workers: number): Cpu {
  const ticks = (tid: string) => {
    const fields = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/stat`).split(") ")[1]?.split(
      " ",
    );
    return Number(fields?.[11]) + Number(fields?.[12]);
  };
  let runtime = 0;
  const threads: { number: number; ticks: number }[] = [];
  for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
    if (tid === String(pid)) continue;
    const name = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/comm`).trim();
    const number = /^worker-(\d+)$/.exec(name)?.[1];
    if (number === undefined) runtime += ticks(tid);
    else threads.push({ number: Number(number), ticks: ticks(tid) });
  }
  threads.sort((one, other) => one.number - other.number);
  const sum = (some: typeof threads) => some.reduce((total, thread) => total + thread.ticks, 0);
  const first = threads.length - workers;
  return {
    deciding: ticks(String(pid)),
    transport: sum(threads.slice(first)),
    storage: sum(threads.slice(0, first)),
    runtime,
  };
}

interface Round {
  readonly requests_per_s: number;
  readonly failed: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly cpu: Cpu;
}

async function load(
  gateway: Gateway,
  directory: string,
  row: Pick<Row, "transport" | "workers">,
  [connections, streams]: readonly [string, string],
  requests: number,
): Promise<Round> {
  const log = `${directory}/h2load.log`;
  await Deno.remove(log).catch(() => {});
  const before = cpuOf(gateway.pid, row.workers);
  const scheme = row.transport === "tls" ? "https" : "http";
  const text = await run("taskset", [
    // The load keeps to one core; the gateway may use both.
    ...["-c", "1", "h2load", connections, streams, "-n", String(requests), `--log-file=${log}`],
    ...["-d", `${directory}/body.grpc`, "-H", "content-type: application/grpc"],
    ...["-H", "te: trailers", `${scheme}://127.0.0.1:${gateway.port}${PATH}`],
  ]);
  const after = cpuOf(gateway.pid, row.workers);
  const times: number[] = [];
  for (const line of (await Deno.readTextFile(log)).split("\n")) {
    const [, status, us] = line.split("\t");
    if (status === "200") times.push(Number(us));
  }
  times.sort((a, b) => a - b);
  const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? NaN;
  const per_request = (name: keyof Cpu) =>
    Math.round((after[name] - before[name]) * TICK_US / requests * 10) / 10;
  return {
    requests_per_s: Math.round(times.length / Number(/finished in ([\d.]+)s/.exec(text)?.[1])),
    failed: requests - times.length,
    p50_us: at(0.5),
    p99_us: at(0.99),
    cpu: {
      deciding: per_request("deciding"),
      transport: per_request("transport"),
      storage: per_request("storage"),
      runtime: per_request("runtime"),
    },
  };
}

function rowOf(head: Pick<Row, "transport" | "workers" | "load">, rounds: readonly Round[]): Row {
  const sorted = [...rounds].sort((one, other) => one.requests_per_s - other.requests_per_s);
  const median = sorted[Math.floor(sorted.length / 2)];
  if (median === undefined) throw new Error("no round was run");
  const { requests_per_s, p50_us, p99_us, cpu } = median;
  return {
    ...head,
    requests_per_s,
    requests_per_s_range: [sorted[0]?.requests_per_s ?? 0, sorted.at(-1)?.requests_per_s ?? 0],
    failed: rounds.reduce((total, round) => total + round.failed, 0),
    p50_us,
    p99_us,
    cpu_us_per_request: cpu,
  };
}

function print(row: Row): void {
  const { deciding, transport, storage, runtime } = row.cpu_us_per_request;
  const [low, high] = row.requests_per_s_range;
  console.log(
    [
      row.transport.padEnd(6),
      `${row.workers} worker(s)`,
      row.load.padEnd(7),
      `${String(row.requests_per_s).padStart(6)} req/s (${low}-${high})`.padEnd(30),
      `p50 ${row.p50_us} p99 ${row.p99_us} us`.padEnd(26),
      `CPU us: deciding ${deciding} transport ${transport} storage ${storage} runtime ${runtime}`,
      `  ceiling ${Math.round(1e6 / deciding)} req/s  failed ${row.failed}`,
    ].join("  "),
  );
}

const directory = await Deno.makeTempDir({ prefix: "aasm-bench-" });
try {
  await Deno.writeFile(`${directory}/body.grpc`, requestBody());
  await run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-keyout", `${directory}/key.pem`, "-out", `${directory}/cert.pem`],
  ]);
  const rows: Row[] = [];
  for (const transport of ["plain", "tls"] as const) {
    for (const [name, connections, streams] of LOADS) {
      const rounds: Round[][] = [[], [], []];
      // Interleaved, so that a slow minute of the machine slows every contender.
      for (let round = 0; round < ROUNDS; round++) {
        for (const workers of [0, 1, 2]) {
          const gateway = await startGateway(directory, workers, transport === "tls");
          const head = { transport, workers };
          await load(gateway, directory, head, [connections, streams], WARM_UP);
          const one = await load(gateway, directory, head, [connections, streams], REQUESTS);
          rounds[workers]?.push(one);
          await gateway.stop();
        }
      }
      for (const workers of [0, 1, 2]) {
        const row = rowOf({ transport, workers, load: name }, rounds[workers] ?? []);
        rows.push(row);
        print(row);
      }
    }
  }
  const result = { requests: REQUESTS, rounds: ROUNDS, cores: navigator.hardwareConcurrency, rows };
  await Deno.writeTextFile(
    `${ROOT}bench/results/scale_out.json`,
    `${JSON.stringify(result, null, 2)}\n`,
  );
} finally {
  await Deno.remove(directory, { recursive: true });
}
