import assert from "node:assert/strict";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { canonicalJson } from "../core/approval/canonical_json.ts";
import { approvalSubject } from "./approval_subject.ts";
import { ActionContextSchema } from "./gen/assembly/policy/v1/policy_pb.ts";

type Init = NonNullable<MessageInitShape<typeof ActionContextSchema>["action"]>;

function text(action: Init, tail: readonly number[] = []): string {
  const encoded = toBinary(ActionContextSchema, create(ActionContextSchema, { action }));
  const context = fromBinary(ActionContextSchema, new Uint8Array([...encoded, ...tail]));
  return canonicalJson(approvalSubject(context) ?? {});
}

const utf8 = (value: string) => new TextEncoder().encode(value);

Deno.test("design B3: a command whose words are split otherwise is another command", () => {
  const split = (command: string, ...args: string[]) =>
    text({ case: "processExec", value: { command, args } });
  assert.notEqual(split("rm", "-rf", "/tmp/a b"), split("rm", "-rf", "/tmp/a", "b"));
  assert.notEqual(split("rm -rf", "/"), split("rm", "-rf", "/"));
});

Deno.test("design B3: bytes that are no UTF-8 are bound as bytes, although a reader shows them alike", () => {
  const args = (...argsJson: number[]) =>
    text({ case: "toolCall", value: { toolName: "t", argsJson: new Uint8Array(argsJson) } });
  assert.notEqual(args(0xff), args(0xfe));
  assert.notEqual(args(0xff), args(...utf8("\ufffd")));
  assert.notEqual(args(0xff), args(...utf8("ff")));
  assert.notEqual(args(0xef, 0xbb, 0xbf, 0x31), args(0x31), "a byte order mark is part of it");
});

Deno.test("design B3: what policy does not judge is bound too", () => {
  const base = { toolName: "t", argsJson: utf8("{}") };
  const plain = text({ case: "toolCall", value: base });
  assert.notEqual(text({ case: "toolCall", value: { ...base, targetUrl: "https://x" } }), plain);
  assert.notEqual(text({ case: "toolCall", value: { ...base, toolSource: "mcp" } }), plain);
  assert.notEqual(text({ case: "toolCall", value: base }, [0x9a, 0x06, 0x01, 0x41]), plain);
  assert.notEqual(
    text({ case: "fileOp", value: { operation: "create", path: "/a" } }),
    text({ case: "fileOp", value: { operation: "write", path: "/a" } }),
  );
});

Deno.test("the same action gives the same text, and no action gives none", () => {
  const call: Init = { case: "llmCall", value: { model: "m", promptTokens: 3, containsPii: true } };
  assert.equal(text(call), text(call));
  assert.match(text(call), /^\{"contains_pii":true,"kind":"llmCall","model":"m"/);
  assert.equal(approvalSubject(undefined), undefined);
  assert.equal(approvalSubject(create(ActionContextSchema)), undefined);
});
