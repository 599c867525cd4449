/**
 * h2spec, unmodified, against this module: its server suite (strict cases included) over plain TCP
 * with prior knowledge and over TLS with ALPN, and its client suite (h2specd) against our client,
 * plain and TLS.
 *
 * h2spec and everything it is built from are pinned by `go.mod` and `go.sum` beside this file. Cases
 * that cannot pass are listed in `grpc/known_failing.md`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { GrpcServer } from "../../mod.ts";
import { ECHO_HANDLERS } from "../../testing/echo_server.ts";
import { Echo } from "../../gen/echo_pb.ts";
import { knownFailing } from "../known_failing.ts";
import { ClientBridge } from "./client_bridge.ts";
import { readSpecOutput, type SpecCase } from "./spec_output.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const HERE = new URL(".", import.meta.url).pathname;
const CACHE = new URL("../.cache/h2spec/", import.meta.url).pathname;
const TESTDATA = new URL("../../testdata/", import.meta.url).pathname;
/** More than the client cases h2specd opens a port for, one each. */
const CLIENT_PORTS = 64;
const MODULE = "github.com/summerwind/h2spec";

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<number> {
  await build();
  const known = await knownFailing("h2spec");
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const server = new GrpcServer();
  server.addService(Echo, ECHO_HANDLERS);
  const address = { hostname: "127.0.0.1", port: 0 } as const;
  const plain = await server.listen({ transport: "tcp", ...address });
  const tls = await server.listen({ transport: "tls", ...address, ...serverIdentity() });
  judge("plain", await run("h2spec", ["-S", "-p", `${plain.port}`]), known, tally);
  judge("tls", await run("h2spec", ["-S", "-t", "-k", "-p", `${tls.port}`]), known, tally);
  await server.shutdown({ grace_ms: 0 });

  const bridge = new ClientBridge({ ca: read("authority.pem"), serverName: "localhost" });
  const env = { H2SPEC_BRIDGE_PORT: String(bridge.port) };
  const exec = ["-S", "-e", `${HERE}client.sh`];
  const tls_files = ["-t", "-c", `${TESTDATA}server.pem`, "-k", `${TESTDATA}server.key`];
  judge("client", await run("h2specd", [...exec, "-f", freePorts()], env), known, tally);
  const tls_args = [...exec, ...tls_files, "-f", freePorts()];
  judge("client-tls", await run("h2specd", tls_args, env), known, tally);
  bridge.close();

  for (const id of known.keys()) {
    console.log(`FAIL ${id}: listed in known_failing.md, but no such case ran`);
    tally.failed++;
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
  return tally.failed > 0 || tally.passed === 0 ? 1 : 0;
}

function read(name: string): string {
  return Deno.readTextFileSync(`${TESTDATA}${name}`);
}

function serverIdentity(): { cert: string; key: string } {
  return { cert: read("server.pem"), key: read("server.key") };
}

/** Builds both programs; Go's own cache makes this quick when nothing changed. */
async function build(): Promise<void> {
  await Deno.mkdir(CACHE, { recursive: true });
  for (const name of ["h2spec", "h2specd"]) {
    console.log(`building ${name}`);
    const args = ["build", "-o", `${CACHE}${name}`, `${MODULE}/cmd/${name}`];
    let built: Deno.CommandOutput;
    try {
      built = await new Deno.Command("go", { args, cwd: HERE }).output();
    } catch (reason) {
      if (!(reason instanceof Deno.errors.NotFound)) throw reason;
      throw new Error("`go` is missing: install Go 1.26 or later (Debian: golang-go)");
    }
    if (built.success) continue;
    throw new Error(`cannot build ${name}: ${new TextDecoder().decode(built.stderr)}`);
  }
}

/** A first port of several free ones in a row: h2specd listens on one port a case. */
function freePorts(): string {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const listeners: Deno.Listener[] = [];
    try {
      for (let port = first; port < first + CLIENT_PORTS; port++) {
        listeners.push(Deno.listen({ hostname: "127.0.0.1", port }));
      }
      return String(first);
    } catch (reason) {
      if (!(reason instanceof Deno.errors.AddrInUse)) throw reason;
    } finally {
      for (const listener of listeners) listener.close();
    }
  }
  throw new Error(`no ${CLIENT_PORTS} free ports in a row between 20000 and 30000`);
}

async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  console.log(`running ${program} ${args.join(" ").replaceAll(ROOT, "")}`);
  const command = new Deno.Command(`${CACHE}${program}`, { args: [...args], env });
  const { stdout, stderr } = await command.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** Prints a run's cases and counts them; takes the known ones out of the list. */
function judge(form: string, text: string, known: Map<string, string>, tally: Tally): void {
  const { cases, stated } = readSpecOutput(text);
  for (const each of cases) {
    const id = `h2spec/${form}/${each.id}`;
    const [outcome, reason] = outcomeOf(each, known.get(id));
    known.delete(id);
    tally[outcome === "ok" ? "passed" : outcome === "FAIL" ? "failed" : "skipped"]++;
    console.log(`${outcome.padEnd(4)} ${id}: ${each.title}${reason === "" ? "" : ` (${reason})`}`);
  }
  if (stated === cases.length && stated > 0) return;
  tally.failed++;
  console.log(`FAIL h2spec/${form}: ${cases.length} cases read, ${stated ?? "none"} counted by it`);
  console.log(text.slice(-2000));
}

function outcomeOf(each: SpecCase, known: string | undefined): [string, string] {
  if (each.verdict === "skipped") return ["SKIP", "h2spec found nothing to test"];
  if (each.verdict === "passed") {
    return known === undefined ? ["ok", ""] : ["FAIL", "passes, but known_failing.md lists it"];
  }
  return known === undefined ? ["FAIL", each.detail] : ["SKIP", known];
}

Deno.exit(await main());
