/**
 * The interoperability client as a program: runs cases against a server and prints one JSON object
 * a line, `{"case", "ok", "ms"}` or `{"case", "ok", "reason"}`. Exit code 0 when all went well.
 *
 * Flags: `--server_host` (default 127.0.0.1), `--server_port`, `--test_case` (one or several,
 * separated by commas), `--use_tls`, `--ca_file` (default: this module's test authority),
 * `--server_host_override`, `--soak_iterations` (default 10).
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { Channel, type ChannelOptions, createClient } from "../../mod.ts";
import { CASES, type CaseWorld, COMPRESSION_CASES } from "./cases.ts";
import { parseFlags } from "./flags.ts";
import { TestService } from "./gen/grpc/testing/test_pb.ts";

const testdata = (name: string) => new URL(`../../testdata/${name}`, import.meta.url).pathname;

const flags = parseFlags(Deno.args, [
  "server_host",
  "server_port",
  "test_case",
  "use_tls",
  "ca_file",
  "server_host_override",
  "soak_iterations",
]);
const target = `${flags.get("server_host") ?? "127.0.0.1"}:${flags.get("server_port") ?? ""}`;
const override = flags.get("server_host_override");
const options: ChannelOptions = flags.get("use_tls") === "true"
  ? {
    tls: {
      ca: Deno.readTextFileSync(flags.get("ca_file") ?? testdata("authority.pem")),
      ...(override === undefined ? {} : { serverName: override }),
    },
  }
  : {};

let failed = false;
for (const name of (flags.get("test_case") ?? "large_unary").split(",")) {
  const started_ms = performance.now();
  const channel = new Channel(target, options);
  const world: CaseWorld = {
    channel,
    client: createClient(TestService, channel),
    newChannel: () => new Channel(target, options),
    soak_iterations: Number(flags.get("soak_iterations") ?? 10),
  };
  try {
    const run = CASES[name] ?? COMPRESSION_CASES[name];
    if (run === undefined) throw new TypeError(`no case is named \`${name}\``);
    await run(world);
    const ms = Math.round(performance.now() - started_ms);
    console.log(JSON.stringify({ case: name, ok: true, ms }));
  } catch (reason) {
    failed = true;
    const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
    console.log(JSON.stringify({ case: name, ok: false, reason: text }));
  }
  await channel.close();
}
Deno.exit(failed ? 1 : 0);
