/**
 * Opens the byte stream of a channel.
 *
 * @module
 */

import type { ConnectionOptions } from "node:tls";
import type { Transport } from "../http2/transport.ts";
import { NodeTransport } from "../node_transport.ts";
import type { ChannelTls } from "./options.ts";
import { type Address, isIpAddress } from "./target.ts";

/** How a connection is secured. */
export interface Security {
  readonly tls: ChannelTls | undefined;
  /** Who the server must prove to be; undefined: the address's host. */
  readonly server_name: string | undefined;
}

type TcpAddress = Extract<Address, { kind: "tcp" }>;

/**
 * Connects; rejects with what the system reports, or when `signal` aborts. Asks for no permission
 * but the one for the address as it is written.
 *
 * Client certificates go through `node:tls`: Deno cannot both present one and verify another name
 * than the one it dials.
 */
export async function openTransport(
  address: Address,
  { tls, server_name }: Security,
  signal: AbortSignal,
): Promise<Transport> {
  if (address.kind === "unix") {
    return await unlessAborted(Deno.connect({ transport: "unix", path: address.path }), signal);
  }
  if (tls?.cert !== undefined) return await openMutualTls(address, tls, server_name, signal);
  const conn = await unlessAborted(dial(address, signal), signal);
  if (tls === undefined) return conn;
  const secure = await unlessAborted(
    Deno.startTls(conn, {
      hostname: server_name ?? address.hostname,
      alpnProtocols: ["h2"],
      ...(tls.ca === undefined ? {} : { caCerts: [tls.ca] }),
    }),
    signal,
  );
  const onAbort = () => secure.close();
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  try {
    const { alpnProtocol } = await secure.handshake();
    if (alpnProtocol !== "h2") throw new TypeError("the server does not offer HTTP/2 by ALPN");
  } catch (reason) {
    if (!signal.aborted) secure.close();
    throw reason;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return secure;
}

/** A name is tried at each of its addresses (RFC 8305), which `Deno.connect` does by itself. */
async function dial({ hostname, port }: TcpAddress, signal: AbortSignal): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname, port, signal });
  conn.setNoDelay(true);
  return conn;
}

/** The connection, unless the signal comes first; a late one is then closed. */
function unlessAborted<C extends Deno.Conn>(opening: Promise<C>, signal: AbortSignal): Promise<C> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    opening.then(
      (conn) => {
        signal.removeEventListener("abort", onAbort);
        if (signal.aborted) conn.close();
        else resolve(conn);
      },
      (reason) => {
        signal.removeEventListener("abort", onAbort);
        reject(reason);
      },
    );
  });
}

async function openMutualTls(
  { hostname, port }: TcpAddress,
  tls: ChannelTls,
  server_name: string | undefined,
  signal: AbortSignal,
): Promise<Transport> {
  // Trying each address of a name asks permission for each, where nobody can catch the refusal.
  const { state } = await Deno.permissions.query({ name: "net" });
  const autoSelectFamily = state === "granted";
  // Loaded here, because few channels need it and every process would wait for it to start.
  const { connect } = await import("node:tls");
  return await new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const name = server_name ?? hostname;
    const options: ConnectionOptions & { readonly autoSelectFamily: boolean } = {
      host: hostname,
      port,
      autoSelectFamily,
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.2",
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      // An address is no server name (RFC 6066 section 3).
      ...(isIpAddress(name) ? {} : { servername: name }),
    };
    const socket = connect(options);
    const fail = (reason: unknown) => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(reason);
    };
    const onAbort = () => fail(signal.reason);
    signal.addEventListener("abort", onAbort);
    socket.once("error", fail);
    socket.once("secureConnect", () => {
      if (!socket.authorized || socket.alpnProtocol !== "h2") {
        return fail(new TypeError("the server does not offer HTTP/2 by ALPN"));
      }
      signal.removeEventListener("abort", onAbort);
      socket.setNoDelay(true);
      resolve(new NodeTransport(socket));
      socket.off("error", fail);
    });
  });
}
