/**
 * Other people's gRPC as clients of this module's server and as servers for its client: one table of
 * cases and peers (README.md).
 *
 * Needs what each peer is made of: `python3-grpcio`, Node 20 with npm, Go 1.26, Rust 1.88 with cargo
 * (Debian: `rustc-web cargo-web`), and their registries for the first build. `--only=NAME,NAME` runs
 * some peers, `--long` runs the cases over TLS, mutual TLS and a Unix socket too.
 *
 * @module
 */

import { type Bounds, Channel, type ChannelOptions, createClient } from "../../mod.ts";
import { Echo } from "../../gen/echo_pb.ts";
import { runCaseProgram } from "../case_program.ts";
import { conclude, pathOf, PeerProcess, progress } from "../peer_process.ts";
import { Report } from "../report.ts";
import { CASES, GZIP_BYTES, GZIP_ROUNDS } from "./cases.ts";
import { countingBytes } from "./counting_proxy.ts";
import { type Peer, type PeerProgram, PEERS } from "./peer_list.ts";

const testdata = (name: string) => pathOf(`../testdata/${name}`);
const pem = (name: string) => Deno.readTextFileSync(testdata(name));

/** Cases that need a server, or a measurement, of their own. */
const SPECIAL = [
  "paused_reader",
  "paused_upload",
  "gzip",
  "drained_while_streaming",
  "killed_while_streaming",
  "turned_away",
];
/** Cases that look at this module's client alone. */
const OURS_ALONE = ["small_windows"];
const COMMON = Object.keys(CASES).filter((name) => !SPECIAL.includes(name));
const CASE_TIMEOUT_MS = 60_000;
/** What a server may grow by while somebody does not read, or does not listen. */
const SERVER_GROWTH_BYTES_MAX = 128 * 1024 * 1024;
const SEND_BYTES_MAX = 16 * 1024 * 1024;

const LONG = Deno.args.includes("--long");

/** `LABEL:NAME` of what is run over another transport: the four kinds, in the long form all. */
function everyCase(label: string): string[] {
  const rest = COMMON.filter((name) => name !== "four_kinds" && !OURS_ALONE.includes(name));
  return [`${label}:four_kinds`, ...(LONG ? rest.map((name) => `${label}/${name}:${name}`) : [])];
}

const OUR_SERVER: PeerProgram = {
  command: Deno.execPath(),
  args: ["run", "--no-prompt", "--allow-all", pathOf("peers/server.ts")],
};

/** Ways to reach a server; a case of its own for each but the first. */
interface Way {
  readonly name: "plain" | "tls" | "mutual_tls" | "unix" | "gzip";
  readonly server_args: readonly string[];
  readonly client_args: readonly string[];
  readonly channel: ChannelOptions;
}

const SERVER_CERT = [`cert=${testdata("server.pem")}`, `key=${testdata("server.key")}`];
const TRUST = `ca=${testdata("authority.pem")}`;
const CLIENT_CERT = [`cert=${testdata("agent.pem")}`, `key=${testdata("agent.key")}`];
const TRUSTING = { ca: pem("authority.pem"), serverName: "localhost" };
const IDENTIFIED = { ...TRUSTING, cert: pem("agent.pem"), key: pem("agent.key") };

const PLAIN: Way = { name: "plain", server_args: [], client_args: [], channel: {} };
const TLS: Way = {
  name: "tls",
  server_args: SERVER_CERT,
  client_args: [TRUST],
  channel: { tls: TRUSTING },
};
const MUTUAL_TLS: Way = {
  name: "mutual_tls",
  server_args: [...SERVER_CERT, `client_${TRUST}`],
  client_args: [TRUST, ...CLIENT_CERT],
  channel: { tls: IDENTIFIED },
};

const GZIP: Way = {
  name: "gzip",
  server_args: ["gzip=yes"],
  client_args: ["gzip=yes"],
  channel: { compression: "gzip" },
};

/** A server of `program`, reached in a way; `run` gets the target for our channels. */
async function withServer(
  program: PeerProgram,
  way: Way,
  run: (target: string, server: PeerProcess) => Promise<void>,
): Promise<void> {
  await using server = await PeerProcess.start(program.command, [
    ...program.args,
    "server",
    ...way.server_args,
  ], program.env === undefined ? {} : { env: program.env });
  await run(server.first_line, server);
}

/** Fails the case when the server's memory grows beyond reason while `run` runs. */
async function withinMemory(
  report: Report,
  peer: string,
  name: string,
  server: PeerProcess,
  run: () => Promise<void>,
): Promise<void> {
  await server.resetPeakMemory();
  const before = await server.peakMemoryBytes();
  await run();
  const grown = await server.peakMemoryBytes() - before;
  if (grown > SERVER_GROWTH_BYTES_MAX) report.fail(peer, name, `the server grew by ${grown} bytes`);
}

/** Runs `run` through a counting proxy; fails the case when what should be small was large. */
async function compressed(
  report: Report,
  peer: string,
  target: string,
  responses_too: boolean,
  run: (target: string) => Promise<void>,
): Promise<void> {
  if (report.has(peer, "gzip")) return;
  const { to_server_bytes, to_client_bytes } = await countingBytes(target, run);
  const enough_bytes = GZIP_BYTES * GZIP_ROUNDS / 10;
  for (const bytes of responses_too ? [to_server_bytes, to_client_bytes] : [to_server_bytes]) {
    if (bytes > enough_bytes) report.fail(peer, "gzip", `${bytes} bytes travelled one way`);
  }
}

