import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { detailOf, ErrorInfoSchema, StatusSchema } from "./error_details.ts";
import {
  Channel,
  type ChannelOptions,
  Code,
  createClient,
  GrpcError,
  type ListenOptions,
  Metadata,
} from "./mod.ts";
import { Echo, EchoMessageSchema } from "./gen/echo_pb.ts";
import { startServer } from "./testing/echo_server.ts";

const path = (name: string) => new URL(name, import.meta.url).pathname;
const pki = (name: string) => path(`./testdata/${name}`);
const pem = (name: string) => Deno.readTextFileSync(pki(name));

/** The first Python that can import grpc, or undefined. */
async function pythonWithGrpc(): Promise<string | undefined> {
  // A name of the package, because a folder called `grpc` in the working directory imports too.
  for (const python of ["python3", "/usr/bin/python3"]) {
    try {
      const { success } = await new Deno.Command(python, {
        args: ["-c", "from grpc import insecure_channel"],
      }).output();
      if (success) return python;
    } catch (reason) {
      if (!(reason instanceof Deno.errors.NotFound)) throw reason;
    }
  }
  return undefined;
}

/** A test that needs Python's grpc: without it, skipped aloud, or failed in CI. */
function foreignTest(name: string, run: (python: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const python = await pythonWithGrpc();
    if (python !== undefined) return await run(python);
    assert.notEqual(Deno.env.get("CI"), "true", "python3 with grpc is required in CI");
    // deno-lint-ignore no-console
    console.log(`SKIPPED: ${name}: no python3 with grpc`);
  });
}

/** What the C client reads in the details of a refusal: `google.rpc.Status`, in hexadecimal. */
const REFUSED_STATUS = toBinary(
  StatusSchema,
  create(StatusSchema, {
    code: Code.FAILED_PRECONDITION,
    message: "not täday 100%",
    details: [detailOf(ErrorInfoSchema, { reason: "WHY" })],
  }),
).toHex();

/** Lets the C client exercise a server; `files` are its authority, certificate and key. */
async function serveForeignClient(
  python: string,
  listen: ListenOptions,
  files: readonly string[],
): Promise<void> {
  let sent_to_paused = 0;
  const { server } = await startServer({}, {
    unary: (request, context) => {
      if (request.text === "sleep") return new Promise(() => {});
      if (request.text === "refuse") {
        const metadata = new Metadata().set("x-reason", "because")
          .setBinary("x-raw-bin", Uint8Array.of(0, 255));
        const details = [detailOf(ErrorInfoSchema, { reason: "WHY" })];
        throw new GrpcError("not täday 100%", Code.FAILED_PRECONDITION, { metadata, details });
      }
      if (request.text === "metadata") {
        context.headers.set("x-long", context.metadata.get("x-long") ?? "");
        context.headers.setBinary(
          "x-raw-bin",
          context.metadata.getBinary("x-raw-bin") ?? new Uint8Array(),
        );
        context.trailers.set("x-trailer", "last");
      }
      return request;
    },
    expand: async function* (request) {
      const forever = request.text === "forever";
      for (let count = 0; forever || count < request.count; count++) {
        if (forever && request.payload.length > 0) sent_to_paused++;
        yield await Promise.resolve(create(EchoMessageSchema, { count, payload: request.payload }));
      }
    },
  });
  const { address } = await server.listen(listen);
  const target = listen.transport === "unix" ? `unix:${address}` : address;
  const { stdout, stderr, success } = await new Deno.Command(python, {
    args: [path("./testing/foreign_client.py"), target, ...files],
  })
    .output();
  await server.shutdown({ grace_ms: 1000 });
  assert.ok(success, new TextDecoder().decode(stderr));
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), {
    unary: true,
    expand: 500,
    collect: true,
    converse: 200,
    large: true,
    too_large: "RESOURCE_EXHAUSTED",
    absent: "UNIMPLEMENTED",
    undecodable: "INTERNAL",
    deadline: "DEADLINE_EXCEEDED",
    refused: ["FAILED_PRECONDITION", "not täday 100%", "because"],
    refused_binary: [0, 255],
    refused_details: REFUSED_STATUS,
    metadata: [6000, true],
    trailer: "last",
    cancelled: "CANCELLED",
    parallel_failures: 0,
    pipelined: 500,
  });
  assert.ok(sent_to_paused < 20_000, `a paused reader was sent ${sent_to_paused} messages`);
  assert.equal(server.stats.connections_open, 0);
  assert.equal(server.stats.buffered_bytes, 0);
}

