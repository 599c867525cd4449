/**
 * The hand-tuned codec is held equal to the generated one: on messages, on bytes that stay sound
 * when they are odd, and on bytes that are not sound.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  create,
  type DescMessage,
  equals,
  fromBinary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import {
  type CheckActionRequest,
  CheckActionRequestSchema,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "./gen/assembly/policy/v1/policy_pb.ts";
import { CHECK_ACTION_CLIENT_CODEC, CHECK_ACTION_SERVER_CODEC } from "./check_action_codec.ts";
import { readRequest } from "./check_action/request_reader.ts";
import { writeRequest } from "./check_action/request_writer.ts";
import { readResponse } from "./check_action/response_reader.ts";
import { writeResponse } from "./check_action/response_writer.ts";

type RequestInit = Parameters<typeof CHECK_ACTION_CLIENT_CODEC.encode>[0];

type ResponseInit = MessageInitShape<typeof CheckActionResponseSchema>;

const decodeRequest = (bytes: Uint8Array) => CHECK_ACTION_SERVER_CODEC.decode(bytes);
const decodeResponse = (bytes: Uint8Array) => CHECK_ACTION_CLIENT_CODEC.decode(bytes);

/** What came of an attempt: its result, or the error's text. */
type Outcome<T> = { readonly value: T } | { readonly error: string };

function outcomeOf<T>(attempt: () => T): Outcome<T> {
  try {
    return { value: attempt() };
  } catch (error) {
    assert.ok(error instanceof Error, `thrown: ${error}`);
    return { error: `${error.name}: ${error.message}` };
  }
}

/** Holds one decoder equal to the generated one on some bytes. */
function sameDecoding<D extends DescMessage>(
  schema: D,
  decode: (bytes: Uint8Array) => MessageShape<D>,
  bytes: Uint8Array,
): void {
  const ours = outcomeOf(() => decode(bytes));
  const generated = outcomeOf(() => fromBinary(schema, bytes));
  assert.deepEqual(ours, generated, bytes.toHex());
  if (!("value" in ours) || !("value" in generated)) return;
  assert.ok(isMessage(ours.value, schema));
  assert.ok(equals(schema, ours.value, generated.value));
  assert.deepEqual(toBinary(schema, ours.value), toBinary(schema, generated.value));
  const json = [ours.value, generated.value].map((one) => outcomeOf(() => toJson(schema, one)));
  assert.deepEqual(json[0], json[1]);
}

const TEXT = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("", "\u{feff}bom", "a\0b", "x".repeat(127), "x".repeat(128), "é".repeat(70)),
  fc.constantFrom("x".repeat(5_000), "\ud800 alone", "__proto__"),
);
const INT32 = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 2 ** 21, 2 ** 28 - 1, 2 ** 28, -1),
);
const INT64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 28n - 1n, 2n ** 28n, 2n ** 53n, -1n, 2n ** 63n - 1n, -(2n ** 63n)),
);
const BYTES = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(4_200)));
const UNKNOWN = fc.array(
  fc.record({
    no: fc.integer({ min: 8, max: 2 ** 29 - 1 }),
    wireType: fc.constant(2),
    data: fc.uint8Array({ maxLength: 20 }).map((body) => Uint8Array.of(body.length, ...body)),
  }),
  { minLength: 1, maxLength: 2 },
);

/** Every key present or not, at random. */
function partly<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record<T, never>(model, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
}

const AGENT = partly({ orgId: TEXT, teamId: TEXT, agentId: TEXT });
const TOOL_SIDE = { toolName: TEXT, toolSource: TEXT };
const ACTION = fc.oneof(
  valueOf("llmCall", { model: TEXT, promptTokens: INT32, containsPii: fc.boolean() }),
  valueOf("toolCall", { ...TOOL_SIDE, argsJson: BYTES, targetUrl: TEXT }),
  valueOf("fileOp", { operation: TEXT, path: TEXT, isSensitivePath: fc.boolean() }),
  valueOf("networkCall", { host: TEXT, port: INT32, protocol: TEXT, inAllowlist: fc.boolean() }),
  valueOf("processExec", { command: TEXT, args: fc.array(TEXT, { maxLength: 4 }) }),
  valueOf("toolResult", { ...TOOL_SIDE, resultJson: BYTES, sourceUrl: TEXT }),
  fc.constant({ case: undefined }),
);