/** The peer's client against our server. */
async function theyCallUs(report: Report, peer: Peer, program: PeerProgram): Promise<void> {
  const column = `${peer.name} client`;
  for (const [name, reason] of Object.entries(peer.client_skips)) report.skip(column, name, reason);
  const run = async (target: string, way: Way, cases: readonly string[]) => {
    const labels = cases.map((name) => name.split(":")[0] ?? name);
    const wanted = cases.filter((_, at) => !report.has(column, labels[at] ?? ""));
    if (wanted.length === 0) return;
    const asked = wanted.map((name) => name.split(":")[0] ?? name);
    await runCaseProgram(report, column, asked, CASE_TIMEOUT_MS * 2, program, [
      ...program.args,
      "client",
      `target=${target}`,
      ...way.client_args,
      `cases=${wanted.join(",")}`,
    ]);
  };
  await withServer(OUR_SERVER, PLAIN, async (target, server) => {
    await run(target, PLAIN, COMMON.filter((name) => !OURS_ALONE.includes(name)));
    for (const name of ["paused_reader", "paused_upload"]) {
      await withinMemory(report, column, name, server, () => run(target, PLAIN, [name]));
    }
    await run(target, PLAIN, ["drained_while_streaming"]);
  });
  await withServer(
    OUR_SERVER,
    PLAIN,
    (target) => run(target, PLAIN, ["killed_while_streaming"]),
  );
  await withServer(
    OUR_SERVER,
    GZIP,
    (target) => compressed(report, column, target, true, (proxy) => run(proxy, GZIP, ["gzip"])),
  );
  await withServer(OUR_SERVER, TLS, (target) => run(target, TLS, everyCase("tls")));
  await withServer(OUR_SERVER, MUTUAL_TLS, async (target) => {
    await run(target, MUTUAL_TLS, everyCase("mutual_tls"));
    await run(target, TLS, ["mutual_tls_without_certificate:turned_away"]);
  });
  await withSocket(async (path) => {
    const way = { ...PLAIN, server_args: [`unix=${path}`] };
    await withServer(OUR_SERVER, way, (target) => run(target, way, everyCase("unix_socket")));
  });
}

/** Our client against the peer's server. */
async function weCallThem(report: Report, peer: Peer, program: PeerProgram): Promise<void> {
  const column = `${peer.name} server`;
  for (const [name, reason] of Object.entries(peer.server_skips)) report.skip(column, name, reason);
  const run = async (target: string, way: Way, name: string, label = name) => {
    if (report.has(column, label)) return;
    const newChannel = (bounds: Partial<Bounds> = {}) =>
      new Channel(target, { ...way.channel, max_send_message_bytes: SEND_BYTES_MAX, bounds });
    const channel = newChannel();
    await report.run(column, label, CASE_TIMEOUT_MS, async () => {
      const client = createClient(Echo, channel);
      const { over_cap_code, trailers_with_ok } = peer;
      await CASES[name]?.({ client, newChannel, over_cap_code, trailers_with_ok });
    });
    await channel.close();
  };
  const runAll = async (target: string, way: Way, label: string) => {
    for (const pair of everyCase(label)) {
      const [own_label, name = ""] = pair.split(":");
      await run(target, way, name, own_label);
    }
  };
  await withServer(program, PLAIN, async (target, server) => {
    for (const name of COMMON) await run(target, PLAIN, name);
    for (const name of ["paused_reader", "paused_upload"]) {
      await withinMemory(report, column, name, server, () => run(target, PLAIN, name));
    }
    await run(target, PLAIN, "drained_while_streaming");
  });
  await withServer(
    program,
    PLAIN,
    (target) => run(target, PLAIN, "killed_while_streaming"),
  );
  await withServer(program, GZIP, (target) => {
    const { compresses_responses } = peer;
    const through = (proxy: string) => run(proxy, GZIP, "gzip");
    return compressed(report, column, target, compresses_responses, through);
  });
  await withServer(program, TLS, (target) => runAll(target, TLS, "tls"));
  await withServer(program, MUTUAL_TLS, async (target) => {
    await runAll(target, MUTUAL_TLS, "mutual_tls");
    await run(target, TLS, "turned_away", "mutual_tls_without_certificate");
  });
  await withSocket(async (path) => {
    const way = { ...PLAIN, server_args: [`unix=${path}`] };
    if (report.has(column, "unix_socket")) return;
    await withServer(
      program,
      way,
      () => runAll(`unix:${path}`, way, "unix_socket"),
    );
  });
}

async function withSocket(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  await run(`${folder}/peer.sock`);
  await Deno.remove(folder, { recursive: true });
}

const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length).split(",");
const report = new Report();
for (const peer of PEERS) {
  if (only !== undefined && !only.includes(peer.name)) continue;
  try {
    const program = await peer.prepare();
    progress(`${peer.name} as server`);
    await weCallThem(report, peer, program);
    if (peer.has_client) {
      progress(`${peer.name} as client`);
      await theyCallUs(report, peer, program);
    }
  } catch (reason) {
    report.fail(peer.name, "is there and runs", reason);
  }
}
conclude(report);