foreignTest(
  "gRPC's own C client finds nothing wrong with this server over TCP",
  (python) => serveForeignClient(python, { transport: "tcp", hostname: "127.0.0.1", port: 0 }, []),
);

foreignTest(
  "gRPC's own C client finds nothing wrong with this server over a socket",
  async (python) => {
    const folder = await Deno.makeTempDir();
    await serveForeignClient(python, { transport: "unix", path: `${folder}/grpc.sock` }, []);
    await Deno.remove(folder, { recursive: true });
  },
);

const SERVER_TLS = {
  transport: "tls",
  hostname: "127.0.0.1",
  port: 0,
  cert: pem("server.pem"),
  key: pem("server.key"),
} as const;

foreignTest(
  "gRPC's own C client finds nothing wrong with this server over TLS",
  (python) => serveForeignClient(python, SERVER_TLS, [pki("authority.pem")]),
);

foreignTest(
  "gRPC's own C client finds nothing wrong with this server over mutual TLS",
  (python) => {
    const files = [pki("authority.pem"), pki("agent.pem"), pki("agent.key")];
    return serveForeignClient(python, { ...SERVER_TLS, clientCa: pem("authority.pem") }, files);
  },
);

/** Exercises the C server with a client of this module. */
async function callForeignServer(
  python: string,
  files: readonly string[],
  options: ChannelOptions,
): Promise<void> {
  const child = new Deno.Command(python, {
    args: [path("./testing/foreign_server.py"), ...files],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const port = Number(new TextDecoder().decode((await reader.read()).value));
  const channel = new Channel(`127.0.0.1:${port}`, options);
  const client = createClient(Echo, channel);
  const text = "hello";
  const payload = crypto.getRandomValues(new Uint8Array(50_000));
  assert.deepEqual((await client.unary({ text, payload })).payload, payload);
  const large = new Uint8Array(4_000_000).fill(7);
  assert.deepEqual((await client.unary({ payload: large })).payload, large);
  assert.equal((await Array.fromAsync(client.expand({ payload }))).length, 500);
  async function* requests(count: number) {
    for (let sent = 0; sent < count; sent++) yield await Promise.resolve({ text, payload });
  }
  assert.equal((await client.collect(requests(100))).count, 100);
  assert.equal((await Array.fromAsync(client.converse(requests(200)))).length, 200);
  await assert.rejects(client.absent({}), { code: Code.UNIMPLEMENTED });
  await assert.rejects(client.unary({ text: "sleep" }, { timeout_ms: 100 }), {
    code: Code.DEADLINE_EXCEEDED,
  });
  await assert.rejects(client.unary({ text: "refuse" }), (reason: unknown) => {
    assert.ok(reason instanceof GrpcError);
    assert.equal(reason.code, Code.FAILED_PRECONDITION);
    assert.equal(reason.message, "not täday 100%");
    assert.equal(reason.metadata.get("x-reason"), "because");
    assert.deepEqual(reason.metadata.getBinary("x-raw-bin"), Uint8Array.of(0, 255));
    assert.deepEqual(reason.findDetails(ErrorInfoSchema).map(({ reason }) => reason), ["WHY"]);
    return true;
  });
  const raw = Uint8Array.from({ length: 256 }, (_, index) => index);
  let headers = new Metadata();
  let trailers = new Metadata();
  await client.unary({ text: "metadata" }, {
    metadata: new Metadata().set("x-long", "v".repeat(4000)).setBinary("x-raw-bin", raw),
    onHeaders: (metadata) => headers = metadata,
    onTrailers: (metadata) => trailers = metadata,
  });
  assert.equal(headers.get("x-long"), "v".repeat(4000));
  assert.deepEqual(headers.getBinary("x-raw-bin"), raw);
  assert.equal(trailers.get("x-trailer"), "last");
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, count) => client.unary({ count })),
  );
  assert.deepEqual(answers.map(({ count }) => count), Array.from({ length: 500 }, (_, n) => n));
  // The server goes away with GOAWAY while the channel stands.
  await child.stdin.close();
  await reader.cancel();
  await child.status;
  await assert.rejects(client.unary({}), { code: Code.UNAVAILABLE });
  await channel.close();
}

