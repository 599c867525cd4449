/**
 * grpc-java: its client program on Netty and on OkHttp against our server, our client against its
 * server program. Java's programs trust and show grpc-java's own test certificates.
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
import { CASES, COMPRESSION_CASES } from "./cases.ts";
import {
  CASE_TIMEOUT_MS,
  LOAD_REPORT_CONFIG,
  runOurClient,
  startOurServer,
  type Wire,
} from "./ours.ts";

const MAIN = "io.grpc.testing.integration";
const GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/** grpc-java's own names; it looks at the flag of every message. */
const JAVA_COMPRESSION_CASES = [
  "client_compressed_unary_noprobe",
  "client_compressed_streaming_noprobe",
  "server_compressed_unary",
  "server_compressed_streaming",
];
const BLIND_TOO = "grpc-java's service does not look whether a request was compressed";
const BLIND = "a handler of ours does not see whether a request was compressed";

/** The HTTP/2 of grpc-java's client. */
type Stack = "netty" | "okhttp";

/**
 * Runs every case both ways, plain and over TLS.
 *
 * @throws Error when grpc-java cannot be had
 */
export async function runJava(report: Report, soak_iterations: number): Promise<void> {
  const folder = await fetchPrograms();
  for (const tls of [false, true]) {
    progress(`grpc-java ${tls ? "over TLS" : "in plain text"}`);
    const wire: Wire = {
      tls,
      ca: `${folder}/certs/ca.pem`,
      cert: `${folder}/certs/server1.pem`,
      key: `${folder}/certs/server1.key`,
      name: "foo.test.google.fr",
    };
    for (const stack of ["netty", "okhttp"] as const) {
      await theyCallUs(report, folder, stack, wire, soak_iterations);
    }
    await weCallThem(report, folder, wire, soak_iterations);
  }
}

/** Copies the programs and their certificates into the cache. */
async function fetchPrograms(): Promise<string> {
  for (
    const [command, probe, name] of [
      ["java", "-version", "default-jre-headless"],
      ["mvn", "-version", "maven"],
    ] as const
  ) {
    if (await isInstalled(command, [probe])) continue;
    throw new Error(`no \`${command}\` on the path: install \`${name}\``);
  }
  const folder = cacheOf("interop/java");
  const pom = pathOf("interop/java/pom.xml");
  await buildOnce(folder, "grpc-java", [Deno.readTextFileSync(pom)], () =>
    runToEnd("mvn", [
      "--quiet",
      "--batch-mode",
      `--file=${pom}`,
      `${GOAL}:copy-dependencies`,
      `${GOAL}:unpack-dependencies`,
      "-DincludeScope=runtime",
      "-Dmdep.unpack.includes=certs/*",
      `-DoutputDirectory=${folder}`,
      `-DmarkersDirectory=${folder}/markers`,
    ]));
  return folder;
}

async function theyCallUs(
  report: Report,
  folder: string,
  stack: Stack,
  wire: Wire,
  soak_iterations: number,
): Promise<void> {
  const peer = `java ${stack}${wire.tls ? ", TLS" : ""}`;
  await using server = await startOurServer(wire);
  const [host, port] = server.first_line.split(":");
  report.skip(peer, "client_compressed_unary", BLIND);
  report.skip(peer, "client_compressed_streaming", BLIND);
  for (const name of [...Object.keys(CASES), ...JAVA_COMPRESSION_CASES]) {
    const args = [
      `--server_host=${host}`,
      `--server_port=${port}`,
      `--test_case=${name}`,
      `--soak_iterations=${soak_iterations}`,
      // A virtual machine that has just started is slow.
      "--soak_per_iteration_max_acceptable_latency_ms=5000",
      "--soak_overall_timeout_seconds=55",
      `--use_tls=${wire.tls}`,
      `--use_test_ca=${wire.tls}`,
      `--use_okhttp=${stack === "okhttp"}`,
      `--server_host_override=${wire.name}`,
    ];
    if (name.startsWith("orca_")) args.push(`--service_config_json=${LOAD_REPORT_CONFIG}`);
    await report.run(peer, name, CASE_TIMEOUT_MS, async (signal) => {
      const { success, text } = await runToEnd("java", [
        "-cp",
        `${folder}/*`,
        `${MAIN}.TestServiceClient`,
        ...args,
      ], { signal });
      if (!success) throw new Error(text);
    });
  }
}

async function weCallThem(
  report: Report,
  folder: string,
  wire: Wire,
  soak_iterations: number,
): Promise<void> {
  const peer = `java server${wire.tls ? ", TLS" : ""}`;
  const port = freePort();
  await using _server = await PeerProcess.start("java", [
    "-cp",
    `${folder}/*`,
    `${MAIN}.TestServiceServer`,
    `--port=${port}`,
    `--use_tls=${wire.tls}`,
    // Loopback, and the machine's first other address if there is one: there is no narrower choice.
    "--address_type=IPV4",
  ], { ready: "Server started" });
  report.skip(peer, "pick_first_unary", "grpc-java's service says no server id");
  report.skip(peer, "client_compressed_unary", BLIND_TOO);
  report.skip(peer, "client_compressed_streaming", BLIND_TOO);
  report.skip(
    peer,
    "client_compressed_streaming_noprobe",
    "requests of one call of ours are compressed alike",
  );
  const names = Object.keys({ ...CASES, ...COMPRESSION_CASES })
    .filter((name) => !report.has(peer, name));
  await runOurClient(report, peer, names, `127.0.0.1:${port}`, wire, soak_iterations);
}

/** A port nobody listens on just now: the server program cannot choose one by itself. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
