/**
 * This module's interoperability programs as the suite starts them.
 *
 * @module
 */

import { runCaseProgram } from "../case_program.ts";
import { pathOf, PeerProcess } from "../peer_process.ts";
import type { Report } from "../report.ts";

/** Long enough for a case on a busy machine, short enough for a hang to be seen. */
export const CASE_TIMEOUT_MS = 60_000;

/** Installs the balancer that other clients read load reports with; needed by two cases. */
export const LOAD_REPORT_CONFIG =
  '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}';

/** Whether the cases go over TLS, and under whose names. */
export interface Wire {
  readonly tls: boolean;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The name the certificate is for. */
  readonly name: string;
}

const PERMISSIONS = ["run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-read"];

/** Starts our server; its first line is `host:port`. */
export async function startOurServer(wire: Wire): Promise<PeerProcess> {
  return await PeerProcess.start(Deno.execPath(), [
    ...PERMISSIONS,
    pathOf("interop/server.ts"),
    `--use_tls=${wire.tls}`,
    `--tls_cert_file=${wire.cert}`,
    `--tls_key_file=${wire.key}`,
  ]);
}

/** Runs cases with our client against a server at `address`, `host:port`. */
export async function runOurClient(
  report: Report,
  peer: string,
  names: readonly string[],
  address: string,
  wire: Wire,
  soak_iterations: number,
): Promise<void> {
  const [host, port] = address.split(":");
  await runCaseProgram(report, peer, names, CASE_TIMEOUT_MS * 3, { command: Deno.execPath() }, [
    ...PERMISSIONS,
    pathOf("interop/client.ts"),
    `--server_host=${host}`,
    `--server_port=${port}`,
    `--test_case=${names.join(",")}`,
    `--use_tls=${wire.tls}`,
    `--ca_file=${wire.ca}`,
    `--server_host_override=${wire.name}`,
    `--soak_iterations=${soak_iterations}`,
  ]);
}
