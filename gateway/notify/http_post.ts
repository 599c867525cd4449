/**
 * One POST to one configured place, guarded against being led elsewhere (trap 56): every address of
 * the name is judged before a connection is made, and the address that was really reached is judged
 * again before a byte is sent, so that a name that changes between the two gains nothing. Redirects
 * are not followed. The body of the answer is not read.
 *
 * @module
 */
import { lookup } from "node:dns";
import { ssrfVerdict } from "../../core/policy/ssrf.ts";
import { NOTIFY_LIMITS } from "./limits.ts";

/** One request. */
export interface PostRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The operator allows addresses that are not public: loopback, private networks. */
  readonly allow_private: boolean;
  readonly signal: AbortSignal;
}

/** Why nothing was delivered; `final` means that trying again cannot help. */
export class PostError extends Error {
  override readonly name = "PostError";

  constructor(message: string, readonly final: boolean, options?: ErrorOptions) {
    super(message, options);
  }
}

/** What posting stands on; the platform unless a test says otherwise. */
export interface PostPlatform {
  /** Every address of a name. */
  readonly resolve: (hostname: string, port: number) => Promise<readonly string[]>;
  readonly connect: (hostname: string, port: number) => Promise<Deno.TcpConn>;
  /** Certificates to trust beside the built-in ones (PEM). */
  readonly ca_certs?: readonly string[];
}

/** The machine's resolver and sockets. */
export const SYSTEM_POST: PostPlatform = {
  resolve: systemAddresses,
  connect: (hostname, port) => Deno.connect({ hostname, port }),
};

/**
 * Posts, and gives the status.
 *
 * @throws {PostError} for everything but an answer with a status.
 */
export async function post(
  request: PostRequest,
  platform: PostPlatform = SYSTEM_POST,
): Promise<number> {
  const { url, signal } = request;
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const conn = await raced(guardedConnection(request, hostname, port, platform), signal);
  try {
    return await raced(exchange(request, hostname, port, conn, platform), signal);
  } finally {
    close(conn);
  }
}

async function guardedConnection(
  { allow_private, signal }: PostRequest,
  hostname: string,
  port: number,
  platform: PostPlatform,
): Promise<Deno.TcpConn> {
  const addresses = await attempted("look up the host", () => platform.resolve(hostname, port));
  if (addresses.length === 0 || addresses.length > NOTIFY_LIMITS.addresses) {
    throw new PostError(`the host has \`${addresses.length}\` addresses`, false);
  }
  for (const address of addresses) requireAllowed(address, allow_private);
  const conn = await attempted("connect", () => platform.connect(hostname, port));
  try {
    if (signal.aborted) throw new PostError("the attempt took too long", false);
    requireAllowed(conn.remoteAddr.hostname, allow_private);
    return conn;
  } catch (error) {
    close(conn);
    throw error;
  }
}

function requireAllowed(address: string, allow_private: boolean): void {
  if (allow_private || ssrfVerdict(address) === "public") return;
  throw new PostError(
    "the host resolves to an address that is not public: say `--allow-private-webhook` if it is meant",
    true,
  );
}

async function exchange(
  request: PostRequest,
  hostname: string,
  port: number,
  tcp: Deno.TcpConn,
  { ca_certs = [] }: PostPlatform,
): Promise<number> {
  const { url, headers, body } = request;
  const conn: Deno.Conn = url.protocol === "https:"
    ? await attempted("agree on TLS", async () => {
      const tls = await Deno.startTls(tcp, { hostname, caCerts: [...ca_certs] });
      await tls.handshake();
      return tls;
    })
    : tcp;
  try {
    const bytes = new TextEncoder().encode(body);
    const host = port === 443 || port === 80 ? url.hostname : `${url.hostname}:${port}`;
    const lines = [
      `POST ${url.pathname}${url.search} HTTP/1.1`,
      `host: ${host}`,
      "connection: close",
      `content-length: ${bytes.length}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ];
    const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
    await attempted("send", () => writeAll(conn, head));
    await attempted("send", () => writeAll(conn, bytes));
    return await attempted("read the answer", () => statusOf(conn));
  } finally {
    close(conn);
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

/** The status line's code; informational answers are passed over. */
async function statusOf(conn: Deno.Conn): Promise<number> {
  const decoder = new TextDecoder("latin1");
  const chunk = new Uint8Array(1_024);
  let head = "";
  while (true) {
    const match = /^HTTP\/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n/.exec(head);
    if (match !== null && !match[1]?.startsWith("1")) return Number(match[1]);
    const end = head.indexOf("\r\n\r\n");
    if (match !== null && end >= 0) {
      head = head.slice(end + 4);
      continue;
    }
    if (match === null && head.includes("\n")) {
      throw new PostError("the answer is not HTTP/1.1", false);
    }
    if (head.length > NOTIFY_LIMITS.answer_head_bytes) {
      throw new PostError("the head of the answer is too large", false);
    }
    const count = await conn.read(chunk);
    if (count === null) throw new PostError("the connection ended without an answer", false);
    head += decoder.decode(chunk.subarray(0, count));
  }
}

/** Names what failed. The error's own text may hold the address, never the path or the body. */
async function attempted<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PostError) throw error;
    const cause = error instanceof Error ? error.name : "unknown";
    throw new PostError(`cannot ${what}: ${cause}`, false, { cause: error });
  }
}

/** Ends the wait, not the work: whoever holds the connection closes it. */
async function raced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = () => reject(new PostError("the attempt took too long", false));
  if (signal.aborted) late();
  signal.addEventListener("abort", late, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", late);
    // The loser of the race must not become an unhandled rejection.
    work.catch(() => {});
  }
}

function close(conn: { close(): void }): void {
  try {
    conn.close();
  } catch {
    // Closed by the other side, or taken over by TLS.
  }
}

/** `port` makes the runtime ask for exactly the permission that connecting needs. */
function systemAddresses(hostname: string, port: number): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const options: { all: true; port: number } = { all: true, port };
  lookup(hostname, options, (error, addresses) => {
    if (error !== null) reject(error);
    else resolve(addresses.map(({ address }) => address));
  });
  return promise;
}
