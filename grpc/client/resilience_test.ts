import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBlock } from "../hpack/encoder.ts";
import { Channel, type ChannelOptions, Code, createClient, type RetryPolicy } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";
import { errorOf, eventually, hostileTest, sealedTest } from "../testing/hostile_server.ts";
import { Flag, frame, FrameType, RawPeer, uint32 } from "../testing/raw_peer.ts";

const QUICK: ChannelOptions = {
  backoff: { initial_ms: 5, max_ms: 20 },
  bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20 },
};
const RETRY: RetryPolicy = {
  max_attempts: 5,
  initial_backoff_ms: 1,
  max_backoff_ms: 5,
  backoff_multiplier: 2,
  retryable_codes: [Code.UNAVAILABLE],
};
const HEAD = encodeBlock([":status", "200", "content-type", "application/grpc"]);
const after = (wait_ms: number) => new Promise((resolve) => setTimeout(resolve, wait_ms));

hostileTest("a server that resets each connection is UNAVAILABLE", async ({ client, listener }) => {
  const call = errorOf(client.unary({}));
  const conn = await listener.accept();
  // Closing with bytes unread resets.
  await conn.readable.getReader({ mode: "byob" }).read(new Uint8Array(1));
  conn.close();
  assert.equal((await call).code, Code.UNAVAILABLE);
}, QUICK);

hostileTest("a server that ends its direction before SETTINGS is UNAVAILABLE", async (test) => {
  const call = errorOf(test.client.unary({}));
  const conn = await test.listener.accept();
  await conn.closeWrite();
  assert.match((await call).message, /no HTTP\/2 at the other end/);
  conn.close();
}, QUICK);

hostileTest("a server that ends its direction under a call is replaced", async (test) => {
  const lost = errorOf(test.client.unary({}));
  const first = await test.accept();
  await first.request();
  await first.conn.closeWrite();
  assert.equal((await lost).code, Code.UNAVAILABLE);
  const call = test.client.unary({});
  const second = await test.accept();
  await second.send(second.answer(await second.request()));
  await call;
}, QUICK);

hostileTest("a server that dies between headers and trailers costs its call", async (test) => {
  const call = errorOf(test.client.unary({}));
  const reading = errorOf(Array.fromAsync(test.client.expand({})));
  const peer = await test.accept();
  for (const id of [await peer.request(), await peer.request()]) {
    await peer.send(frame(FrameType.HEADERS, Flag.END_HEADERS, id, HEAD));
  }
  await peer.alive();
  peer.close();
  assert.equal((await call).code, Code.UNAVAILABLE);
  assert.equal((await reading).code, Code.UNAVAILABLE);
}, { ...QUICK, retry: { policy: RETRY } });

sealedTest("whatever bytes a server begins with, its calls end and the process lives", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let garbage: Uint8Array = new Uint8Array(0);
  const serving = (async () => {
    for await (const conn of listener) {
      try {
        await conn.write(garbage);
        await conn.closeWrite();
        while (await conn.read(new Uint8Array(4096)) !== null);
      } catch {
        // The client left first.
      }
      conn.close();
    }
  })();
  const target = `127.0.0.1:${listener.addr.port}`;
  const settings = frame(FrameType.SETTINGS, 0, 0);
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 200 }), async (greets, bytes) => {
      garbage = greets ? Uint8Array.from([...settings, ...bytes]) : bytes;
      const channel = new Channel(target, QUICK);
      const error = await errorOf(createClient(Echo, channel).unary({}, { timeout_ms: 10_000 }));
      assert.ok(error.code === Code.UNAVAILABLE || error.code === Code.INTERNAL, `${error}`);
      await channel.close();
    }),
    { numRuns: 60 },
  );
  listener.close();
  await serving;
});

for (const load_balancing of ["pick_first", "round_robin"] as const) {
  sealedTest(
    `GOAWAY on every connection does not make ${load_balancing} dial in a loop`,
    async () => {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const peers: RawPeer[] = [];
      const serving = (async () => {
        for (;;) {
          const peer = await RawPeer.accept(listener);
          peers.push(peer);
          await peer.send(frame(FrameType.GOAWAY, 0, 0, [...uint32(0), ...uint32(0)]));
        }
      })().catch(() => {});
      const channel = new Channel([`127.0.0.1:${listener.addr.port}`], {
        load_balancing,
        backoff: { initial_ms: 100, max_ms: 1000 },
        bounds: { sweep_interval_ms: 5, linger_timeout_ms: 5 },
      });
      const client = createClient(Echo, channel);
      const end_ms = Date.now() + 400;
      let failed = 0;
      while (Date.now() < end_ms) {
        assert.equal((await errorOf(client.unary({}))).code, Code.UNAVAILABLE);
        failed++;
        await after(1);
      }
      assert.ok(failed > 3, `${failed} calls`);
      // Two for free, then after 100 and 160 ms, 20 % less at most.
      assert.ok(peers.length <= 6, `${peers.length} connections`);
      await channel.close();
      listener.close();
      for (const peer of peers) peer.close();
      await serving;
    },
  );
}

