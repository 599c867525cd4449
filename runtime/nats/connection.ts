/**
 * A connection to the NATS server that is made when it is needed and made anew when it is lost.
 * Publishing is confirmed: a round trip after the last message says that the server has all of them.
 *
 * @module
 */
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import type { NatsConfig } from "./config.ts";
import { serverOf } from "./config.ts";

/** Longest wait for a connection, in milliseconds; then it failed. */
export const NATS_CONNECT_TIMEOUT_MS = 5_000;

/** One message on its way. */
export interface Outgoing {
  readonly subject: string;
  readonly text: string;
  /** Names the message for a JetStream that drops repeats. */
  readonly message_id: string;
}

/** The way to one server. */
export class NatsLink {
  readonly #config: NatsConfig;
  #connection: NatsConnection | undefined;
  #refusal: string | undefined;
  #guard: Disposable | undefined;

  constructor(config: NatsConfig) {
    this.#config = config;
  }

  /** Whether a connection stands. */
  get connected(): boolean {
    return this.#connection !== undefined && !this.#connection.isClosed();
  }

  /**
   * Publishes messages in order and resolves once the server has them all.
   *
   * @throws {Error} When that is not certain: nothing or a part may have arrived.
   */
  async publish(messages: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    const connection = await this.#open();
    if (signal.aborted) throw new Error("given up");
    const with_headers = connection.info?.headers === true;
    for (const { subject, text, message_id } of messages) {
      if (with_headers) {
        const named = headers();
        named.set("Nats-Msg-Id", message_id);
        connection.publish(subject, text, { headers: named });
      } else connection.publish(subject, text);
    }
    await untilFlushed(connection, signal);
    // The server's refusal comes before its answer, but is told by another way.
    await new Promise((done) => setTimeout(done, 0));
    const refusal = this.#refusal;
    this.#refusal = undefined;
    if (refusal !== undefined) throw new Error(refusal);
  }

  /** Ends the connection; what is not confirmed counts as not sent. */
  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close();
    this.#guard?.[Symbol.dispose]();
    this.#guard = undefined;
  }

  async #open(): Promise<NatsConnection> {
    if (this.#connection !== undefined && !this.#connection.isClosed()) return this.#connection;
    const { url, token, tls } = this.#config;
    if (tls !== undefined || url.startsWith("tls:")) this.#guard ??= guardTls();
    try {
      const connection = await connect({
        servers: url.replace(/^(?:nats|tls):\/\//, ""),
        name: "aa-runtime",
        // The forwarder tries again, with its own waits: what was lost on the way is told at once.
        reconnect: false,
        ignoreClusterUpdates: true,
        timeout: NATS_CONNECT_TIMEOUT_MS,
        ...(token === undefined ? {} : { token }),
        ...(tls === undefined && !url.startsWith("tls:") ? {} : {
          tls: {
            ...(tls?.ca === undefined ? {} : { caFile: tls.ca }),
            ...(tls?.cert === undefined ? {} : { certFile: tls.cert }),
            ...(tls?.key === undefined ? {} : { keyFile: tls.key }),
          },
        }),
      });
      this.#connection = connection;
      void this.#listen(connection);
      return connection;
    } catch (error) {
      throw new Error(`no connection to \`${serverOf(url)}\`: ${reasonOf(error)}`);
    }
  }

  async #listen(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "error") this.#refusal = `the server refused: ${reasonOf(status.error)}`;
    }
  }
}

/** Waits for the round trip, for the end of the connection, or for the signal. */
async function untilFlushed(connection: NatsConnection, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const give_up = () => resolve("given up");
  signal.addEventListener("abort", give_up);
  const ended = connection.closed().then(() => "the connection ended");
  const flushed = connection.flush().then(() => "");
  const outcome = await Promise.race([flushed, ended, promise])
    .finally(() => signal.removeEventListener("abort", give_up));
  flushed.catch(() => {});
  if (outcome !== "") throw new Error(outcome);
}

/**
 * A server that refuses a certificate says so after the handshake, on a socket on which the library
 * does not listen for errors any more: the error would end the whole runtime. It is the
 * connection's end, which is noticed anyway.
 */
function guardTls(): Disposable {
  const guard = (event: ErrorEvent) => {
    const stack = event.error instanceof Error ? event.error.stack ?? "" : "";
    if (stack.includes("ext:deno_node/internal_binding/tls_wrap")) event.preventDefault();
  };
  globalThis.addEventListener("error", guard);
  return { [Symbol.dispose]: () => globalThis.removeEventListener("error", guard) };
}

/** The error's class and message; the library puts no credential into either. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
