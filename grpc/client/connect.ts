/**
 * Opens the byte stream of a channel.
 *
 * @module
 */

import { connect as connectNodeTls } from "node:tls";
import type { Transport } from "../http2/transport.ts";
import { NodeTransport } from "../node_transport.ts";
import type { ChannelTls } from "./options.ts";
import type { Target } from "./target.ts";

/**
 * Connects; rejects with what the system reports, or when `signal` aborts.
 *
 * Client certificates go through `node:tls`: Deno cannot both present one and verify another name
 * than the one it dials.
 */
export async function openTransport(
  target: Target,
  tls: ChannelTls | undefined,
  signal: AbortSignal,
): Promise<Transport> {
  if (tls?.cert !== undefined && target.kind === "tcp") {
    return await openMutualTls(target, tls, signal);
  }
  const conn = await unlessAborted(dial(target), signal);
  if (tls === undefined) return conn;
  const secure = await unlessAborted(
    Deno.startTls(conn as Deno.TcpConn, {
      hostname: tls.serverName ?? (target.kind === "tcp" ? target.hostname : "localhost"),
      alpnProtocols: ["h2"],
      ...(tls.ca === undefined ? {} : { caCerts: [tls.ca] }),
    }),
    signal,
  );
  const onAbort = () => secure.close();
  signal.addEventListener("abort", onAbort);
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

async function dial(target: Target): Promise<Deno.Conn> {
  if (target.kind === "unix") return await Deno.connect({ transport: "unix", path: target.path });
  const conn = await Deno.connect({ hostname: target.hostname, port: target.port });
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

function openMutualTls(
  target: Extract<Target, { kind: "tcp" }>,
  tls: ChannelTls,
  signal: AbortSignal,
): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const name = tls.serverName ?? target.hostname;
    const socket = connectNodeTls({
      host: target.hostname,
      port: target.port,
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.2",
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      // An address is no server name (RFC 6066 section 3).
      ...(isAddress(name) ? {} : { servername: name }),
    });
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

function isAddress(name: string): boolean {
  return name.includes(":") || /^[0-9.]+$/.test(name);
}