function valueOf<T>(name: string, model: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return partly(model).map((value) => ({ case: name, value }));
}

const PLAIN_REQUEST = partly({
  agentId: AGENT,
  credentialToken: TEXT,
  traceId: TEXT,
  spanId: TEXT,
  actionType: INT32,
  context: partly({ action: ACTION }),
  callerAgentId: AGENT,
}).map((init) => init as RequestInit);

const REQUEST: fc.Arbitrary<CheckActionRequest> = fc.tuple(
  PLAIN_REQUEST,
  fc.option(UNKNOWN, { freq: 4 }),
  fc.option(UNKNOWN, { freq: 4 }),
).map(([init, unknown, inner_unknown]) => {
  const request = create(CheckActionRequestSchema, init);
  if (unknown !== null) request.$unknown = unknown;
  const inner = request.context?.action.value ?? request.agentId;
  if (inner_unknown !== null && inner !== undefined) inner.$unknown = inner_unknown;
  return request;
});

const RESPONSE: fc.Arbitrary<CheckActionResponse> = fc.tuple(
  partly({
    decision: INT32,
    reason: TEXT,
    policyRule: TEXT,
    approvalId: TEXT,
    redact: partly({
      rules: fc.array(partly({ fieldPath: TEXT, replacement: TEXT }), { maxLength: 3 }),
    }),
    decisionLatencyUs: INT64,
    agentIdentityAssurance: INT32,
  }),
  fc.option(UNKNOWN, { freq: 4 }),
).map(([init, unknown]) => {
  const response = create(CheckActionResponseSchema, init as ResponseInit);
  if (unknown !== null) response.$unknown = unknown;
  return response;
});

Deno.test("every request is written and read as the generated code does", () => {
  fc.assert(
    fc.property(REQUEST, (request) => {
      const bytes = toBinary(CheckActionRequestSchema, request);
      assert.equal(CHECK_ACTION_CLIENT_CODEC.encode(request).toHex(), bytes.toHex());
      sameDecoding(CheckActionRequestSchema, decodeRequest, bytes);
    }),
    { numRuns: 1_500 },
  );
});

Deno.test("every response is written and read as the generated code does", () => {
  fc.assert(
    fc.property(RESPONSE, (response) => {
      const bytes = toBinary(CheckActionResponseSchema, response);
      assert.equal(CHECK_ACTION_SERVER_CODEC.encode(response).toHex(), bytes.toHex());
      sameDecoding(CheckActionResponseSchema, decodeResponse, bytes);
    }),
    { numRuns: 1_500 },
  );
});

Deno.test("a plain object is written as the message made of it, with messages and without inside", () => {
  fc.assert(
    fc.property(PLAIN_REQUEST, fc.boolean(), (init, made) => {
      const given = made && init.agentId !== undefined
        ? { ...init, agentId: create(CheckActionRequestSchema, init).agentId }
        : init;
      const expected = toBinary(
        CheckActionRequestSchema,
        create(CheckActionRequestSchema, given as RequestInit),
      );
      const written = CHECK_ACTION_CLIENT_CODEC.encode(given as RequestInit);
      assert.equal(written.toHex(), expected.toHex());
    }),
    { numRuns: 1_500 },
  );
});

/** Values of the wrong type, as JavaScript callers give them. */
const MISTYPED: readonly unknown[] = [
  null,
  undefined,
  {},
  { agentId: null },
  { agentId: "agent" },
  { agentId: { $typeName: "assembly.policy.v1.ToolCallContext" } },
  { traceId: 5 },
  { traceId: null },
  { actionType: "2" },
  { actionType: 1.5 },
  { actionType: -0 },
  { actionType: NaN },
  { actionType: 2 ** 31 },
  { context: { action: null } },
  { context: { action: { case: "noSuchCase", value: {} } } },
  { context: { action: { case: "toolCall" } } },
  { context: { action: { case: "toolCall", value: { argsJson: [1, 2] } } } },
  { context: { action: { case: "processExec", value: { args: [5, ""] } } } },
  { context: { action: { case: "processExec", value: { args: "ab" } } } },
  { context: { action: { case: "fileOp", value: { isSensitivePath: 1 } } } },
  { $typeName: "assembly.policy.v1.CheckActionRequest" },
  { $typeName: "assembly.policy.v1.CheckActionRequest", traceId: undefined, agentId: {} },
  { ...create(CheckActionRequestSchema), agentId: { orgId: "plain inside a message" } },
  { ...create(CheckActionRequestSchema), agentId: null },
  {
    ...create(CheckActionRequestSchema),
    agentId: { $typeName: "another.Message", orgId: "", teamId: "", agentId: "a" },
  },
  { $typeName: "another.Message", traceId: "t" },
  { $unknown: [{ no: 99, wireType: 0, data: Uint8Array.of(1) }], traceId: "t" },
];

