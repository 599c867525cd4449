/**
 * gRPC's interoperability tests between this module and others, in both directions, over plain TCP
 * and TLS: grpc-go always, grpc-java (on Netty and on OkHttp) with `--long`, which also runs longer
 * soaks. `--only=NAME` runs one of them, with the short soaks.
 *
 * Needs Go 1.26 or later, with `--long` also `default-jre-headless` and `maven`; the Go module proxy
 * and Maven's repository for the first build.
 *
 * @module
 */

import { conclude } from "../peer_process.ts";
import { Report } from "../report.ts";
import { runGo } from "./go.ts";
import { runJava } from "./java.ts";

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

const SOAK_ITERATIONS = 50;
const SOAK_ITERATIONS_LONG = 1000;

const report = new Report();
const long = Deno.args.includes("--long");
const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length);
for (const [name, run] of Object.entries({ "grpc-go": runGo, "grpc-java": runJava })) {
  if (only === undefined ? name !== "grpc-go" && !long : name !== only) continue;
  try {
    await run(report, long ? SOAK_ITERATIONS_LONG : SOAK_ITERATIONS);
  } catch (reason) {
    report.fail(name, "is there and runs", reason);
  }
}
for (const [name, reason] of Object.entries(NOT_APPLICABLE)) report.skip("go client", name, reason);
conclude(report);
