import assert from "node:assert/strict";
import { type Bounds, CLIENT_BOUNDS } from "../bounds.ts";
import type { Output } from "./output.ts";
import type { Http2Stream } from "./stream.ts";
import { StreamTable } from "./stream_table.ts";
import { Watchdog, type Watched } from "./watchdog.ts";

/** A connection that does nothing but count, and is as silent as the test wants. */
class Fake implements Watched<Http2Stream> {
  readonly bounds: Bounds = {
    ...CLIENT_BOUNDS,
    keepalive_interval_ms: 100,
    keepalive_timeout_ms: 50,
  };
  readonly phase = "open";
  reads = 0;
  readonly framesRead = 0;
  readonly streamsOpened = 0;
  readonly inFrame = false;
  readonly settingsAcknowledged = true;
  readonly output = { writing: false, progress: 0 } as Output;
  readonly streams = new StreamTable<Http2Stream>();
  mayPing = true;
  pings = 0;
  terminated = false;
  onRefused(): void {}
  violate(): void {}
  ping(): Promise<void> {
    this.pings++;
    return Promise.resolve();
  }
  fail(): void {}
  terminate(): void {
    this.terminated = true;
  }
  closeIdle(): void {}
}

Deno.test("a PING has its whole time, however long the silence before it", () => {
  const connection = new Fake();
  connection.mayPing = false;
  const watchdog = new Watchdog(connection, 0);
  watchdog.sweep(0);
  watchdog.sweep(10_000);
  assert.equal(connection.pings, 0);
  connection.mayPing = true;
  watchdog.sweep(10_001);
  watchdog.sweep(10_002);
  watchdog.sweep(10_050);
  assert.equal(connection.pings, 1);
  assert.equal(connection.terminated, false);
  watchdog.sweep(10_051);
  assert.equal(connection.terminated, true);
});

Deno.test("a peer that answers is asked again after the next silence", () => {
  const connection = new Fake();
  const watchdog = new Watchdog(connection, 0);
  for (let now_ms = 0; now_ms <= 1000; now_ms += 10) {
    const before = connection.pings;
    watchdog.sweep(now_ms);
    if (connection.pings > before) connection.reads++;
  }
  assert.equal(connection.pings, 9);
  assert.equal(connection.terminated, false);
});
