/**
 * Where the gateway listens: in its own thread, or through transport workers.
 *
 * @module
 */
import {
  type Bounds,
  type GrpcServer,
  type ListenOptions,
  SERVER_BOUNDS,
  serveWeb,
} from "../../grpc/mod.ts";
import type { GatewayConfig, ListenerConfig, TlsFiles, WebConfig } from "../config.ts";
import { netGrant } from "../permissions.ts";
import { spawnTransportWorker, TransportWorkers } from "./workers.ts";

/** What listens once all is bound. */
export interface Listening {
  readonly addresses: readonly string[];
  readonly workers: TransportWorkers | undefined;
}

/**
 * Binds every listener of a configuration. A Unix socket is always served by the deciding thread:
 * it has one file, and no TLS to take off its hands.
 *
 * @throws {Error} with the address and the reason; the server is shut down then
 */
export async function listenAll(
  server: GrpcServer,
  config: GatewayConfig,
  bounds: Partial<Bounds>,
): Promise<Listening> {
  const addresses: string[] = [];
  let workers: TransportWorkers | undefined;
  try {
    for (const listener of config.listeners) {
      try {
        const options = await listenOptions(listener, config.tls);
        if (config.transport_workers === 0 || options.transport === "unix") {
          addresses.push((await server.listen(options)).address);
          continue;
        }
        workers = await TransportWorkers.start({
          server,
          listen: options,
          count: config.transport_workers,
          bounds: { ...SERVER_BOUNDS, ...bounds },
          spawn: () => spawnTransportWorker(netGrant(options)),
        });
        addresses.push(workers.listener.address);
      } catch (error) {
        throw notBound(listener, error);
      }
    }
    if (config.web !== undefined) {
      addresses.push(await listenWeb(server, config.web, config.tls));
    }
    return { addresses, workers };
  } catch (error) {
    workers?.stop();
    await server.shutdown({ grace_ms: 0 });
    throw error;
  }
}

/** Request metadata that a page may send: credentials, and what a call says of itself. */
const PAGE_HEADERS = [
  "authorization",
  "x-aa-credential-token",
  "x-aa-enrolment",
  "aasm-approval",
  "aasm-resume",
  "aasm-explain",
  "aasm-settle",
  "aasm-max-output-tokens",
  "aasm-max-wall-ms",
] as const;

/** The same services under the same authentication; the deciding thread serves it. */
async function listenWeb(
  server: GrpcServer,
  web: WebConfig,
  tls: TlsFiles | undefined,
): Promise<string> {
  const { hostname, port, origins } = web;
  try {
    const certificate = web.tls && tls !== undefined
      ? { cert: await Deno.readTextFile(tls.cert), key: await Deno.readTextFile(tls.key) }
      : {};
    const { address } = serveWeb(server, {
      hostname,
      port,
      ...certificate,
      allowed_origins: origins,
      allowed_request_headers: PAGE_HEADERS,
    });
    return `${web.tls ? "https" : "http"}://${address}`;
  } catch (error) {
    throw notBound({ transport: "tcp", hostname, port }, error);
  }
}

async function listenOptions(
  listener: ListenerConfig,
  tls: TlsFiles | undefined,
): Promise<ListenOptions> {
  if (listener.transport === "unix") return listener;
  const { hostname, port } = listener;
  if (listener.transport === "tcp") return { transport: "tcp", hostname, port };
  if (tls === undefined) throw new Error("no certificate was given");
  return {
    transport: "tls",
    hostname,
    port,
    cert: await Deno.readTextFile(tls.cert),
    key: await Deno.readTextFile(tls.key),
    ...(tls.client_ca === undefined ? {} : { clientCa: await Deno.readTextFile(tls.client_ca) }),
  };
}

function notBound(listener: ListenerConfig, error: unknown): Error {
  const where = listener.transport === "unix"
    ? listener.path
    : `${listener.hostname}:${listener.port}`;
  const text = error instanceof Error ? error.message : String(error);
  const taken = error instanceof Error && error.name === "AddrInUse";
  const cause = taken || text.includes("EADDRINUSE")
    ? "another program listens there: stop it, or choose another address"
    : text;
  return new Error(`cannot listen on \`${where}\`: ${cause}`, { cause: error });
}
