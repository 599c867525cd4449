/**
 * grpcurl, unmodified, against our reflection service: lists, describes and calls an echo server of
 * which it knows nothing but the address, over both versions of the
 * protocol, plain and TLS.
 *
 * grpcurl and everything it is built from are pinned by `go.mod` and `go.sum` beside this file.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Echo } from "../../gen/echo_pb.ts";
import { Health } from "../../gen/health_pb.ts";
import {
  addHealthService,
  addReflectionService,
  Code,
  GrpcError,
  GrpcServer,
  type Interceptor,
} from "../../mod.ts";
import { ECHO_HANDLERS } from "../../testing/echo_server.ts";
import { buildOnce, cacheOf, conclude, isInstalled, runToEnd } from "../peer_process.ts";
import { Report } from "../report.ts";

const HERE = new URL(".", import.meta.url).pathname;
const TESTDATA = new URL("../../testdata/", import.meta.url).pathname;
const TOOL = "github.com/fullstorydev/grpcurl/cmd/grpcurl";
const CASE_TIMEOUT_MS = 30_000;

/** One command of grpcurl. */
interface Command {
  readonly name: string;
  /** Between the connection's flags and the address. */
  readonly flags?: readonly string[];
  /** After the address. */
  readonly args: readonly string[];
  readonly fails?: boolean;
  /** What its output must hold. */
  readonly holds: readonly RegExp[];
}

const COMMANDS: readonly Command[] = [
  {
    name: "list services",
    args: ["list"],
    holds: [/^grpc\.test\.v1\.Echo$/m, /^grpc\.health\.v1\.Health$/m, /^grpc\.reflection\.v1\./m],
  },
  {
    name: "list methods",
    args: ["list", "grpc.test.v1.Echo"],
    holds: [/^grpc\.test\.v1\.Echo\.Unary$/m, /^grpc\.test\.v1\.Echo\.Converse$/m],
  },
  {
    name: "describe a service",
    args: ["describe", "grpc.test.v1.Echo"],
    holds: [
      /rpc Expand \( \.grpc\.test\.v1\.EchoMessage \) returns \( stream \.grpc\.test\.v1\.EchoMessage \);/,
      /idempotency_level = NO_SIDE_EFFECTS/,
    ],
  },
  {
    name: "describe a message",
    args: ["describe", "grpc.test.v1.EchoMessage"],
    holds: [/string text = 1;/, /bytes payload = 2;/, /int32 count = 3;/],
  },
  {
    name: "describe a method",
    args: ["describe", "grpc.test.v1.Echo.Unary"],
    holds: [/rpc Unary/],
  },
  {
    name: "describe a nested enum",
    args: ["describe", "grpc.health.v1.HealthCheckResponse.ServingStatus"],
    holds: [/SERVICE_UNKNOWN = 3;/],
  },
  {
    name: "describe what is not there",
    args: ["describe", "grpc.test.v1.Nothing"],
    fails: true,
    holds: [/not found/i],
  },
  {
    name: "unary call",
    flags: ["-d", '{"text":"a","count":3}'],
    args: ["grpc.test.v1.Echo/Unary"],
    holds: [/"text": "a"/, /"count": 3/],
  },
  {
    name: "server streaming call",
    flags: ["-d", '{"count":3}'],
    args: ["grpc.test.v1.Echo/Expand"],
    holds: [/"count": 1\n[^]*"count": 2/],
  },
  {
    name: "client streaming call",
    flags: ["-d", '{"text":"a"}{"text":"b"}'],
    args: ["grpc.test.v1.Echo/Collect"],
    holds: [/"text": "ab"/, /"count": 2/],
  },
  {
    name: "bidirectional call",
    flags: ["-d", '{"text":"a"}{"text":"b"}'],
    args: ["grpc.test.v1.Echo/Converse"],
    holds: [/"text": "a"\n[^]*"text": "b"/],
  },
  {
    name: "health check",
    args: ["grpc.health.v1.Health/Check"],
    holds: [/"status": "SERVING"/],
  },
  {
    name: "call of a method without a handler",
    args: ["grpc.test.v1.Echo/Absent"],
    fails: true,
    holds: [/Unimplemented/],
  },
];

async function main(): Promise<Report> {
  const report = new Report();
  if (!await isInstalled("go", ["version"])) {
    report.fail(
      "grpcurl",
      "build",
      "`go` is missing: install Go 1.26 or later (Debian: golang-go)",
    );
    return report;
  }
  const folder = cacheOf("reflection");
  const inputs = ["go.mod", "go.sum"].map((name) => Deno.readTextFileSync(`${HERE}${name}`));
  const grpcurl = `${folder}/grpcurl`;
  await buildOnce(
    folder,
    "grpcurl",
    inputs,
    () => runToEnd("go", ["build", "-o", grpcurl, TOOL], { cwd: HERE }),
  );
  await runAll(report, grpcurl);
  return report;
}

/** As a server of before: it knows only the predecessor of the protocol. */
const ONLY_ALPHA: Interceptor = ({ method }) => {
  if (!method.startsWith("/grpc.reflection.v1.")) return;
  throw new GrpcError("unknown service", Code.UNIMPLEMENTED);
};

function echoServer(interceptors: readonly Interceptor[]): GrpcServer {
  const server = new GrpcServer({ interceptors });
  server.addService(Echo, ECHO_HANDLERS);
  addHealthService(server, [Echo.typeName]);
  addReflectionService(server, [Echo, Health]);
  return server;
}

/** Every command plain, over TLS, and to a server of `v1alpha`. */
async function runAll(report: Report, grpcurl: string): Promise<void> {
  const server = echoServer([]);
  const old = echoServer([ONLY_ALPHA]);
  const where = { hostname: "127.0.0.1", port: 0 };
  const [cert, key] = ["server.pem", "server.key"].map((name) =>
    Deno.readTextFileSync(`${TESTDATA}${name}`)
  );
  assert.ok(cert !== undefined && key !== undefined);
  const plain = await server.listen({ transport: "tcp", ...where });
  const tls = await server.listen({ transport: "tls", ...where, cert, key });
  const alpha = await old.listen({ transport: "tcp", ...where });
  const ways = [
    { peer: "plain", flags: ["-plaintext"], address: plain.address },
    { peer: "v1alpha", flags: ["-plaintext"], address: alpha.address },
    {
      peer: "tls",
      flags: ["-cacert", `${TESTDATA}authority.pem`],
      address: `localhost:${tls.port}`,
    },
  ];
  for (const { peer, flags, address } of ways) {
    for (const command of COMMANDS) {
      await report.run(peer, command.name, CASE_TIMEOUT_MS, async (signal) => {
        const args = [...flags, ...(command.flags ?? []), address, ...command.args];
        const { success, text } = await runToEnd(grpcurl, args, { signal });
        assert.equal(success, command.fails !== true, text);
        for (const expected of command.holds) assert.match(text, expected);
      });
    }
  }
  await Promise.all([server, old].map((each) => each.shutdown({ grace_ms: 1000 })));
}

conclude(await main());