Deno.test("values of the wrong type are written, or refused, as the generated code does", () => {
  for (const value of MISTYPED) {
    const ours = outcomeOf(() => CHECK_ACTION_CLIENT_CODEC.encode(value as RequestInit).toHex());
    const generated = outcomeOf(() =>
      toBinary(CheckActionRequestSchema, create(CheckActionRequestSchema, value as RequestInit))
        .toHex()
    );
    assert.deepEqual(ours, generated, Deno.inspect(value));
  }
  const whole = create(CheckActionResponseSchema, { reason: "r" });
  const wrong: object[] = [
    { decision: "1" },
    { decision: -1 },
    { decision: 0.5 },
    { decision: -0 },
    { reason: undefined },
    { reason: 7 },
    { decisionLatencyUs: 5 },
    { decisionLatencyUs: "5" },
    { redact: {} },
    { $typeName: "assembly.policy.v1.CheckActionRequest" },
  ];
  for (const fault of wrong) {
    const response = { ...whole, ...fault } as CheckActionResponse;
    assert.deepEqual(
      outcomeOf(() => CHECK_ACTION_SERVER_CODEC.encode(response).toHex()),
      outcomeOf(() => toBinary(CheckActionResponseSchema, response).toHex()),
      Deno.inspect(fault),
    );
  }
});

/** Varints: short, long, overlong, unending. */
const VARINT = fc.oneof(
  fc.nat(127).map((value) => [value]),
  fc.array(fc.integer({ min: 128, max: 255 }), { minLength: 1, maxLength: 12 })
    .chain((head) => fc.nat(127).map((tail) => [...head, tail])),
  fc.array(fc.constant(0x80), { maxLength: 11 }).map((head) => [...head, 0]),
  fc.array(fc.constant(0xff), { minLength: 9, maxLength: 11 }),
);

/** A field's bytes: known and unknown numbers, every wire type, lengths that lie a little. */
const FIELDS: fc.Arbitrary<number[]> = fc.letrec<{ fields: number[]; field: number[] }>((tie) => ({
  fields: fc.array(tie("field"), { maxLength: 5, depthIdentifier: "wire" })
    .map((all) => all.flat()),
  field: fc.oneof(
    { depthIdentifier: "wire", withCrossShrink: true },
    fc.tuple(fc.nat(17), fc.nat(7), VARINT).map(([number, wire, body]) => [
      ...tagOf(number, wire),
      ...body,
    ]),
    fc.tuple(fc.integer({ min: 1, max: 8 }), fc.uint8Array({ maxLength: 12 }))
      .map(([number, body]) => [...tagOf(number, 2), body.length, ...body]),
    fc.tuple(fc.integer({ min: 1, max: 9 }), TEXT.map((text) => new TextEncoder().encode(text)))
      .map(([number, body]) => [...tagOf(number, 2), ...lengthOf(body.length), ...body]),
    fc.tuple(fc.integer({ min: 1, max: 7 }), tie("fields"), fc.constantFrom(0, 0, 0, 0, 1, -1, 9))
      .map(([number, body, lie]) => [
        ...tagOf(number, 2),
        ...lengthOf(Math.max(0, body.length + lie)),
        ...body,
      ]),
    fc.tuple(fc.integer({ min: 1, max: 17 }), tie("fields"), fc.constantFrom(0, 0, 1))
      .map(([number, body, off]) => [...tagOf(number, 3), ...body, ...tagOf(number + off, 4)]),
  ),
})).fields;

function tagOf(number: number, wire_type: number): number[] {
  return lengthOf(number * 8 + wire_type);
}

