/**
 * What the SDK costs: a wrapped call over each way to an answer, a cold import, the browser bundle.
 *
 * `deno task bench:sdk`. The far ends are stand-ins that answer at once, so that the figures are the
 * SDK's and the transport's own, not a decision's.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type CheckClient,
  GatewayClient,
  type GovernedAgent,
  governWith,
  HttpRpc,
  SocketClient,
} from "@agent-assembly/sdk";
import { Decision } from "@agent-assembly/proto/common";
import { publicIdKey } from "@agent-assembly/proto/ipc";
import {
  CheckActionRequestSchema,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "@agent-assembly/proto/policy";
import { ScriptedRuntime } from "../sdk/testing/scripted_runtime.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const AGENT = { agent_id: "agent-1" };
const ARGS = { path: "src/price.ts", lines: [1, 40], note: "look at the rounding of prices" };
const ALLOW: CheckActionResponse = create(CheckActionResponseSchema, { decision: Decision.ALLOW });

interface Row {
  readonly what: string;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly per_second: number;
}

/** Time of single calls, one after the other, and calls a second with 32 under way. */
async function measure(what: string, calls: number, call: () => Promise<unknown>): Promise<Row> {
  for (let i = 0; i < calls / 10; i++) await call();
  const times = new Float64Array(calls);
  for (let i = 0; i < calls; i++) {
    const start_ms = performance.now();
    await call();
    times[i] = performance.now() - start_ms;
  }
  times.sort();
  const at = (share: number) => (times[Math.floor(calls * share)] ?? 0) * 1_000;
  let left = calls;
  const start_ms = performance.now();
  await Promise.all(Array.from({ length: 32 }, async () => {
    while (left-- > 0) await call();
  }));
  const per_second = calls / ((performance.now() - start_ms) / 1_000);
  return { what, p50_us: at(0.5), p99_us: at(0.99), per_second };
}

function answeringAtOnce(): CheckClient {
  return {
    transport: "bench",
    check_capable: true,
    check: () => Promise.resolve({ response: ALLOW }),
    settle: (_question, pending) => Promise.resolve(pending),
    report: () => Promise.resolve(),
    flush: () => Promise.resolve(true),
    heartbeat: () => Promise.resolve(undefined),
    close: () => Promise.resolve(),
  };
}

const tool = (args: unknown): Promise<unknown> => Promise.resolve(args);

function wrapped(agent: GovernedAgent): () => Promise<unknown> {
  return () => agent.callTool("read_file", ARGS, tool, { result: "unchecked" });
}

/** Named in the task's permissions, hence fixed. */
const SOCKET = "/tmp/aasm-bench-sdk.sock";

async function overSocket(): Promise<Row> {
  await Deno.remove(SOCKET).catch(() => {
    // No earlier run left one.
  });
  await using runtime = new ScriptedRuntime(SOCKET, AGENT.agent_id, {
    onQuery: (_query, peer) => peer.answer(ALLOW),
  });
  const key = publicIdKey(AGENT.agent_id);
  const client = new SocketClient({ path: runtime.path, key, sdk_version: "bench" });
  await client.connect();
  const agent = governWith({ agent: AGENT, client });
  try {
    return await measure("Unix socket", 20_000, wrapped(agent));
  } finally {
    await agent.shutdown();
  }
}

async function overHttp(): Promise<Row> {
  const body = toBinary(CheckActionResponseSchema, ALLOW).slice();
  const headers = { "content-type": "application/proto" };
  const serve = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const server = Deno.serve(serve, async (request) => {
    fromBinary(CheckActionRequestSchema, await request.bytes());
    return new Response(body, { headers });
  });
  const rpc = new HttpRpc({ url: `http://127.0.0.1:${server.addr.port}` });
  const client = new GatewayClient({ rpc, agent: { org_id: "", team_id: "", ...AGENT } });
  const agent = governWith({ agent: AGENT, client });
  try {
    return await measure("HTTP (Connect)", 5_000, wrapped(agent));
  } finally {
    await agent.shutdown();
    await server.shutdown();
  }
}

async function calls(): Promise<void> {
  const agent = governWith({ agent: AGENT, client: answeringAtOnce() });
  const rows = [
    await measure("bare call", 200_000, () => tool(ARGS)),
    await measure("wrapped, client that answers at once", 100_000, wrapped(agent)),
    await measure(
      "the same with the answer judged",
      100_000,
      () => agent.callTool("read_file", ARGS, tool),
    ),
    await overSocket(),
    await overHttp(),
  ];
  console.log("one wrapped tool call            p50 µs    p99 µs    calls/s, 32 under way");
  for (const { what, p50_us, p99_us, per_second } of rows) {
    console.log(
      `${what.padEnd(36).slice(0, 36)} ${p50_us.toFixed(1).padStart(8)} ${
        p99_us.toFixed(1).padStart(8)
      } ${Math.round(per_second).toLocaleString("en").padStart(12)}`,
    );
  }
}

async function deno(args: readonly string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
}

/** A whole process that imports and ends, less one that imports nothing; the median of several. */
async function coldImport(entry: string, directory: string): Promise<number> {
  const times_ms: number[] = [];
  const script = `${directory}/import.ts`;
  await Deno.writeTextFile(script, entry === "" ? "" : `import "${ROOT}${entry}";\n`);
  const args = ["run", "--no-check", `--config=${ROOT}deno.json`, script];
  await deno(args);
  for (let i = 0; i < 9; i++) {
    const start_ms = performance.now();
    await deno(args);
    times_ms.push(performance.now() - start_ms);
  }
  return times_ms.sort((a, b) => a - b)[4] ?? 0;
}

async function imports(directory: string): Promise<void> {
  const nothing_ms = await coldImport("", directory);
  console.log("\ncold import (process, less an empty one)");
  for (const entry of ["sdk/mod.ts", "sdk/browser.ts"]) {
    const ms = await coldImport(entry, directory) - nothing_ms;
    console.log(`${entry.padEnd(36)} ${ms.toFixed(0).padStart(8)} ms`);
  }
}

async function bundles(directory: string): Promise<void> {
  console.log("\nbundle                                  min      gzip");
  for (
    const [entry, platform] of [["sdk/browser.ts", "browser"], ["sdk/mod.ts", "deno"]] as const
  ) {
    const file = `${directory}/bundle.js`;
    await deno(["bundle", "--platform", platform, "--minify", "-o", file, entry]);
    const bytes = await Deno.readFile(file);
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    const gzip = (await new Response(stream).bytes()).length;
    const kb = (count: number) => `${(count / 1_000).toFixed(0)} kB`.padStart(8);
    console.log(`${entry.padEnd(36)} ${kb(bytes.length)} ${kb(gzip)}`);
  }
}

if (import.meta.main) {
  const directory = await Deno.makeTempDir({ prefix: "bench-sdk-" });
  try {
    await calls();
    await imports(directory);
    await bundles(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
