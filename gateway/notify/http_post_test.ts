import assert from "node:assert/strict";
import { post, PostError, type PostPlatform, type PostRequest, SYSTEM_POST } from "./http_post.ts";

const TEST_DATA = new URL("../../grpc/testdata/", import.meta.url);

function requestOf(url: string, change: Partial<PostRequest> = {}): PostRequest {
  return {
    url: new URL(url),
    headers: { "content-type": "application/json" },
    body: '{"a":"é"}',
    allow_private: true,
    signal: AbortSignal.timeout(5_000),
    ...change,
  };
}

async function refusalOf(work: Promise<unknown>): Promise<PostError> {
  const error = await work.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof PostError, String(error));
  return error;
}

/** A server that answers with these bytes, whatever it is sent. */
async function answering(
  answer: string | undefined,
  use: (port: number, received: () => string) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let received = "";
  const serving = (async () => {
    for await (const conn of listener) {
      const chunk = new Uint8Array(65_536);
      const count = await conn.read(chunk).catch(() => null) ?? 0;
      received += new TextDecoder().decode(chunk.subarray(0, count));
      if (answer === undefined) continue;
      await conn.write(new TextEncoder().encode(answer)).catch(() => {});
      conn.close();
    }
  })();
  try {
    await use((listener.addr as Deno.NetAddr).port, () => received);
  } finally {
    listener.close();
    await serving.catch(() => {});
  }
}

Deno.test("a post arrives as HTTP/1.1 with its headers and its exact body", async () => {
  const seen: unknown[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      seen.push([request.method, new URL(request.url).pathname, await request.text()]);
      return new Response("a body nobody reads", { status: 202 });
    },
  );
  try {
    const { port } = server.addr;
    assert.equal(await post(requestOf(`http://127.0.0.1:${port}/hook?x=1`)), 202);
    assert.equal(await post(requestOf(`http://localhost:${port}/hook`)), 202);
    assert.deepEqual(seen[0], ["POST", "/hook", '{"a":"é"}']);
  } finally {
    await server.shutdown();
  }
});

Deno.test("trap 56: no connection is made to an address that is not public, under whatever spelling", async () => {
  let connects = 0;
  const platform: PostPlatform = {
    resolve: SYSTEM_POST.resolve,
    connect: () => {
      connects++;
      return Promise.reject(new Error("connected"));
    },
  };
  const inside = [
    "http://127.0.0.1/",
    "http://localhost/",
    "http://[::1]/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://[::ffff:10.0.0.1]/",
    "http://169.254.169.254/latest/meta-data/",
  ];
  for (const url of inside) {
    const refusal = await refusalOf(post(requestOf(url, { allow_private: false }), platform));
    assert.ok(refusal.final, url);
    assert.match(refusal.message, /not public: say `--allow-private-webhook`/);
  }
  const mixed = { ...platform, resolve: () => Promise.resolve(["93.184.216.34", "10.0.0.1"]) };
  await refusalOf(post(requestOf("http://a.example/", { allow_private: false }), mixed));
  assert.equal(connects, 0);
});

Deno.test("trap 56: a name that changes between look-up and connection is sent nothing", async () => {
  await answering("HTTP/1.1 200 OK\r\n\r\n", async (port, received) => {
    const rebinding: PostPlatform = {
      resolve: () => Promise.resolve(["93.184.216.34"]),
      connect: () => Deno.connect({ hostname: "127.0.0.1", port }),
    };
    const url = `http://hooks.example:${port}/`;
    const refusal = await refusalOf(post(requestOf(url, { allow_private: false }), rebinding));
    assert.match(refusal.message, /not public/);
    assert.equal(received(), "");
  });
});

Deno.test("https: the certificate must be the host's and from a trusted authority", async () => {
  const read = (name: string) => Deno.readTextFileSync(new URL(name, TEST_DATA));
  const server = Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      cert: read("server.pem"),
      key: read("server.key"),
      onListen: () => {},
    },
    () => new Response(null, { status: 204 }),
  );
  try {
    const { port } = server.addr;
    const trusting = { ...SYSTEM_POST, ca_certs: [read("authority.pem")] };
    assert.equal(await post(requestOf(`https://localhost:${port}/`), trusting), 204);
    const unknown = await refusalOf(post(requestOf(`https://localhost:${port}/`)));
    assert.match(unknown.message, /^cannot agree on TLS/);
    const elsewhere = { ...trusting, connect: () => Deno.connect({ hostname: "127.0.0.1", port }) };
    const misnamed = await refusalOf(
      post(requestOf(`https://other.example:${port}/`), {
        ...elsewhere,
        resolve: () => Promise.resolve(["127.0.0.1"]),
      }),
    );
    assert.match(misnamed.message, /^cannot agree on TLS/);
  } finally {
    await server.shutdown();
  }
});

Deno.test("a redirect is an answer, not a way on", async () => {
  await answering("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n", async (port) => {
    assert.equal(await post(requestOf(`http://127.0.0.1:${port}/`)), 302);
  });
});

Deno.test("informational answers are passed over", async () => {
  await answering("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", async (port) => {
    assert.equal(await post(requestOf(`http://127.0.0.1:${port}/`)), 200);
  });
});

Deno.test("noise, an endless head, silence and a closed door end the attempt", async () => {
  const cases: readonly (readonly [string | undefined, RegExp])[] = [
    ["SSH-2.0-OpenSSH\r\n", /not HTTP\/1\.1/],
    ["", /ended without an answer/],
    ["HTTP/1.1 1".repeat(2_000), /head of the answer is too large/],
  ];
  for (const [answer, message] of cases) {
    await answering(answer, async (port) => {
      assert.match(
        (await refusalOf(post(requestOf(`http://127.0.0.1:${port}/`)))).message,
        message,
      );
    });
  }
  await answering(undefined, async (port) => {
    const signal = AbortSignal.timeout(50);
    const late = await refusalOf(post(requestOf(`http://127.0.0.1:${port}/`, { signal })));
    assert.match(late.message, /took too long/);
  });
  const closed = await refusalOf(post(requestOf("http://127.0.0.1:1/secret-path")));
  assert.match(closed.message, /^cannot connect: ConnectionRefused/);
  assert.ok(!closed.final && !closed.message.includes("secret-path"));
});
