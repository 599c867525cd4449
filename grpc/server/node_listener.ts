/**
 * Listeners on `node:net` and `node:tls`: TLS, and ports shared by several processes.
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
  const { server, abandonHandshakes } = options.transport === "tls"
    ? tlsServer(options, acceptor)
    : { server: tcpServer(acceptor), abandonHandshakes: () => {} };
  const reusePort = options.reusePort === true;
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
      abandonHandshakes();
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

/** A TCP connection whose TLS handshake is not done. */
interface Handshake {
  readonly socket: Socket;
  readonly timer: ReturnType<typeof setTimeout>;
}

function tlsServer(
  options: Extract<ListenOptions, { transport: "tls" }>,
  acceptor: Acceptor,
): { readonly server: Server; abandonHandshakes(): void } {
  const { cert, key, clientCa } = options;
  const mutual = clientCa !== undefined;
  const server = createTlsServer({
    cert,
    key,
    // Given at all, a `ca` makes Deno ask for a client certificate.
    ...(mutual ? { ca: clientCa, requestCert: true, rejectUnauthorized: true } : {}),
    minVersion: "TLSv1.2",
    ALPNProtocols: ["h2"],
  });
  // Admitted when the TCP connection comes, so that unfinished handshakes count.
  const waiting = new Map<string, Handshake>();
  const take = (address: string): boolean => {
    clearTimeout(waiting.get(address)?.timer);
    return waiting.delete(address);
  };
  server.on("connection", (socket: Socket) => {
    const peer = peerOf(socket, "tls");
    if (!acceptor.admit(peer)) return void socket.destroy();
    socket.setNoDelay(true);
    let timed_out = false;
    const timer = setTimeout(() => {
      timed_out = true;
      socket.destroy();
    }, acceptor.handshake_timeout_ms);
    waiting.set(peer.address, { socket, timer });
    socket.once("close", () => {
      if (take(peer.address)) acceptor.onHandshakeFailed(peer, timed_out);
    });
  });
  server.on("tlsClientError", (_reason: unknown, socket: TLSSocket) => socket.destroy());
  server.on("secureConnection", (socket: TLSSocket) => {
    const plain = peerOf(socket, "tls");
    if (!take(plain.address)) return void socket.destroy();
    const certificate = mutual ? peerCertificateOf(socket) : undefined;
    const anonymous = mutual && (!socket.authorized || certificate === undefined);
    if (anonymous || socket.alpnProtocol !== "h2") {
      socket.destroy();
      return acceptor.onHandshakeFailed(plain, false);
    }
    const peer = certificate === undefined ? plain : { ...plain, certificate };
    acceptor.onConnection(new NodeTransport(socket), peer);
  });
  return {
    server,
    // No call can have begun on them.
    abandonHandshakes: () => {
      for (const { socket } of [...waiting.values()]) socket.destroy();
    },
  };
}
