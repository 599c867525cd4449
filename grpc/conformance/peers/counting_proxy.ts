/**
 * A TCP proxy that counts what passes, to see from outside whether messages travel compressed.
 *
 * @module
 */

/** Bytes in both directions so far. */
export interface Passed {
  to_server_bytes: number;
  to_client_bytes: number;
}

/** Runs `run` with the address of a proxy to `target` (`host:port`); returns what passed. */
export async function countingBytes(
  target: string,
  run: (address: string) => Promise<void>,
): Promise<Passed> {
  const passed: Passed = { to_server_bytes: 0, to_client_bytes: 0 };
  const [hostname = "", port] = target.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const links: Promise<void>[] = [];
    for await (const client of listener) {
      const server = await Deno.connect({ hostname, port: Number(port) });
      links.push(
        relay(client, server, (bytes) => passed.to_server_bytes += bytes),
        relay(server, client, (bytes) => passed.to_client_bytes += bytes),
      );
    }
    await Promise.all(links);
  })();
  try {
    await run(`127.0.0.1:${listener.addr.port}`);
  } finally {
    listener.close();
    await serving;
  }
  return passed;
}

/** Relays one direction until it ends or breaks; either ends the other connection's half too. */
async function relay(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  count: (bytes: number) => void,
): Promise<void> {
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      count(chunk.length);
      controller.enqueue(chunk);
    },
  });
  await from.readable.pipeThrough(counter).pipeTo(to.writable).catch(() => {});
}
