import assert from "node:assert/strict";
import {
  type CallCredentials,
  Channel,
  type ChannelOptions,
  Code,
  createClient,
  type CredentialsContext,
  GrpcError,
  GrpcServer,
  Metadata,
} from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { ECHO_HANDLERS } from "../testing/echo_server.ts";
import { type EchoClient, errorOf, eventually, sealedTest } from "../testing/hostile_server.ts";

const pem = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));

const token = (text: string) => new Metadata([["authorization", `Bearer ${text}`]]);

/** Runs a test with a TLS server that tells the tokens it saw. */
async function secureTest(
  options: ChannelOptions,
  run: (client: EchoClient, seen: string[][], refuse: { next: number }) => Promise<void>,
): Promise<void> {
  const seen: string[][] = [];
  const refuse = { next: 0 };
  const server = new GrpcServer();
  server.addService(Echo, {
    ...ECHO_HANDLERS,
    unary: (request, { metadata }) => {
      seen.push(metadata.getAll("authorization"));
      if (refuse.next-- > 0) throw new GrpcError("busy", Code.UNAVAILABLE);
      return request;
    },
  });
  const listener = await server.listen({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    cert: pem("server.pem"),
    key: pem("server.key"),
  });
  const channel = new Channel(`127.0.0.1:${listener.port}`, {
    tls: { ca: pem("authority.pem"), serverName: "localhost" },
    ...options,
  });
  try {
    await run(createClient(Echo, channel), seen, refuse);
  } finally {
    await channel.close();
    await server.shutdown({ grace_ms: 0 });
  }
}

sealedTest(
  "credentials of the channel and of the call travel with every kind of call",
  async () => {
    const asked: CredentialsContext[] = [];
    const credentials: CallCredentials = (context) => {
      asked.push(context);
      return token("channel");
    };
    await secureTest({ credentials }, async (client, seen) => {
      await client.unary({});
      await client.unary({}, { credentials: () => Promise.resolve(token("call")) });
      assert.deepEqual(seen, [["Bearer channel"], ["Bearer channel", "Bearer call"]]);
      await Array.fromAsync(client.expand({ count: 2 }));
      async function* requests() {
        yield await Promise.resolve({});
      }
      assert.equal((await client.collect(requests())).count, 1);
      assert.equal((await Array.fromAsync(client.converse(requests()))).length, 1);
      assert.equal(asked.length, 5);
      const [context] = asked;
      assert.equal(context?.method, "/grpc.test.v1.Echo/Unary");
      assert.match(context?.authority ?? "", /^localhost:\d+$/);
      assert.equal(context?.service_url, `https://${context?.authority}/grpc.test.v1.Echo`);
    });
  },
);

sealedTest("a token's audience leaves out the port of TLS", async () => {
  let url = "";
  const credentials: CallCredentials = ({ service_url }) => {
    url = service_url;
    return token("x");
  };
  await secureTest({ credentials, authority: "api.example:443" }, async (client) => {
    await client.unary({});
    assert.equal(url, "https://api.example/grpc.test.v1.Echo");
  });
});

sealedTest("each attempt asks for credentials anew", async () => {
  let asked = 0;
  await secureTest({
    credentials: () => Promise.resolve(token(`${++asked}`)),
    retry: {
      policy: {
        max_attempts: 3,
        initial_backoff_ms: 1,
        max_backoff_ms: 1,
        backoff_multiplier: 1,
        retryable_codes: [Code.UNAVAILABLE],
      },
    },
  }, async (client, seen, refuse) => {
    refuse.next = 2;
    await client.unary({});
    assert.deepEqual(seen.flat(), ["Bearer 1", "Bearer 2", "Bearer 3"]);
  });
});

const SECRET = "hunter2";
const FAILURES: readonly (readonly [string, () => unknown, Code, RegExp])[] = [
  [
    "throw",
    () => {
      throw new Error(SECRET);
    },
    Code.UNAUTHENTICATED,
    /^the credentials of the call failed$/,
  ],
  [
    "reject",
    () => Promise.reject(new Error(SECRET)),
    Code.UNAUTHENTICATED,
    /^the credentials of the call failed$/,
  ],
  [
    "reject with a code of their own",
    () => Promise.reject(new GrpcError("no token service", Code.UNAVAILABLE)),
    Code.UNAVAILABLE,
    /no token service/,
  ],
  [
    "reject with a code that is a server's",
    () => Promise.reject(new GrpcError(SECRET, Code.NOT_FOUND)),
    Code.INTERNAL,
    /^the credentials of the call failed with NOT_FOUND$/,
  ],
  ["give no metadata", () => ({ authorization: SECRET }), Code.UNAUTHENTICATED, /failed$/],
  ["give nothing", () => Promise.resolve(undefined), Code.UNAUTHENTICATED, /failed$/],
];
for (const [what, give, code, message] of FAILURES) {
  sealedTest(`credentials that ${what} end the call before it is sent`, async () => {
    await secureTest({ credentials: give as CallCredentials }, async (client, seen) => {
      const error = await errorOf(client.unary({}));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.ok(!`${error}`.includes(SECRET));
      assert.equal(seen.length, 0);
    });
  });
}

sealedTest("a call that ends tells the credentials that are still asked", async () => {
  let asked = 0;
  let aborted = 0;
  const credentials: CallCredentials = ({ signal }) => {
    asked++;
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted++;
        reject(signal.reason);
      });
    });
  };
  let closed: Promise<GrpcError> | undefined;
  await secureTest({ credentials }, async (client) => {
    const late = await errorOf(client.unary({}, { timeout_ms: 100 }));
    assert.equal(late.code, Code.DEADLINE_EXCEEDED);
    assert.equal(aborted, 1);
    closed = errorOf(client.unary({}));
    await eventually("the second is asked", () => asked === 2);
  });
  assert.equal((await closed)?.code, Code.CANCELLED);
  assert.equal(aborted, 2);
});

sealedTest("credentials do not travel in plain text unless allowed by name", async () => {
  const credentials = () => token("x");
  assert.throws(() => new Channel("127.0.0.1:1", { credentials }), /allow_plaintext_credentials/);
  const seen: string[] = [];
  const server = new GrpcServer();
  server.addService(Echo, {
    unary: (request, { metadata }) => {
      seen.push(...metadata.getAll("authorization"));
      return request;
    },
  });
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const strict = new Channel(listener.address);
  const error = await errorOf(createClient(Echo, strict).unary({}, { credentials }));
  assert.equal(error.code, Code.UNAUTHENTICATED);
  assert.match(error.message, /plain text/);
  assert.deepEqual(seen, []);
  const lax = new Channel(listener.address, { allow_plaintext_credentials: true });
  await createClient(Echo, lax).unary({}, { credentials });
  assert.deepEqual(seen, ["Bearer x"]);
  await strict.close();
  await lax.close();
  await server.shutdown();
});

sealedTest("credentials larger than the server takes end the call", async () => {
  await secureTest({ credentials: () => token("x".repeat(20_000)) }, async (client, seen) => {
    assert.equal((await errorOf(client.unary({}))).code, Code.RESOURCE_EXHAUSTED);
    assert.equal(seen.length, 0);
  });
});