function lengthOf(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

Deno.test("bytes put together from fields of every kind have the generated decoder's verdict", () => {
  fc.assert(
    fc.property(FIELDS, (fields) => {
      const bytes = Uint8Array.from(fields);
      sameDecoding(CheckActionRequestSchema, decodeRequest, bytes);
      sameDecoding(CheckActionResponseSchema, decodeResponse, bytes);
    }),
    { numRuns: 8_000 },
  );
});

Deno.test("random bytes have the generated decoder's verdict", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      sameDecoding(CheckActionRequestSchema, decodeRequest, bytes);
      sameDecoding(CheckActionResponseSchema, decodeResponse, bytes);
    }),
    { numRuns: 4_000 },
  );
});

Deno.test("messages cut anywhere, with a byte changed, repeated or dropped have its verdict", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        REQUEST.map((one) => toBinary(CheckActionRequestSchema, one)),
        RESPONSE.map((one) => toBinary(CheckActionResponseSchema, one)),
      ),
      fc.nat(),
      fc.nat(255),
      (bytes, at, value) => {
        const position = bytes.length === 0 ? 0 : at % bytes.length;
        const changed = bytes.slice();
        changed[position] = value;
        const variants = [
          bytes.subarray(0, position),
          bytes.subarray(position),
          changed,
          Uint8Array.from([...bytes, ...bytes.subarray(0, position)]),
          Uint8Array.from([...bytes, ...bytes]),
          Uint8Array.from([...bytes.subarray(0, position), ...bytes.subarray(position + 1)]),
        ];
        for (const variant of variants) {
          sameDecoding(CheckActionRequestSchema, decodeRequest, variant);
          sameDecoding(CheckActionResponseSchema, decodeResponse, variant);
        }
      },
    ),
    { numRuns: 700 },
  );
});

const ODD_BYTES: readonly (readonly [what: string, hex: string])[] = [
  ["nothing", ""],
  ["an agent given twice, merged", "0a030a01610a03120162"],
  ["a context given twice, merged", "320712050a03616263" + "3204120212" + "00"],
  ["an action replaced by another kind", "320a" + "12030a0161" + "1a030a0162"],
  ["an action merged with its own kind", "320a" + "12030a0161" + "1203120162"],
  ["an action emptied by a later empty one", "3207" + "12030a0161" + "1a00"],
  ["a string given twice, last wins", "120161" + "120162"],
  ["a negative enum", "28ffffffffffffffffff01"],
  ["an unknown enum number", "28e707"],
  ["an enum of 64 bits, cut to 32", "28ffffffffffffffff7f"],
  ["a latency of 32 bits", "30ffffffff0f"],
  ["a negative length", "128080808008" + "61"],
  ["an overlong enum", "2882808000"],
  ["an overlong length", "1281808080" + "0061"],
  ["an overlong tag", "92000161"],
  ["a tag beyond 32 bits", "928080801f0161"],
  ["field number zero", "020161"],
  ["wire types that are none", "1600"],
  ["a varint without end", "28ffffffffffffffffffffff"],
  ["a string under a varint's wire type", "100161"],
  ["a number under a string's wire type", "2a02"],
  ["a length past the end", "12056162"],
  ["a length of four gigabytes", "12ffffffff0f"],
  ["a nested length past its parent, inside the message", "0a03120561" + "6263646566"],
  ["a nested message that ends inside a field", "0a0212056162636465"],
  ["an unknown varint of any length", "78808080808080808080808080808000"],
  ["an unknown fixed32 and fixed64", "7d01020304" + "790102030405060708"],
  ["an unknown group", "7b08017c"],
  ["an unknown group that another ends", "7b08018401"],
  ["a group's end without a start", "7c"],
  ["a known field as a group", "0b0c"],
  ["invalid UTF-8, short and long", "1201ff"],
  ["invalid UTF-8 in a nested string", "0a031201c3"],
  ["a surrogate in UTF-8", "1203eda080"],
  ["an overlong UTF-8 sequence", "1202c080"],
  ["a byte order mark, which is text", "1204efbbbf61"],
  ["a flag of two", "3204" + "1a02" + "1802"],
  ["a flag of ten bytes", "320d" + "1a0b" + "18ffffffffffffffffff01"],
];

