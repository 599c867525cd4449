import assert from "node:assert/strict";
import {
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { agent, common, policy } from "./mod.ts";

const VECTORS = new URL("../tests/vectors/", import.meta.url);

const MESSAGES: Record<string, DescMessage> = Object.fromEntries(
  [
    common.AgentIdSchema,
    common.TimestampSchema,
    policy.CheckActionRequestSchema,
    policy.CheckActionResponseSchema,
    agent.RegisterRequestSchema,
    agent.RegisterResponseSchema,
    agent.HeartbeatRequestSchema,
    agent.HeartbeatResponseSchema,
    agent.DeregisterRequestSchema,
    agent.DeregisterResponseSchema,
  ].flatMap((schema) => [[schema.typeName, schema], [schema.name, schema]]),
);

/** Arms of `ControlCommand.command`, by the suffix that the vectors use. */
const COMMANDS: Record<string, string> = {
  ControlCommand_Kill: "kill",
  ControlCommand_PolicyUpdate: "policy_update",
  ControlCommand_Resume: "resume",
  ControlCommand_Suspend: "suspend",
};

interface MessageVector {
  readonly message_type: string;
  readonly golden_bin?: string;
  readonly fields: JsonObject;
}

function readVectors<T>(folder: string): [name: string, vector: T][] {
  const directory = new URL(`${folder}/`, VECTORS);
  return [...Deno.readDirSync(directory)]
    .filter((entry) => entry.name.endsWith(".json"))
    .map((entry) => [
      entry.name,
      JSON.parse(Deno.readTextFileSync(new URL(entry.name, directory))) as T,
    ]);
}

/** `x_utf8` is text of the bytes field `x`. */
function protoJson(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(protoJson);
  if (value === null || typeof value !== "object") return value;
  const fields: JsonObject = {};
  for (const [key, field] of Object.entries(value)) {
    if (key.endsWith("_utf8") && typeof field === "string") {
      fields[key.slice(0, -"_utf8".length)] = new TextEncoder().encode(field).toBase64();
    } else {
      fields[key] = protoJson(field);
    }
  }
  return fields;
}

function messageOf(vector: MessageVector): { schema: DescMessage; message: Message } {
  const arm = COMMANDS[vector.message_type];
  const schema = arm === undefined ? MESSAGES[vector.message_type] : agent.ControlCommandSchema;
  assert(schema !== undefined, `no message named ${vector.message_type}`);
  const { note, ...spoken } = vector.fields;
  // A field of ResumeCommand, commentary in every other vector.
  const fields = protoJson(arm === "resume" && note !== undefined ? { note } : spoken);
  return { schema, message: fromJson(schema, arm === undefined ? fields : { [arm]: fields }) };
}

for (const [name, vector] of readVectors<MessageVector>("message_serialization")) {
  const golden = Deno.readFileSync(
    new URL(`message_serialization/golden/${vector.golden_bin}`, VECTORS),
  );
  // A two-entry map has no order on the wire, so this one is compared by decoding.
  if (vector.message_type === agent.RegisterRequestSchema.typeName) {
    Deno.test(`${name}: the golden bytes decode to the vector's fields`, () => {
      const { schema, message } = messageOf(vector);
      assert.deepEqual(fromBinary(schema, golden), message);
      assert.equal(toBinary(schema, message).byteLength, golden.byteLength);
    });
  } else {
    Deno.test(`${name}: the vector's fields encode to exactly the golden bytes`, () => {
      const { schema, message } = messageOf(vector);
      assert.equal(toBinary(schema, message).toHex(), golden.toHex());
      assert.deepEqual(fromBinary(schema, golden), message);
    });
  }
}

for (const [name, vector] of readVectors<MessageVector>("session_lifecycle")) {
  Deno.test(`session_lifecycle/${name}: every field survives the wire`, () => {
    const { schema, message } = messageOf(vector);
    const returned = fromBinary(schema, toBinary(schema, message));
    assert.deepEqual(returned, message);
    const arm = COMMANDS[vector.message_type];
    const json = toJson(schema, returned, {
      useProtoFieldName: true,
      alwaysEmitImplicit: true,
    }) as JsonObject;
    const shown = (arm === undefined ? json : json[arm]) as JsonObject;
    for (const [field, value] of Object.entries(vector.fields)) {
      // The JSON mapping writes 64-bit integers as text.
      const expected = typeof value === "number" && typeof shown[field] === "string"
        ? String(value)
        : value;
      assert.deepEqual(shown[field], expected, field);
    }
  });
}

interface QueryVector {
  readonly request: JsonObject;
  readonly response: JsonObject;
}

for (const [name, vector] of readVectors<QueryVector>("policy_query")) {
  Deno.test(`policy_query/${name}: both messages survive the wire and agree with themselves`, () => {
    const request = fromJson(policy.CheckActionRequestSchema, protoJson(vector.request));
    const response = fromJson(policy.CheckActionResponseSchema, protoJson(vector.response));
    assert.deepEqual(
      fromBinary(
        policy.CheckActionRequestSchema,
        toBinary(policy.CheckActionRequestSchema, request),
      ),
      request,
    );
    const returned = fromBinary(
      policy.CheckActionResponseSchema,
      toBinary(policy.CheckActionResponseSchema, response),
    );
    assert.deepEqual(returned, response);
    const { decision } = returned;
    assert.equal(common.Decision[decision], vector.response["decision"]);
    assert.equal(decision === common.Decision.PENDING, returned.approvalId !== "");
    assert.equal(decision === common.Decision.REDACT, (returned.redact?.rules.length ?? 0) > 0);
    assert.notEqual(returned.policyRule, "");
    assert.notEqual(returned.decisionLatencyUs, 0n);
    assert.notEqual(request.context?.action.case, undefined);
  });
}
