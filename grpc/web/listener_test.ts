import assert from "node:assert/strict";
import { GrpcServer, serveWeb, type WebListenOptions } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { ECHO_HANDLERS } from "../testing/echo_server.ts";
import { until } from "../testing/web_caller.ts";

const read = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));

function serve(
  options: Partial<WebListenOptions> = {},
  handlers: Parameters<GrpcServer["addService"]>[1] = {},
  linger_timeout_ms = 10_000,
) {
  const server = new GrpcServer({ bounds: { sweep_interval_ms: 5, linger_timeout_ms } });
  server.addService(Echo, { ...ECHO_HANDLERS, ...handlers });
  const listener = serveWeb(server, { hostname: "127.0.0.1", port: 0, ...options });
  return { server, listener, base: `127.0.0.1:${listener.port}/grpc.test.v1.Echo` };
}

const json = { method: "POST", headers: { "content-type": "application/json" } };

for (const http2 of [false, true]) {
  Deno.test(`calls come in over ${http2 ? "HTTP/2" : "HTTP/1.1"}, plain and TLS`, async () => {
    for (const tls of [{}, { cert: read("server.pem"), key: read("server.key") }]) {
      const { server, base } = serve(tls);
      const secure = "cert" in tls;
      const client = Deno.createHttpClient({
        http1: !http2,
        http2,
        caCerts: [read("authority.pem")],
      });
      const url = `${secure ? "https" : "http"}://${base.replace("127.0.0.1", "localhost")}/Unary`;
      const response = await fetch(url, { ...json, body: '{"text":"a"}', client });
      assert.deepEqual(await response.json(), { text: "a" });
      client.close();
      await server.shutdown();
      assert.equal(server.stats.calls_ok, 1);
    }
  });
}

Deno.test("a real caller that hangs up cancels its call", async () => {
  let aborted = false;
  const { server, base } = serve({}, {
    unary: async (request: unknown, context: { signal: AbortSignal }) => {
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      aborted = true;
      return request;
    },
  } as never);
  const gone = new AbortController();
  const answer = fetch(`http://${base}/Unary`, { ...json, body: "{}", signal: gone.signal });
  await until(() => server.stats.calls_open === 1, "the call began");
  gone.abort();
  await assert.rejects(answer);
  await until(() => aborted, "the handler hears of it");
  await server.shutdown();
});

Deno.test("a shutdown closes the listener and the connections that wait for nothing", async () => {
  const { server, base } = serve();
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 1 });
  const first = await fetch(`http://${base}/Unary`, { ...json, body: "{}", client });
  await first.bytes();
  await server.shutdown();
  await assert.rejects(fetch(`http://${base}/Unary`, { ...json, body: "{}", client }));
  client.close();
});

for (const http2 of [false, true]) {
  Deno.test(`calls that end during a shutdown are answered in full over HTTP/${http2 ? 2 : 1}`, async () => {
    const release = Promise.withResolvers<void>();
    const { server, base } = serve({}, {
      unary: async (request: unknown) => {
        await release.promise;
        return request;
      },
    } as never);
    const client = Deno.createHttpClient({ http1: !http2, http2 });
    const body = JSON.stringify({ text: "a".repeat(50_000) });
    const answers = Array.from({ length: 40 }, async () => {
      const response = await fetch(`http://${base}/Unary`, { ...json, body, client });
      return await response.json();
    });
    await until(() => server.stats.calls_open === 40, "the calls began");
    const down = server.shutdown();
    const late = await fetch(`http://${base}/Unary`, { ...json, body: "{}", client });
    assert.deepEqual([late.status, (await late.json()).code], [503, "unavailable"]);
    release.resolve();
    for (const answer of await Promise.all(answers)) assert.equal(answer.text.length, 50_000);
    await down;
    client.close();
  });
}

Deno.test("a shutdown does not wait longer than its grace for a reader that does not read", async () => {
  const { server, listener, base } = serve({}, {
    expand: async function* (request: unknown) {
      for (;;) yield request;
    },
  } as never, 20);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.port ?? 0 });
  const body = new Uint8Array(5 + 40_000);
  new DataView(body.buffer).setUint32(1, 40_000);
  // Field 2 of the message, 39,996 bytes.
  body.set([0x12, 0xbc, 0xb8, 0x02], 5);
  const head = `POST /${base.split("/")[1]}/Expand HTTP/1.1\r\nhost: 127.0.0.1\r\n` +
    `content-type: application/connect+proto\r\ncontent-length: ${body.length}\r\n\r\n`;
  await conn.write(new TextEncoder().encode(head));
  await conn.write(body);
  await until(() => server.stats.calls_open === 1, "the stream began");
  await server.shutdown({ grace_ms: 50 });
  assert.equal(server.stats.calls_open, 0);
  conn.close();
});

Deno.test("closing the listener leaves running calls alone", async () => {
  const release = Promise.withResolvers<void>();
  const { server, listener, base } = serve({}, {
    unary: async (request: unknown) => {
      await release.promise;
      return request;
    },
  } as never);
  const answer = fetch(`http://${base}/Unary`, { ...json, body: '{"text":"a"}' });
  await until(() => server.stats.calls_open === 1, "the call began");
  await listener.close();
  await assert.rejects(fetch(`http://${base}/Unary`, { ...json, body: "{}" }));
  release.resolve();
  assert.deepEqual(await (await answer).json(), { text: "a" });
  await server.shutdown();
});

Deno.test("a certificate without its key is refused", async () => {
  const server = new GrpcServer();
  const options = { hostname: "127.0.0.1", port: 0, cert: read("server.pem") };
  assert.throws(() => serveWeb(server, options), /go together/);
  await server.shutdown();
});
