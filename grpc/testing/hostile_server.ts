/**
 * Tests of a client whose server is written by hand.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Channel, type ChannelOptions, createClient, GrpcError } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { RawPeer } from "./raw_peer.ts";

/** A typed client of the echo service. */
export type EchoClient = ReturnType<typeof createClient<typeof Echo>>;

/** A channel, and the hand-written server it connects to. */
export interface Hostile {
  readonly client: EchoClient;
  readonly channel: Channel;
  readonly listener: Deno.TcpListener;
  /** Accepts the channel's next connection. */
  accept(settings?: readonly number[]): Promise<RawPeer>;
}

/** A test that fails when it leaves a timer, a socket or an operation behind. */
export function sealedTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name, fn, sanitizeOps: true, sanitizeResources: true });
}

/** Runs a test with a client whose server is written by hand. */
export function hostileTest(
  name: string,
  run: (test: Hostile) => Promise<void>,
  options: ChannelOptions = {},
): void {
  sealedTest(name, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const channel = new Channel(`127.0.0.1:${listener.addr.port}`, {
      ...options,
      bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20, ...options.bounds },
    });
    const peers: RawPeer[] = [];
    try {
      await run({
        client: createClient(Echo, channel),
        channel,
        listener,
        accept: async (settings) => {
          const peer = await RawPeer.accept(listener, settings);
          peers.push(peer);
          return peer;
        },
      });
    } finally {
      for (const peer of peers) peer.close();
      await channel.close();
      listener.close();
    }
  });
}

/** The error a call ended with. */
export async function errorOf(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call;
  } catch (reason) {
    assert.ok(reason instanceof GrpcError, `not a GrpcError: ${reason}`);
    return reason;
  }
  assert.fail("the call went well");
}

/** Waits until a condition holds; fails after ten seconds. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const end_ms = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < end_ms, `not within ten seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
