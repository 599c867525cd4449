import assert from "node:assert/strict";
import fc from "fast-check";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as packages from "./mod.ts";
import { agent, audit, common, gateway, policy, topology } from "./mod.ts";

/** Deepest nesting that is decoded; deeper messages are refused. */
const NESTING_MAX = 100;

const encoder = new TextEncoder();

function concat(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** Length-delimited field, for lengths below 2^28. */
function field(number: number, body: Uint8Array | readonly number[]): Uint8Array {
  return concat([(number << 3) | 2], varint(body.length), body);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

function everyMessage(): DescMessage[] {
  const schemas: DescMessage[] = [];
  for (const members of Object.values(packages)) {
    for (const member of Object.values(members)) {
      if (typeof member === "object" && member !== null && "kind" in member) {
        if (member.kind === "message") schemas.push(member as DescMessage);
      }
    }
  }
  return schemas;
}

Deno.test("default values are not written", () => {
  const request = create(policy.CheckActionRequestSchema, {
    traceId: "",
    actionType: common.ActionType.ACTION_UNSPECIFIED,
  });
  assert.equal(toBinary(policy.CheckActionRequestSchema, request).byteLength, 0);
});

Deno.test("optional fields are written even when they hold zero or nothing", () => {
  const request = create(agent.RegisterRequestSchema, { parentAgentId: "", maxChildDepth: 0 });
  const bytes = toBinary(agent.RegisterRequestSchema, request);
  assert.equal(bytes.toHex(), "4a006000");
  const returned = fromBinary(agent.RegisterRequestSchema, bytes);
  assert.equal(returned.parentAgentId, "");
  assert.equal(returned.maxChildDepth, 0);
  assert.equal(returned.delegationReason, undefined);
});

Deno.test("fields are written in ascending order of number, however they were set", () => {
  const timestamp = create(agent.HeartbeatRequestSchema, {
    actionsCount: 1n,
    activeRuns: 2,
    credentialToken: "t",
    agentId: { orgId: "o" },
  });
  assert.equal(
    toBinary(agent.HeartbeatRequestSchema, timestamp).toHex(),
    "0a030a016f1201741802" + "2001",
  );
});

Deno.test("an unknown enum number is kept, not refused and not mapped to a known one", () => {
  const bytes = new Uint8Array([0x08, 99]);
  const response = fromBinary(policy.CheckActionResponseSchema, bytes);
  assert.equal(Number(response.decision), 99);
  assert.equal(toBinary(policy.CheckActionResponseSchema, response).toHex(), bytes.toHex());
});

Deno.test("64-bit integers keep every bit", () => {
  const message = create(policy.OpControlMessageSchema, { sequence: 18_446_744_073_709_551_615n });
  const bytes = toBinary(policy.OpControlMessageSchema, message);
  assert.equal(fromBinary(policy.OpControlMessageSchema, bytes).sequence, 2n ** 64n - 1n);
});

Deno.test("packed and unpacked repeated numbers are both understood", () => {
  const { HelloSchema } = packages.devint;
  const packed = new Uint8Array([0x1a, 2, 1, 2]);
  const unpacked = new Uint8Array([0x18, 1, 0x18, 2]);
  assert.deepEqual(fromBinary(HelloSchema, packed).diApiVersions, [1, 2]);
  assert.deepEqual(fromBinary(HelloSchema, unpacked).diApiVersions, [1, 2]);
  assert.equal(
    toBinary(HelloSchema, create(HelloSchema, { diApiVersions: [1, 2] })).toHex(),
    packed.toHex(),
  );
});

Deno.test("the two Decision enums differ in number and stay apart by package", () => {
  assert.equal(common.Decision.PENDING, gateway.Decision.PENDING);
  assert.equal(common.Decision.ALLOW, 1);
  assert.equal(gateway.Decision.APPROVED, 1);
  assert.equal(gateway.Decision.DENIED, 2);
  assert.notDeepEqual(Object.keys(common.Decision), Object.keys(gateway.Decision));
});

Deno.test("invalid UTF-8 in a string refuses the message, whatever its length", () => {
  for (const length of [0, 1, 31, 32, 33, 500]) {
    const text = concat(new Uint8Array(length).fill(0x61), [0xff]);
    assert.throws(() => fromBinary(common.AgentIdSchema, field(3, text)), TypeError);
    const map_value = field(8, concat(field(1, encoder.encode("k")), field(2, text)));
    assert.throws(() => fromBinary(agent.RegisterRequestSchema, map_value), TypeError);
    assert.throws(() => fromBinary(agent.RegisterRequestSchema, field(6, text)), TypeError);
  }
});

Deno.test("invalid UTF-8 in a bytes field is carried as it is", () => {
  const bytes = field(3, [0xff, 0xfe]);
  assert.equal(fromBinary(policy.ToolCallContextSchema, bytes).argsJson.toHex(), "fffe");
});

Deno.test("a message cut anywhere is refused or is a shorter whole, never a crash", () => {
  const whole = toBinary(
    policy.CheckActionRequestSchema,
    create(policy.CheckActionRequestSchema, {
      agentId: { orgId: "acme", agentId: "a" },
      credentialToken: "token",
      context: {
        action: {
          case: "toolCall",
          value: { toolName: "search", argsJson: encoder.encode('{"q":1}') },
        },
      },
    }),
  );
  let refused = 0;
  for (let length = 0; length < whole.length; length++) {
    try {
      const part = fromBinary(policy.CheckActionRequestSchema, whole.subarray(0, length));
      assert.equal(toBinary(policy.CheckActionRequestSchema, part).byteLength <= length, true);
    } catch (error) {
      assert(error instanceof Error);
      refused++;
    }
  }
  assert(refused > whole.length / 2);
});

Deno.test("a length that promises gigabytes is refused before anything is reserved", () => {
  const promise = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x07];
  assert.throws(() => fromBinary(policy.CheckActionRequestSchema, new Uint8Array(promise)));
  assert.throws(() => fromBinary(common.AgentIdSchema, new Uint8Array(promise)));
});

Deno.test("nesting beyond the bound is refused, nesting within it is not", () => {
  const nest = (depth: number) => {
    let node: Uint8Array = new Uint8Array();
    for (let level = 0; level < depth; level++) node = field(5, node);
    return node;
  };
  fromBinary(audit.CallStackNodeSchema, nest(NESTING_MAX - 1));
  assert.throws(() => fromBinary(audit.CallStackNodeSchema, nest(NESTING_MAX)), /recursion/);
  let tree: Uint8Array = new Uint8Array();
  for (let level = 0; level < 3_000; level++) tree = field(2, tree);
  assert.throws(() => fromBinary(topology.TreeNodeSchema, tree), /recursion/);
  const groups = new Uint8Array(200_000).fill((15 << 3) | 3);
  assert.throws(() => fromBinary(common.AgentIdSchema, groups), /recursion/);
});

Deno.test("random bytes never do worse than a clear error, for any message", () => {
  const schemas = everyMessage();
  assert(schemas.length > 100, `${schemas.length} messages`);
  fc.assert(
    fc.property(
      fc.constantFrom(...schemas),
      fc.uint8Array({ maxLength: 200 }),
      (schema, bytes) => {
        try {
          const message = fromBinary(schema, bytes);
          toBinary(schema, message);
        } catch (error) {
          assert(error instanceof Error && error.message !== "");
        }
      },
    ),
    { numRuns: 5_000 },
  );
});

Deno.test("a valid message with one byte changed never does worse than a clear error", () => {
  const golden = new URL("../tests/vectors/message_serialization/golden/", import.meta.url);
  const bytes = Deno.readFileSync(new URL("check_action_request_tool_call.bin", golden));
  fc.assert(
    fc.property(
      fc.nat(bytes.length - 1),
      fc.integer({ min: 0, max: 255 }),
      (position, value) => {
        const changed = bytes.slice();
        changed[position] = value;
        try {
          fromBinary(policy.CheckActionRequestSchema, changed);
        } catch (error) {
          assert(error instanceof Error && error.message !== "");
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
