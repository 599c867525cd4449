import assert from "node:assert/strict";
import { Channel, type ChannelTls, Code, createClient, GrpcError, GrpcServer } from "./mod.ts";
import type { CallContext, ListenOptions, Peer } from "./mod.ts";
import { Echo } from "./gen/echo_pb.ts";
import { ECHO_HANDLERS } from "./testing/echo_server.ts";

const pem = (name: string) => Deno.readTextFileSync(new URL(`./testdata/${name}`, import.meta.url));
const CA = pem("authority.pem");
const SERVER = { cert: pem("server.pem"), key: pem("server.key") };
const AGENT = { cert: pem("agent.pem"), key: pem("agent.key") };
const STRANGER = { cert: pem("stranger.pem"), key: pem("stranger.key") };

/** A server whose unary method reports its caller. */
async function serve(options: ListenOptions) {
  const peers: Peer[] = [];
  const server = new GrpcServer();
  server.addService(Echo, {
    ...ECHO_HANDLERS,
    unary: (request, context: CallContext) => {
      peers.push(context.peer);
      return request;
    },
  });
  const listener = await server.listen(options);
  return { server, listener, peers };
}

/** Every kind of call once, with messages larger than a frame. */
async function exercise(channel: Channel): Promise<void> {
  const client = createClient(Echo, channel);
  const payload = crypto.getRandomValues(new Uint8Array(60_000));
  assert.deepEqual((await client.unary({ payload })).payload, payload);
  let count = 0;
  for await (const answer of client.expand({ count: 40, payload })) {
    assert.deepEqual(answer.payload, payload);
    count++;
  }
  assert.equal(count, 40);
  async function* requests() {
    for (let index = 0; index < 40; index++) yield await Promise.resolve({ payload });
  }
  assert.equal((await client.collect(requests())).count, 40);
  count = 0;
  for await (const answer of client.converse(requests())) {
    assert.deepEqual(answer.payload, payload);
    count++;
  }
  assert.equal(count, 40);
}

const tls = (more: Partial<ChannelTls> = {}) => ({ tls: { ca: CA, ...more } });