/** Open files of this process, asked of another one: the runtime opens `/proc` only to `-A`. */
function openFiles(): number {
  const { code, stdout } = new Deno.Command("ls", { args: [`/proc/${Deno.pid}/fd`] }).outputSync();
  assert.equal(code, 0);
  return new TextDecoder().decode(stdout).trim().split("\n").length;
}

sealedTest("200 lost connections leave no socket, stream or timer behind", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`, {
    ...QUICK,
    keepalive_interval_ms: 1000,
  });
  const client = createClient(Echo, channel);
  let before = 0;
  for (let round = 0; round < 200; round++) {
    const calls = [client.unary({}), client.unary({}, { timeout_ms: 60_000 })];
    const peer = await RawPeer.accept(listener);
    const ids = [await peer.request(), await peer.request()];
    await peer.send(peer.answer(ids[0] ?? 0));
    const [, lost] = calls;
    const ends = round % 3;
    if (ends === 0) peer.close();
    if (ends === 1) {
      await peer.send(
        peer.answer(ids[1] ?? 0),
        frame(FrameType.GOAWAY, 0, 0, [...uint32(3), ...uint32(0)]),
      );
    }
    if (ends === 2) await peer.send(Uint8Array.from([1, 2, 3]), frame(99, 0, 0, [], 2 ** 23));
    const outcomes = await Promise.allSettled(calls);
    assert.equal(outcomes[0]?.status, "fulfilled");
    if (ends === 1) await lost;
    await peer.untilEnded();
    peer.close();
    await eventually("the channel is idle", () => channel.state === "idle");
    if (round === 20) before = openFiles();
  }
  await eventually("every socket is closed", () => openFiles() <= before);
  await channel.close();
  listener.close();
});

sealedTest("200 failed handshakes leave no socket behind", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let accepted = 0;
  const serving = (async () => {
    for await (const conn of listener) {
      accepted++;
      conn.close();
    }
  })();
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`, {
    ...QUICK,
    backoff: { initial_ms: 1, max_ms: 1 },
  });
  const before = openFiles();
  channel.connect();
  await eventually("it was tried 200 times", () => accepted >= 200);
  await channel.close();
  await eventually("every socket is closed", () => openFiles() <= before);
  listener.close();
  await serving;
});

sealedTest("a server that restarts 50 times answers every call that waits for it", async () => {
  let { server, port } = await startServer({
    bounds: { linger_timeout_ms: 5, sweep_interval_ms: 5 },
  });
  const channel = new Channel(`127.0.0.1:${port}`, QUICK);
  const client = createClient(Echo, channel);
  for (let round = 0; round < 50; round++) {
    const call = client.unary({ count: round }, { wait_for_ready: true });
    assert.equal((await call).count, round);
    await server.shutdown();
    const next = await startServer();
    await next.listener.close();
    await next.server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
    server = next.server;
  }
  await channel.close();
  await server.shutdown();
});

interface EchoProcess {
  readonly target: string;
  kill(): Promise<void>;
}

async function spawnEcho(): Promise<EchoProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--allow-net=127.0.0.1",
      new URL("../testing/echo_process.ts", import.meta.url).pathname,
    ],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) text += (await reader.read()).value ?? "";
  return {
    target: `127.0.0.1:${text.trim()}`,
    async kill() {
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
    },
  };
}

/** Calls from many sides while one of two servers is killed; how the calls ended. */
async function killUnderLoad(options: ChannelOptions): Promise<{ ok: number; errors: Error[] }> {
  const [first, second] = await Promise.all([spawnEcho(), spawnEcho()]);
  const channel = new Channel([first.target, second.target], {
    ...options,
    load_balancing: "round_robin",
  });
  const client = createClient(Echo, channel);
  await client.unary({}, { wait_for_ready: true });
  let ok = 0;
  const errors: Error[] = [];
  let stop = false;
  const calling = Array.from({ length: 32 }, async (_, side) => {
    for (let count = 0; !stop; count++) {
      try {
        assert.equal(
          (await client.unary({ count: side * 1000 + count })).count,
          side * 1000 + count,
        );
        ok++;
      } catch (reason) {
        errors.push(reason as Error);
      }
    }
  });
  await eventually("calls go well", () => ok > 500);
  await first.kill();
  const killed_at = ok;
  await eventually("calls go on", () => ok > killed_at + 500);
  stop = true;
  await Promise.all(calling);
  await channel.close();
  await second.kill();
  return { ok, errors };
}

sealedTest("kill -9 of one of two servers costs no call that may be retried", async () => {
  const { errors } = await killUnderLoad({ ...QUICK, retry: { policy: RETRY } });
  assert.deepEqual(errors, []);
});

sealedTest(
  "kill -9 of one of two servers costs, without retries, only what it had begun",
  async () => {
    const { errors } = await killUnderLoad(QUICK);
    assert.ok(errors.length <= 32, `${errors.length} calls failed`);
    for (const error of errors) {
      assert.match(
        error.message,
        /connection broke|closed the connection/,
      );
    }
  },
);
