import assert from "node:assert/strict";
import { Channel, Code, createClient, GrpcError } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";

type EchoClient = ReturnType<typeof createClient<typeof Echo>>;

async function* requests(count: number) {
  yield await Promise.resolve({ count });
}

/** A call of each kind; the count is what it sends and asks for. */
const KINDS: Readonly<Record<string, (client: EchoClient, count: number) => Promise<unknown>>> = {
  unary: (client, count) => client.unary({ count }),
  expand: (client, count) => Array.fromAsync(client.expand({ count })),
  collect: (client, count) => client.collect(requests(count)),
  converse: (client, count) => Array.fromAsync(client.converse(requests(count))),
};

/** The errors of one call of each kind. */
async function errorsOf(
  client: EchoClient,
  count: number,
): Promise<Record<string, [Code, string]>> {
  const errors: Record<string, [Code, string]> = {};
  for (const [name, call] of Object.entries(KINDS)) {
    const reason = await call(client, count).then(() => undefined, (reason: unknown) => reason);
    assert.ok(reason instanceof GrpcError, `${name} ended with ${reason}`);
    errors[name] = [reason.code, reason.message];
  }
  return errors;
}

/** The same for every kind. */
const everyKind = (code: Code, message: string) =>
  Object.fromEntries(Object.keys(KINDS).map((name) => [name, [code, message]]));

Deno.test("whatever a codec or a message does, a call fails with a GrpcError", async () => {
  const { server, target } = await startServer();
  const channel = new Channel(target);
  const plain = { encode: () => new Uint8Array(0), decode: () => ({} as never) };
  const clientWith = (codec: Partial<typeof plain>) => {
    const codecs = { ...plain, ...codec };
    return createClient(Echo, channel, {
      codecs: { unary: codecs, expand: codecs, collect: codecs, converse: codecs },
    });
  };
  const broken = () => {
    throw new TypeError("broken");
  };
  const refused = () => {
    throw new GrpcError("refused", Code.FAILED_PRECONDITION);
  };
  const encoding = await errorsOf(clientWith({ encode: broken }), 1);
  assert.deepEqual(encoding, everyKind(Code.INTERNAL, "failed to encode request: broken"));
  const own = await errorsOf(clientWith({ encode: refused }), 1);
  assert.deepEqual(own, everyKind(Code.FAILED_PRECONDITION, "refused"));
  // What is sent asks for one answer, where answers are counted.
  for (
    const [decode, code, message] of [
      [broken, Code.INTERNAL, "failed to decode response: broken"],
      [refused, Code.FAILED_PRECONDITION, "refused"],
    ] as const
  ) {
    const errors = await errorsOf(clientWith({ encode: () => Uint8Array.of(0x18, 1), decode }), 1);
    assert.deepEqual(errors, everyKind(code, message));
  }
  // An int32 that is none.
  for (const [code] of Object.values(await errorsOf(createClient(Echo, channel), 2 ** 40))) {
    assert.equal(code, Code.INTERNAL);
  }
  await channel.close();
  await server.shutdown({ grace_ms: 0 });
  assert.equal(server.stats.calls_open, 0);
});

Deno.test("what makes no sense in the options of a call is no failed call", async () => {
  const channel = new Channel("127.0.0.1:1");
  const client = createClient(Echo, channel);
  await assert.rejects(client.unary({}, { timeout_ms: NaN }), RangeError);
  await assert.rejects(Array.fromAsync(client.expand({}, { timeout_ms: NaN })), RangeError);
  await assert.rejects(client.collect(requests(1), { timeout_ms: NaN }), RangeError);
  await channel.close();
});