Deno.test("every kind of call works over TCP, and the peer is named", async () => {
  const { server, listener, peers } = await serve({
    transport: "tcp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const channel = new Channel(listener.address);
  await exercise(channel);
  assert.equal(peers[0]?.transport, "tcp");
  assert.match(peers[0]?.address ?? "", /^127\.0\.0\.1:\d+$/);
  assert.equal(peers[0]?.certificate, undefined);
  await channel.close();
  await server.shutdown();
});

Deno.test("two servers share a port with reusePort", async () => {
  const first = await serve({ transport: "tcp", hostname: "127.0.0.1", port: 0, reusePort: true });
  const port = first.listener.port ?? 0;
  const second = await serve({ transport: "tcp", hostname: "127.0.0.1", port, reusePort: true });
  const channel = new Channel(`127.0.0.1:${port}`);
  await exercise(channel);
  assert.equal(first.peers.length + second.peers.length, 1);
  await channel.close();
  await Promise.all([first.server.shutdown(), second.server.shutdown()]);
});

Deno.test("a Unix socket serves its owner only and is removed at the end", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/grpc.sock`;
  const { server, listener, peers } = await serve({ transport: "unix", path });
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  const channel = new Channel(`unix:${path}`);
  await exercise(channel);
  assert.deepEqual(peers[0], { transport: "unix", address: path });
  assert.equal(listener.port, undefined);
  await channel.close();
  await server.shutdown();
  assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a Unix socket is its owner's from the first, whatever the umask", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/grpc.sock`;
  const { chmodSync } = Deno;
  let mode_at_first: number | undefined;
  Deno.chmodSync = (of, mode) => {
    mode_at_first = (Deno.statSync(of).mode ?? 0) & 0o777;
    chmodSync(of, mode);
  };
  const usual = Deno.umask(0);
  try {
    const { server } = await serve({ transport: "unix", path });
    assert.equal(mode_at_first, 0o600);
    assert.equal(Deno.umask(0), 0, "the umask is as it was");
    await server.shutdown();
  } finally {
    Deno.umask(usual);
    Deno.chmodSync = chmodSync;
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a socket file left by a dead server is replaced, a living one is not", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/grpc.sock`;
  // Renaming keeps the file when its listener closes.
  const dead = Deno.listen({ transport: "unix", path: `${path}.dead` });
  await Deno.rename(`${path}.dead`, path);
  dead.close();
  const { server } = await serve({ transport: "unix", path });
  await assert.rejects(serve({ transport: "unix", path }), Deno.errors.AddrInUse);
  const channel = new Channel(`unix://${path}`);
  assert.equal((await createClient(Echo, channel).unary({ text: "x" })).text, "x");
  await channel.close();
  await server.shutdown();
  await Deno.writeTextFile(path, "not a socket");
  await assert.rejects(serve({ transport: "unix", path }), Deno.errors.AddrInUse);
  assert.equal(await Deno.readTextFile(path), "not a socket");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a server that follows another on a socket keeps its file", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/grpc.sock`;
  for (let round = 0; round < 50; round++) {
    const { server } = await serve({ transport: "unix", path });
    await server.shutdown();
    // Nobody removes what comes after a server that has shut down.
    Deno.writeTextFileSync(path, "another's");
    await new Promise((resolve) => setTimeout(resolve, 1));
    Deno.removeSync(path);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("every kind of call works over TLS to a verified server", async () => {
  const { server, listener, peers } = await serve({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    ...SERVER,
  });
  const channel = new Channel(`127.0.0.1:${listener.port}`, tls({ serverName: "localhost" }));
  await exercise(channel);
  assert.equal(peers[0]?.transport, "tls");
  assert.equal(peers[0]?.certificate, undefined);
  await channel.close();
  await server.shutdown();
});

Deno.test("a client refuses a server of another name or another authority", async () => {
  const { server, listener } = await serve({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    ...SERVER,
  });
  const target = `127.0.0.1:${listener.port}`;
  const refusing = [
    new Channel(target, tls({ serverName: "elsewhere.example" })),
    new Channel(target, { tls: { ca: pem("stranger_authority.pem"), serverName: "localhost" } }),
    new Channel(target, { tls: { serverName: "localhost" } }),
    new Channel(target),
  ];
  for (const channel of refusing) {
    await assert.rejects(createClient(Echo, channel).unary({}), { code: Code.UNAVAILABLE });
    await channel.close();
  }
  await server.shutdown();
  assert.equal(server.stats.calls_started, 0);
});

Deno.test("mutual TLS shows the handler a verified identity", async () => {
  const { server, listener, peers } = await serve({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    ...SERVER,
    clientCa: CA,
  });
  const target = `127.0.0.1:${listener.port}`;
  const channel = new Channel(target, tls({ ...AGENT, serverName: "localhost" }));
  await exercise(channel);
  const certificate = peers[0]?.certificate;
  assert.equal(certificate?.subject["CN"], "agent-1");
  assert.equal(certificate?.subject["O"], "Agents");
  assert.deepEqual(certificate?.subject_alternative_names, [
    "DNS:agent-1.local",
    "URI:spiffe://house/agent-1",
  ]);
  const der = Uint8Array.from(
    atob(AGENT.cert.replace(/-----[A-Z ]+-----|\s/g, "")),
    (character) => character.charCodeAt(0),
  );
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  assert.equal(certificate?.fingerprint_sha256, digest.toHex());
  await channel.close();
  await server.shutdown();
});

Deno.test("mutual TLS turns away clients without a certificate of the authority", async () => {
  const { server, listener } = await serve({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    ...SERVER,
    clientCa: CA,
  });
  const target = `127.0.0.1:${listener.port}`;
  const refused = [
    new Channel(target, tls({ serverName: "localhost" })),
    new Channel(target, tls({ ...STRANGER, serverName: "localhost" })),
    new Channel(target),
  ];
  for (const channel of refused) {
    const outcome = createClient(Echo, channel).unary({}, { timeout_ms: 5000 });
    await assert.rejects(outcome, (reason: unknown) => {
      assert.ok(reason instanceof GrpcError);
      return reason.code === Code.UNAVAILABLE;
    });
    await channel.close();
  }
  assert.equal(server.stats.calls_started, 0);
  assert.equal(server.stats.refused.tls_handshake, 3);
  await server.shutdown();
});

Deno.test("a TLS handshake that never ends is let go and counted", async () => {
  for (const clientCa of [{}, { clientCa: CA }]) {
    const server = new GrpcServer({ bounds: { handshake_timeout_ms: 30 } });
    const listen = { transport: "tls", hostname: "127.0.0.1", port: 0, ...SERVER } as const;
    const { port = 0 } = await server.listen({ ...listen, ...clientCa });
    const silent = await Deno.connect({ hostname: "127.0.0.1", port });
    assert.equal(await silent.read(new Uint8Array(1)), null);
    assert.equal(server.stats.refused.handshake_timeout, 1);
    const unwelcome = await Deno.connect({ hostname: "127.0.0.1", port });
    await unwelcome.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    while (await unwelcome.read(new Uint8Array(64)).catch(() => null) !== null);
    assert.equal(server.stats.refused.tls_handshake, 1);
    silent.close();
    unwelcome.close();
    await server.shutdown();
  }
});

Deno.test("a shutdown does not wait for TLS handshakes", async () => {
  const server = new GrpcServer({ bounds: { handshake_timeout_ms: 3000 } });
  const listen = { transport: "tls", hostname: "127.0.0.1", port: 0, ...SERVER } as const;
  const { port = 0 } = await server.listen(listen);
  const silent = await Deno.connect({ hostname: "127.0.0.1", port });
  await new Promise((resolve) => setTimeout(resolve, 1)); // The server has accepted it, or not yet.
  await server.shutdown();
  assert.equal(await silent.read(new Uint8Array(1)).catch(() => null), null);
  assert.equal(server.stats.refused.handshake_timeout, undefined);
  silent.close();
});

Deno.test("an answer of several packets over TLS waits for nobody's acknowledgement", async () => {
  const { server, listener } = await serve({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    ...SERVER,
  });
  const channel = new Channel(`127.0.0.1:${listener.port}`, tls({ serverName: "localhost" }));
  const client = createClient(Echo, channel);
  const payload = new Uint8Array(20_000);
  // The system acknowledges the first packets of a connection at once, later ones after 40 ms.
  for (let call = 0; call < 30; call++) await client.unary({ payload });
  let fastest_ms = Number.POSITIVE_INFINITY;
  for (let call = 0; call < 20; call++) {
    const started_ms = performance.now();
    await client.unary({ payload });
    fastest_ms = Math.min(fastest_ms, performance.now() - started_ms);
  }
  assert.ok(fastest_ms < 30, `the fastest of 20 calls took ${fastest_ms} ms`);
  await channel.close();
  await server.shutdown();
});