foreignTest(
  "this client finds nothing wrong with gRPC's own C server",
  (python) => callForeignServer(python, [], {}),
);

foreignTest(
  "this client finds nothing wrong with gRPC's own C server over mutual TLS",
  (python) => {
    const files = [pki("server.pem"), pki("server.key"), pki("authority.pem")];
    return callForeignServer(python, files, {
      tls: {
        ca: pem("authority.pem"),
        cert: pem("agent.pem"),
        key: pem("agent.key"),
        serverName: "localhost",
      },
    });
  },
);

/** Passes bytes on to a port and counts them, both directions together. */
function countingProxy(port: number) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const counted = { port: listener.addr.port, bytes: 0, close: () => listener.close() };
  const count = () =>
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (chunk, controller) => {
        counted.bytes += chunk.length;
        controller.enqueue(chunk);
      },
    });
  (async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port });
      const quietly = () => {}; // Either side may end first, in any way.
      near.readable.pipeThrough(count()).pipeTo(far.writable).catch(quietly);
      far.readable.pipeThrough(count()).pipeTo(near.writable).catch(quietly);
    }
  })();
  return counted;
}

foreignTest("gRPC's own C client and this server compress for each other", async (python) => {
  const { server, port } = await startServer({ compression: "gzip" });
  const proxy = countingProxy(port);
  const run = async (target: string) => {
    const args = [path("./testing/foreign_gzip_client.py"), target];
    const { stdout, stderr } = await new Deno.Command(python, { args }).output();
    return JSON.parse(new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr));
  };
  const seen = await run(`127.0.0.1:${proxy.port}`);
  proxy.close();
  await server.shutdown({ grace_ms: 1000 });
  assert.deepEqual(seen, {
    unary: true,
    expand: 3,
    collect: true,
    converse: 3,
    plain: true,
    small: true,
    too_large: "RESOURCE_EXHAUSTED",
    deflate: "UNIMPLEMENTED",
  });
  // Of some 21 MB, only the plain request travels as it is, and one client does not read gzip.
  assert.ok(proxy.bytes < 1_500_000, `${proxy.bytes} bytes travelled`);
  assert.equal(server.stats.buffered_bytes, 0);
});

foreignTest("this client and gRPC's own C server compress for each other", async (python) => {
  const child = new Deno.Command(python, {
    args: [path("./testing/foreign_server.py"), "gzip"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const proxy = countingProxy(Number(new TextDecoder().decode((await reader.read()).value)));
  const channel = new Channel(`127.0.0.1:${proxy.port}`, { compression: "gzip" });
  const client = createClient(Echo, channel);
  const payload = new Uint8Array(200_000).fill(7);
  assert.deepEqual((await client.unary({ payload })).payload, payload);
  assert.equal((await client.unary({ text: "small" })).text, "small");
  assert.equal((await Array.fromAsync(client.expand({ payload }))).length, 500);
  async function* requests() {
    for (let sent = 0; sent < 10; sent++) yield await Promise.resolve({ payload });
  }
  assert.equal((await client.collect(requests())).count, 10);
  assert.equal((await Array.fromAsync(client.converse(requests()))).length, 10);
  await channel.close();
  proxy.close();
  await child.stdin.close();
  await reader.cancel();
  await child.status;
  // Of more than 100 MB.
  assert.ok(proxy.bytes < 1_000_000, `${proxy.bytes} bytes travelled`);
});
