/**
 * Lends this module's client to h2specd, which starts a program for each of its cases: the program
 * (`client.sh`) only says where to call, the call is made here.
 *
 * @module
 */

import { Echo } from "../../gen/echo_pb.ts";
import { Channel, type ChannelTls, createClient } from "../../mod.ts";

/** h2specd gives up three seconds after it started a case's program: call and wait have half each. */
const CALL_TIMEOUT_MS = 1250;

/** Makes the calls h2specd asks for until it is closed. */
export class ClientBridge {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #tls: ChannelTls;

  /** @param tls for cases whose address says https */
  constructor(tls: ChannelTls) {
    this.#tls = tls;
    this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  close(): void {
    this.#listener.close();
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) this.#answer(conn);
  }

  async #answer(conn: Deno.Conn): Promise<void> {
    try {
      const line = new Uint8Array(1000);
      const count = await conn.read(line);
      await this.#call(new URL(new TextDecoder().decode(line.subarray(0, count ?? 0)).trim()));
      await conn.write(new TextEncoder().encode("done\n"));
    } finally {
      conn.close();
    }
  }

  /**
   * One call on one connection; how it ends is the case's matter. The connection stays until the
   * case has ended it, for a case may go on after the call.
   */
  async #call(address: URL): Promise<void> {
    const { port, ended } = relayOnce(Number(address.port));
    const options = address.protocol === "https:" ? { tls: this.#tls } : {};
    const channel = new Channel(`127.0.0.1:${port}`, options);
    const call = createClient(Echo, channel).unary({}, { timeout_ms: CALL_TIMEOUT_MS });
    await Promise.allSettled([call]);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise((resolve) => timer = setTimeout(resolve, CALL_TIMEOUT_MS));
    await Promise.race([ended, patience]);
    clearTimeout(timer);
    await channel.close();
  }
}

/**
 * Lets exactly one connection through. Each case ends with a GOAWAY that begins no stream: a client
 * may then connect and call again, and h2specd would take that for another run of the case.
 */
function relayOnce(target_port: number): { port: number; ended: Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ended = (async () => {
    const near = await listener.accept();
    listener.close();
    const far = await Deno.connect({ hostname: "127.0.0.1", port: target_port });
    await Promise.allSettled([
      near.readable.pipeTo(far.writable),
      far.readable.pipeTo(near.writable),
    ]);
  })();
  return { port: listener.addr.port, ended };
}