Deno.test("odd and hostile bytes have the generated decoder's verdict", () => {
  for (const [what, hex] of ODD_BYTES) {
    const bytes = Uint8Array.fromHex(hex);
    assert.doesNotThrow(() => {
      sameDecoding(CheckActionRequestSchema, decodeRequest, bytes);
      sameDecoding(CheckActionResponseSchema, decodeResponse, bytes);
    }, what);
  }
  const groups = new Uint8Array(200_000).fill((15 << 3) | 3);
  assert.throws(() => decodeRequest(groups), /recursion/);
});

Deno.test("messages around the longest that is written by hand are whole", () => {
  for (let length = 4_060; length < 4_110; length++) {
    const init: RequestInit = {
      traceId: "t",
      context: { action: { case: "toolCall", value: { argsJson: new Uint8Array(length) } } },
    };
    const expected = toBinary(CheckActionRequestSchema, create(CheckActionRequestSchema, init));
    assert.equal(CHECK_ACTION_CLIENT_CODEC.encode(init).toHex(), expected.toHex());
    const response = create(CheckActionResponseSchema, { decision: 1, reason: "r".repeat(length) });
    const written = CHECK_ACTION_SERVER_CODEC.encode(response);
    assert.equal(written.toHex(), toBinary(CheckActionResponseSchema, response).toHex());
  }
});

Deno.test("64-bit extremes survive in both directions", () => {
  for (const decisionLatencyUs of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -1n, 0n, 1n]) {
    const response = create(CheckActionResponseSchema, { decisionLatencyUs });
    const bytes = CHECK_ACTION_SERVER_CODEC.encode(response);
    assert.equal(decodeResponse(bytes).decisionLatencyUs, decisionLatencyUs);
  }
});

/** The usual exchange, which must not need the generated code. */
const USUAL_ACTIONS: readonly RequestInit[] = [
  { case: "llmCall" as const, value: { model: "m", promptTokens: 4_096, containsPii: true } },
  {
    case: "toolCall" as const,
    value: { toolName: "read_file", argsJson: new TextEncoder().encode(`{"path":"ä"}`) },
  },
  { case: "fileOp" as const, value: { operation: "read", path: "/etc/passwd" } },
  { case: "networkCall" as const, value: { host: "example.org", port: 443, protocol: "https" } },
  { case: "processExec" as const, value: { command: "ls", args: ["-l", "", "/"] } },
  { case: "toolResult" as const, value: { toolName: "t", resultJson: new Uint8Array(200) } },
].map((action) => ({
  agentId: { orgId: "acme", teamId: "ops", agentId: "did:key:z6MkhaXgBZDvotDkL5257faiztiG" },
  credentialToken: "t".repeat(64),
  traceId: "01HZAB1234567890ABCDEF",
  spanId: "01HZAB0000000000000001",
  actionType: 2,
  context: { action },
}));

Deno.test("usual messages never reach the generated code", () => {
  for (const init of USUAL_ACTIONS) {
    const request = create(CheckActionRequestSchema, init);
    const bytes = toBinary(CheckActionRequestSchema, request);
    assert.equal(writeRequest(request)?.toHex(), bytes.toHex());
    assert.equal(writeRequest(init)?.toHex(), bytes.toHex());
    assert.deepEqual(readRequest(bytes), request);
  }
  const verdict = create(CheckActionResponseSchema, {
    decision: 2,
    reason: "tool denied by policy",
    policyRule: "tools.bash",
    decisionLatencyUs: 170n,
    agentIdentityAssurance: 3,
  });
  const bytes = toBinary(CheckActionResponseSchema, verdict);
  assert.equal(writeResponse(verdict)?.toHex(), bytes.toHex());
  assert.deepEqual(readResponse(bytes), verdict);
});

Deno.test("texts beyond ASCII are read without the generated code", () => {
  const request = create(CheckActionRequestSchema, { traceId: "überlänge, 日本語 and \u{1f600}" });
  const bytes = toBinary(CheckActionRequestSchema, request);
  assert.deepEqual(readRequest(bytes), request);
});

Deno.test("what was written stays as it was when the next message is written", () => {
  const first = CHECK_ACTION_CLIENT_CODEC.encode({ traceId: "first" });
  const before = first.toHex();
  CHECK_ACTION_CLIENT_CODEC.encode({ traceId: "other" });
  assert.equal(first.toHex(), before);
  assert.equal(first.buffer.byteLength, first.length, "no memory beyond the message is shared");
});
