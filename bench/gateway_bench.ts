/**
 * CheckAction over loopback against the real gateway process, durable audit on, beside a grpc-js
 * echo server on Node as the peer (no decision, no disk) in the same run.
 *
 * The load comes from h2load (nghttp2), because a generator in JavaScript would measure itself. It
 * runs on the same machine, so server and load share its cores. The health service of the gateway
 * (no decision, no disk) shows what transport and machine alone cost at the steady rate.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { create, toBinary } from "@bufbuild/protobuf";
import { CheckActionRequestSchema } from "../proto/gen/assembly/policy/v1/policy_pb.ts";
import { planLaunch } from "../launch/main.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const PATH = "/assembly.policy.v1.PolicyService/CheckAction";

/** One row of the result table; latencies in microseconds. */
interface Row {
  readonly stack: string;
  readonly load: string;
  readonly requests_per_s: number;
  readonly failed: number;
  readonly p50_us: number;
  readonly p95_us: number;
  readonly p99_us: number;
  readonly max_us: number;
}

interface Server {
  readonly name: string;
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

async function started(command: Deno.Command, name: string, ready: RegExp): Promise<Server> {
  const child = command.spawn();
  let text = "";
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`${name} ended:\n${text}`);
    text += value;
    if (ready.test(text)) break;
  }
  (async () => {
    while (!(await reader.read()).done);
  })();
  return {
    name,
    port: Number(/127\.0\.0\.1:(\d+)/.exec(text)?.[1]),
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

async function startGateway(directory: string): Promise<Server> {
  const flags = [
    "--policy",
    `${ROOT}policies/balanced.yaml`,
    "--state-dir",
    `${directory}/state`,
    "--listen",
    "127.0.0.1:0",
  ];
  const launch = planLaunch("gateway", flags, directory, () => undefined);
  const command = new Deno.Command(Deno.execPath(), {
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
  });
  return await started(command, "gateway, durable audit", /^ready$/m);
}

/** A grpc-js server that decodes and answers the same messages, and does nothing else. */
async function startPeer(directory: string): Promise<Server> {
  const install = await new Deno.Command("npm", {
    args: [
      "install",
      "--silent",
      "--prefix",
      directory,
      "@grpc/grpc-js@1.14.7",
      "@grpc/proto-loader@0.8.1",
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!install.success) throw new Error(new TextDecoder().decode(install.stderr));
  await Deno.copyFile(`${ROOT}bench/peers/grpc_js_echo.cjs`, `${directory}/grpc_js_echo.cjs`);
  const command = new Deno.Command("node", {
    args: ["grpc_js_echo.cjs", `${ROOT}proto`],
    cwd: directory,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
  return await started(command, "grpc-js echo on Node, no decision, no disk", /listening/);
}

interface Load {
  readonly name: string;
  /** Another method than CheckAction, called with an empty message. */
  readonly path?: string;
  readonly args: readonly string[];
}

const LOADS: readonly Load[] = [
  { name: "1 client, closed loop", args: ["-c", "1", "-m", "1", "-n", "10000"] },
  { name: "64 in flight (4 x 16)", args: ["-c", "4", "-m", "16", "-n", "200000"] },
  { name: "256 in flight (8 x 32)", args: ["-c", "8", "-m", "32", "-n", "200000"] },
  {
    name: "1,000 req/s for 60 s (10 clients)",
    args: ["-c", "10", "-m", "10", "--rps", "100", "-D", "60"],
  },
];
const FLOOR: Load = {
  name: "health check, 1,000 req/s for 60 s",
  path: "/grpc.health.v1.Health/Check",
  args: ["-c", "10", "-m", "10", "--rps", "100", "-D", "60"],
};

async function load(server: Server, one: Load, directory: string): Promise<Row> {
  const log = `${directory}/h2load.log`;
  await Deno.remove(log).catch(() => {});
  const output = await new Deno.Command("h2load", {
    args: [
      ...one.args,
      `--log-file=${log}`,
      "-d",
      `${directory}/${one.path === undefined ? "body" : "empty"}.grpc`,
      "-H",
      "content-type: application/grpc",
      "-H",
      "te: trailers",
      `http://127.0.0.1:${server.port}${one.path ?? PATH}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(output.stdout);
  if (!output.success) throw new Error(text + new TextDecoder().decode(output.stderr));
  const times: number[] = [];
  let failed = 0;
  for (const line of (await Deno.readTextFile(log)).split("\n")) {
    const [, status, us] = line.split("\t");
    if (us === undefined) continue;
    if (status === "200") times.push(Number(us));
    else failed++;
  }
  times.sort((a, b) => a - b);
  const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? NaN;
  const duration = Number(/finished in ([\d.]+)s/.exec(text)?.[1]);
  return {
    stack: server.name,
    load: one.name,
    requests_per_s: Math.round(times.length / (one.args.includes("-D") ? 60 : duration)),
    failed,
    p50_us: at(0.5),
    p95_us: at(0.95),
    p99_us: at(0.99),
    max_us: at(1),
  };
}

async function residentMegabytes(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", "rss=", "-p", String(pid)] })
    .output();
  return Math.round(Number(new TextDecoder().decode(stdout)) / 1024);
}

const directory = await Deno.makeTempDir({ prefix: "aasm-bench-" });
try {
  await Deno.writeFile(`${directory}/body.grpc`, requestBody());
  await Deno.writeFile(`${directory}/empty.grpc`, new Uint8Array(5));
  const cold: number[] = [];
  for (let i = 0; i < 5; i++) {
    const before = performance.now();
    const gateway = await startGateway(`${directory}`);
    await load(
      gateway,
      { name: "first answer", args: ["-c", "1", "-m", "1", "-n", "1"] },
      directory,
    );
    cold.push(performance.now() - before);
    await gateway.stop();
  }
  cold.sort((a, b) => a - b);
  console.log(`cold start to first answer, h2load included: median ${cold[2]?.toFixed(0)} ms`);
  const rows: Row[] = [];
  const measure = async (server: Server, loads: readonly Load[]) => {
    await load(
      server,
      { name: "warm-up", args: ["-c", "4", "-m", "16", "-n", "30000"] },
      directory,
    );
    for (const one of loads) {
      const row = await load(server, one, directory);
      rows.push(row);
      console.log(
        `${row.stack.padEnd(44)} ${row.load.padEnd(35)} ${
          String(row.requests_per_s).padStart(7)
        } req/s  ` +
          `p50 ${row.p50_us} p95 ${row.p95_us} p99 ${row.p99_us} max ${row.max_us} us  failed ${row.failed}`,
      );
    }
    console.log(
      `${server.name}: ${await residentMegabytes(server.pid)} MB resident after the load`,
    );
    await server.stop();
  };
  await measure(await startGateway(directory), [...LOADS, FLOOR]);
  await measure(await startPeer(directory), LOADS);
  console.log(JSON.stringify(rows));
} finally {
  await Deno.remove(directory, { recursive: true });
}
