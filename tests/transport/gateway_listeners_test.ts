/**
 * The gateway program on every kind of listener, and against peers that mean harm.
 */
import assert from "node:assert/strict";
import { Channel, type ChannelOptions, createClient, GrpcError } from "../../grpc/mod.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import {
  type GatewayProcess,
  inTemporaryDirectory,
  startGatewayProcess,
} from "../harness/gateway_process.ts";

const POLICY = "tools:\n  read_file: { allow: true }\n  '*': { allow: false }\n";

async function openssl(directory: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command("openssl", {
    args,
    cwd: directory,
    stderr: "piped",
  })
    .output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

/** An authority, a server certificate for localhost, and a client certificate. */
async function makePki(directory: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await openssl(
    directory,
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-subj",
    "/CN=test-ca",
  );
  for (const name of ["server", "client"]) {
    await openssl(
      directory,
      "req",
      ...key.slice(0, 4),
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-nodes",
      "-subj",
      `/CN=${name}`,
    );
    await Deno.writeTextFile(
      `${directory}/${name}.ext`,
      "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
    );
    await openssl(
      directory,
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`,
    );
  }
}

async function ask(target: string, options?: ChannelOptions): Promise<number> {
  const channel = new Channel(target, options);
  try {
    const response = await createClient(PolicyService, channel).checkAction({
      agentId: { agentId: "a" },
      context: { action: { case: "toolCall", value: { toolName: "read_file" } } },
    }, { timeout_ms: 5_000 });
    return response.decision;
  } finally {
    await channel.close();
  }
}

async function withGateway(
  directory: string,
  flags: readonly string[],
  use: (gateway: GatewayProcess) => Promise<void>,
): Promise<void> {
  await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
  const all = ["--policy", "policy.yaml", "--state-dir", "state", ...flags];
  const gateway = await startGatewayProcess(all, directory);
  try {
    await use(gateway);
    assert.equal(await gateway.stop(), 0, gateway.log());
  } finally {
    await gateway.kill().catch(() => {});
  }
}

Deno.test("one gateway answers over TCP and over a Unix socket that only its owner may open", async () => {
  await inTemporaryDirectory(async (directory) => {
    const socket = `${directory}/gateway.sock`;
    await withGateway(
      directory,
      ["--socket", socket, "--listen", "127.0.0.1:0"],
      async (gateway) => {
        assert.equal(await ask(gateway.address), 1);
        assert.equal(await ask(`unix:${socket}`), 1);
        assert.equal(((await Deno.stat(socket)).mode ?? 0) & 0o777, 0o600);
      },
    );
  });
});

Deno.test("trap 58: with a certificate the gateway speaks TLS, and nothing in plaintext", async () => {
  await inTemporaryDirectory(async (directory) => {
    await makePki(directory);
    const ca = await Deno.readTextFile(`${directory}/ca.pem`);
    const flags = [
      "--tls-cert",
      "server.pem",
      "--tls-key",
      "server.key",
      "--listen",
      "127.0.0.1:0",
    ];
    await withGateway(directory, flags, async (gateway) => {
      assert.equal(await ask(gateway.address, { tls: { ca, serverName: "localhost" } }), 1);
      await assert.rejects(ask(gateway.address), GrpcError);
    });
  });
});

Deno.test("with a client authority a caller without its certificate gets no answer", async () => {
  await inTemporaryDirectory(async (directory) => {
    await makePki(directory);
    const [ca, cert, key] = await Promise.all(
      ["ca.pem", "client.pem", "client.key"].map((name) =>
        Deno.readTextFile(`${directory}/${name}`)
      ),
    );
    const flags = [
      ...["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem"],
      ...["--listen", "127.0.0.1:0"],
    ];
    await withGateway(directory, flags, async (gateway) => {
      const tls = { ca: ca ?? "", serverName: "localhost" };
      assert.equal(
        await ask(gateway.address, { tls: { ...tls, cert: cert ?? "", key: key ?? "" } }),
        1,
      );
      await assert.rejects(ask(gateway.address, { tls }), GrpcError);
    });
  });
});

/** A port nobody listens on just now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("two transport workers under their own permissions serve mutual TLS as one gateway does", async () => {
  await inTemporaryDirectory(async (directory) => {
    await makePki(directory);
    const [ca = "", cert = "", key = ""] = await Promise.all(
      ["ca.pem", "client.pem", "client.key"].map((name) =>
        Deno.readTextFile(`${directory}/${name}`)
      ),
    );
    const flags = [
      ...["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem"],
      ...["--listen", `127.0.0.1:${freePort()}`, "--transport-workers", "2"],
      ...["--socket", `${directory}/gateway.sock`],
    ];
    await withGateway(directory, flags, async (gateway) => {
      const tls = { ca, serverName: "localhost" };
      const asked = Array.from(
        { length: 8 },
        () => ask(gateway.address, { tls: { ...tls, cert, key } }),
      );
      assert.deepEqual(await Promise.all(asked), Array(8).fill(1));
      await assert.rejects(ask(gateway.address, { tls }), GrpcError);
      await assert.rejects(ask(gateway.address), GrpcError);
      assert.equal(await ask(`unix:${directory}/gateway.sock`), 1);
    });
  });
});

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length << 8 | type);
  bytes[4] = flags;
  new DataView(bytes.buffer).setUint32(5, stream);
  bytes.set(payload, 9);
  return bytes;
}

const SETTINGS = frame(4, 0, 0, new Uint8Array());
const GOAWAY = frame(7, 0, 0, new Uint8Array(8));

/** Each writes what it likes, as fast as it likes, and hangs up. */
const HOSTILE: Readonly<Record<string, readonly Uint8Array[]>> = {
  "a GOAWAY at once": [PREFACE, SETTINGS, GOAWAY],
  "noise instead of a preface": [crypto.getRandomValues(new Uint8Array(4_096))],
  "noise after the preface": [PREFACE, SETTINGS, crypto.getRandomValues(new Uint8Array(4_096))],
  "a frame of sixteen megabytes": [
    PREFACE,
    SETTINGS,
    frame(0, 0, 1, new Uint8Array()).fill(0xff, 0, 3),
  ],
  "data on streams that do not exist": [
    PREFACE,
    SETTINGS,
    ...Array.from({ length: 200 }, (_, n) => frame(0, 0, 2 * n + 1, new Uint8Array(100))),
  ],
  "a flood of pings": [
    PREFACE,
    SETTINGS,
    ...Array.from({ length: 50_000 }, () => frame(6, 0, 0, new Uint8Array(8))),
  ],
  "a flood of settings": [PREFACE, ...Array.from({ length: 20_000 }, () => SETTINGS)],
  "headers that never end": [
    PREFACE,
    SETTINGS,
    frame(1, 0, 1, new Uint8Array(100)),
    ...Array.from({ length: 10_000 }, () => frame(9, 0, 1, new Uint8Array(100))),
  ],
};

async function attack(address: string, chunks: readonly Uint8Array[]): Promise<void> {
  const [hostname = "", port] = address.split(":");
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const reading = (async () => {
    const buffer = new Uint8Array(65_536);
    while (await connection.read(buffer) !== null);
  })().catch(() => {});
  try {
    for (const chunk of chunks) {
      for (let sent = 0; sent < chunk.length;) sent += await connection.write(chunk.subarray(sent));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  } catch {
    // The gateway hung up first: its right.
  }
  try {
    connection.close();
  } catch {
    // Already closed by the failed write.
  }
  await reading;
}

const TRANSPORTS = [
  ["", []],
  [", through a transport worker", ["--transport-workers", "1"]],
] as const;

for (const [how, transport] of TRANSPORTS) {
  Deno.test(`no peer brings the gateway down${how}: GOAWAY, noise, floods, endless headers, slow readers`, async () => {
    await inTemporaryDirectory(async (directory) => {
      await withGateway(directory, ["--listen", "127.0.0.1:0", ...transport], async (gateway) => {
        for (const [name, chunks] of Object.entries(HOSTILE)) {
          await attack(gateway.address, chunks);
          assert.equal(await ask(gateway.address), 1, name);
        }
        const [hostname = "", port] = gateway.address.split(":");
        const silent = await Promise.all(
          Array.from({ length: 50 }, () => Deno.connect({ hostname, port: Number(port) })),
        );
        assert.equal(await ask(gateway.address), 1, "silent connections take nobody's place");
        for (const connection of silent) connection.close();
      });
    });
  });
}

Deno.test("a caller that cancels or sets a tiny deadline leaves the gateway answering others", async () => {
  await inTemporaryDirectory(async (directory) => {
    await withGateway(directory, ["--listen", "127.0.0.1:0"], async (gateway) => {
      const channel = new Channel(gateway.address);
      const client = createClient(PolicyService, channel);
      const request = {
        context: { action: { case: "toolCall" as const, value: { toolName: "x" } } },
      };
      await Promise.allSettled(Array.from({ length: 200 }, (_, n) => {
        const stop = new AbortController();
        if (n % 2) setTimeout(() => stop.abort(), n % 7);
        return client.checkAction(request, n % 2 ? { signal: stop.signal } : { timeout_ms: 1 });
      }));
      await channel.close();
      assert.equal(await ask(gateway.address), 1);
    });
  });
});
