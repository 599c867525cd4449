/**
 * The interoperability server as a program. Prints its address, serves until its input ends, then
 * shuts down gracefully.
 *
 * Flags: `--port` (default: any free one), `--use_tls`, `--tls_cert_file`, `--tls_key_file` (default:
 * this module's test certificate). Listens on loopback only.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { GrpcServer } from "../../mod.ts";
import { parseFlags } from "./flags.ts";
import { addTestServices } from "./service.ts";

const testdata = (name: string) => new URL(`../../testdata/${name}`, import.meta.url).pathname;

const flags = parseFlags(Deno.args, ["port", "use_tls", "tls_cert_file", "tls_key_file"]);
const hostname = "127.0.0.1";
const port = Number(flags.get("port") ?? 0);
const server = new GrpcServer();
addTestServices(server);
const { address } = await server.listen(
  flags.get("use_tls") === "true"
    ? {
      transport: "tls",
      hostname,
      port,
      cert: Deno.readTextFileSync(flags.get("tls_cert_file") ?? testdata("server.pem")),
      key: Deno.readTextFileSync(flags.get("tls_key_file") ?? testdata("server.key")),
    }
    : { transport: "tcp", hostname, port },
);
console.log(address);
for await (const _ of Deno.stdin.readable) { /* Only its end counts. */ }
await server.shutdown();
