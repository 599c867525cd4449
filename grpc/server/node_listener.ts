/**
 * Listeners on `node:net` and `node:tls`: mutual TLS, and ports shared by several processes.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { NodeTransport } from "../node_transport.ts";
import type { Peer } from "../peer.ts";
import { peerCertificateOf } from "../peer_certificate.ts";
import type { Acceptor, BoundListener, ListenOptions } from "./listener.ts";

type NodeListenOptions = Extract<ListenOptions, { transport: "tcp" | "tls" }>;

/** Binds a listener on Node's sockets; rejects with what binding reports. */
export async function acceptNodeSockets(
  options: NodeListenOptions,
  acceptor: Acceptor,
): Promise<BoundListener> {
  await requireNetPermission(options.hostname, options.port);
  const server = options.transport === "tls" ? tlsServer(options, acceptor) : tcpServer(acceptor);
  const reusePort = options.transport === "tcp" && options.reusePort === true;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.hostname, port: options.port, reusePort }, () => resolve());
  });
  server.removeAllListeners("error");
  server.on("error", (reason: unknown) => acceptor.onAcceptFailed(reason));
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : options.port;
  let open = true;
  return {
    address: `${options.hostname}:${port}`,
    port,
    close: () => {
      if (open) server.close();
      open = false;
      return Promise.resolve();
    },
  };
}

/** Refuses here what `node:net` would report where nobody can catch it. */
async function requireNetPermission(hostname: string, port: number): Promise<void> {
  const host = `${hostname}:${port}`;
  const { state } = await Deno.permissions.query({ name: "net", host });
  if (state === "granted") return;
  throw new Deno.errors.NotCapable(`cannot listen: no net permission for \`${host}\``);
}

function peerOf(socket: Socket, transport: "tcp" | "tls"): Peer {
  return { transport, address: `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}` };
}

function tcpServer(acceptor: Acceptor): Server {
  return createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const peer = peerOf(socket, "tcp");
    socket.on("error", () => {}); // A refused socket has no other listener.
    if (!acceptor.admit(peer)) return void socket.destroy();
    acceptor.onConnection(new NodeTransport(socket), peer);
  });
}

function tlsServer(
  options: Extract<ListenOptions, { transport: "tls" }>,
  acceptor: Acceptor,
): Server {
  const { cert, key, clientCa } = options;
  const server = createTlsServer({
    cert,
    key,
    ca: clientCa,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    ALPNProtocols: ["h2"],
    handshakeTimeout: acceptor.handshake_timeout_ms,
  });
  // Admitted when the TCP connection comes, so that unfinished handshakes count.
  const waiting = new Map<string, Peer>();
  server.on("connection", (socket: Socket) => {
    const peer = peerOf(socket, "tls");
    if (!acceptor.admit(peer)) return void socket.destroy();
    socket.setNoDelay(true);
    waiting.set(peer.address, peer);
    socket.once("close", () => {
      if (waiting.delete(peer.address)) acceptor.onHandshakeFailed(peer, false);
    });
  });
  server.on("tlsClientError", (_reason: unknown, socket: TLSSocket) => socket.destroy());
  server.on("secureConnection", (socket: TLSSocket) => {
    const plain = peerOf(socket, "tls");
    if (!waiting.delete(plain.address)) return void socket.destroy();
    const certificate = peerCertificateOf(socket);
    if (!socket.authorized || socket.alpnProtocol !== "h2" || certificate === undefined) {
      socket.destroy();
      return acceptor.onHandshakeFailed(plain, false);
    }
    acceptor.onConnection(new NodeTransport(socket), { ...plain, certificate });
  });
  return server;
}
