/**
 * A server to be attacked from another process: says its port on the first line, its counters and
 * memory on a line each time it is asked by a line of input, and stops when the input ends. It also
 * listens on the Unix socket its argument names.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { startServer } from "./echo_server.ts";

/** What the victim says of itself. */
export interface VictimReport {
  readonly rss_bytes: number;
  readonly connections_open: number;
  readonly calls_held: number;
  readonly buffered_bytes: number;
  readonly pending_bytes: number;
  readonly refused: Readonly<Record<string, number>>;
}

if (import.meta.main) {
  const path = Deno.args[0] ?? "";
  const { server, port } = await startServer({
    bounds: {
      sweep_interval_ms: 20,
      handshake_timeout_ms: 300,
      settings_timeout_ms: 300,
      frame_timeout_ms: 300,
      write_timeout_ms: 400,
      window_stall_timeout_ms: 400,
      request_timeout_ms: 300,
      refused_request_timeout_ms: 300,
      linger_timeout_ms: 50,
      connections: 200,
      connections_per_address: 100,
      server_calls: 2000,
      calls_per_address: 1000,
      min_ping_interval_ms: 1000,
      min_ping_interval_without_calls_ms: 1000,
    },
  }, {
    // What a careless service does: it neither looks at the signal nor ever ends.
    collect: () => new Promise(() => {}),
  });
  await server.listen({ transport: "unix", path });
  console.log(port);
  for await (const _ of Deno.stdin.readable) {
    const { connections_open, calls_held, buffered_bytes, pending_bytes, refused } = server.stats;
    const rss_bytes = Deno.memoryUsage().rss;
    const report: VictimReport = {
      ...{ rss_bytes, connections_open, calls_held, buffered_bytes, pending_bytes },
      refused: refused as Record<string, number>,
    };
    console.log(JSON.stringify(report));
  }
  await server.shutdown({ grace_ms: 0 });
}
