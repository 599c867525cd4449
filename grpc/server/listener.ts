/**
 * Where connections come from: TCP, Unix sockets, TLS, mutual TLS.
 *
 * @module
 */

import type { Transport } from "../http2/transport.ts";
import type { Peer } from "../peer.ts";

/** Where to listen. */
export type ListenOptions =
  /** `reusePort`: several processes or threads share the port (SO_REUSEPORT). */
  | {
    readonly transport: "tcp";
    readonly hostname: string;
    readonly port: number;
    readonly reusePort?: boolean;
  }
  /** The socket file gets mode 0600; a file left by a dead server is replaced. */
  | { readonly transport: "unix"; readonly path: string }
  /** PEM texts. `clientCa` makes a client certificate of that authority mandatory. */
  | {
    readonly transport: "tls";
    readonly hostname: string;
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly clientCa?: string;
    readonly reusePort?: boolean;
  };

/** A listener that is bound and accepts. */
export interface BoundListener {
  /** `host:port`, or the socket's path. */
  readonly address: string;
  readonly port: number | undefined;
  /** Stops accepting; connections already accepted live on. */
  close(): Promise<void>;
}

/** Receives what a listener accepts. */
export interface Acceptor {
  readonly handshake_timeout_ms: number;
  /** Whether one more connection may be taken; counts the refusal when not. */
  admit(peer: Peer): boolean;
  /** An admitted connection is ready for HTTP/2. */
  onConnection(transport: Transport, peer: Peer): void;
  /** An admitted connection never got that far. */
  onHandshakeFailed(peer: Peer, timed_out: boolean): void;
  onAcceptFailed(reason: unknown): void;
}

const ACCEPT_RETRY_MS = 50;

/**
 * Binds a listener.
 *
 * @throws Deno.errors.AddrInUse, or whatever else binding reports
 */
export async function bind(options: ListenOptions, acceptor: Acceptor): Promise<BoundListener> {
  switch (options.transport) {
    case "unix":
      return await bindUnix(options.path, acceptor);
    case "tcp":
      if (options.reusePort === true) return await bindNode(options, acceptor);
      return bindTcp(options.hostname, options.port, acceptor);
    case "tls":
      // Deno's own TLS sockets can neither ask for a client certificate nor set TCP_NODELAY: a
      // response of several packets then waits 40 ms for the peer's delayed acknowledgement.
      return await bindNode(options, acceptor);
  }
}

type NodeListenOptions = Extract<ListenOptions, { transport: "tcp" | "tls" }>;

/** Loads Node's sockets only now: a server that needs none starts without waiting for them. */
async function bindNode(options: NodeListenOptions, acceptor: Acceptor): Promise<BoundListener> {
  const { acceptNodeSockets } = await import("./node_listener.ts");
  return await acceptNodeSockets(options, acceptor);
}

function addressOf(address: Deno.NetAddr): string {
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}

function bindTcp(hostname: string, port: number, acceptor: Acceptor): BoundListener {
  const listener = Deno.listen({ hostname, port });
  acceptAll(listener, acceptor, (conn) => {
    const peer: Peer = { transport: "tcp", address: addressOf(conn.remoteAddr) };
    if (!acceptor.admit(peer)) return closeQuietly(conn);
    conn.setNoDelay(true);
    acceptor.onConnection(conn, peer);
  });
  return bound(listener, addressOf(listener.addr), listener.addr.port);
}

async function bindUnix(path: string, acceptor: Acceptor): Promise<BoundListener> {
  await removeStaleSocket(path);
  const listener = listenPrivately(path);
  try {
    Deno.chmodSync(path, 0o600);
  } catch (reason) {
    listener.close();
    throw reason;
  }
  const peer: Peer = { transport: "unix", address: path };
  const accepting = acceptAll(listener, acceptor, (conn) => {
    if (!acceptor.admit(peer)) return closeQuietly(conn);
    acceptor.onConnection(conn, peer);
  });
  const closed = bound(listener, path, undefined);
  return {
    ...closed,
    close: async () => {
      await closed.close();
      // Deno removes the file by its name, but only when the accept under way has been given up:
      // until then it would remove the file of the server that comes next.
      await accepting;
    },
  };
}

/**
 * Binds a socket file that is its owner's from the first. That takes a umask, and the right to set
 * one (all of `--allow-sys`). Without it the file has the process's umask until the chmod that
 * follows at once: whoever may write to it then could connect in between, which the usual umask of
 * 022 lets nobody else.
 */
function listenPrivately(path: string): Deno.UnixListener {
  const options = { transport: "unix", path } as const;
  if (Deno.permissions.querySync({ name: "sys" }).state !== "granted") return Deno.listen(options);
  const usual = Deno.umask(0o177);
  try {
    return Deno.listen(options);
  } finally {
    Deno.umask(usual);
  }
}

/**
 * Removes a socket file nobody listens on any more. A live one, or a file that is no socket, stays:
 * binding then fails with AddrInUse.
 */
async function removeStaleSocket(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (reason) {
    if (reason instanceof Deno.errors.NotFound) return;
    throw reason;
  }
  if (info.isSocket !== true) {
    throw new Deno.errors.AddrInUse(
      `cannot listen on \`${path}\`: a file that is no socket is there`,
    );
  }
  try {
    closeQuietly(await Deno.connect({ transport: "unix", path }));
  } catch (reason) {
    if (reason instanceof Deno.errors.ConnectionRefused) return await Deno.remove(path);
    throw reason;
  }
  throw new Deno.errors.AddrInUse(`cannot listen on \`${path}\`: another server answers there`);
}

/** Accepts until the listener is closed; a failed accept is reported and tried again. */
async function acceptAll<C extends Deno.Conn>(
  listener: { accept(): Promise<C> },
  acceptor: Acceptor,
  onConn: (conn: C) => void,
): Promise<void> {
  for (;;) {
    try {
      onConn(await listener.accept());
    } catch (reason) {
      // BadResource: closed. Anything else (no file descriptors, peer already gone) may pass.
      if (reason instanceof Deno.errors.BadResource || reason instanceof Deno.errors.Interrupted) {
        return;
      }
      acceptor.onAcceptFailed(reason);
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
    }
  }
}

function bound(
  listener: { close(): void },
  address: string,
  port: number | undefined,
): BoundListener {
  let open = true;
  return {
    address,
    port,
    close: () => {
      if (open) listener.close();
      open = false;
      return Promise.resolve();
    },
  };
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Already closed by its other end or by its timeout.
  }
}
