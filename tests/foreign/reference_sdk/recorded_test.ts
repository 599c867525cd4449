/**
 * Every byte that the reference's native client core writes to a runtime, as it was recorded
 * (`record.py` makes `frames.json`), read and rewritten by our codec.
 */
import assert from "node:assert/strict";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CLIENT_TAG,
  encodeFrame,
  FrameReader,
  publicIdKey,
  signProof,
  verifyProof,
} from "../../../proto/ipc/mod.ts";
import { audit, ipc, policy } from "../../../proto/mod.ts";

interface Recording {
  readonly agent_id: string;
  readonly sdk_version: string;
  readonly nonce_hex: string;
  readonly answers_understood: readonly { readonly decision: string; readonly reason: string }[];
  readonly frames: readonly { readonly tag: number; readonly hex: string }[];
}

const RECORDING: Recording = JSON.parse(
  await Deno.readTextFile(new URL("./frames.json", import.meta.url)),
);
const NONCE = Uint8Array.fromHex(RECORDING.nonce_hex);

function framesOf(tag: number): Uint8Array[] {
  const frames = RECORDING.frames.filter((frame) => frame.tag === tag);
  assert.ok(frames.length > 0, `no frame of tag ${tag} was recorded`);
  return frames.map(({ hex }) => Uint8Array.fromHex(hex));
}

function bodyOf(frame: Uint8Array): Uint8Array {
  const reader = new FrameReader("client");
  reader.push(frame);
  const read = reader.next();
  assert.ok(read !== undefined);
  return read.body;
}

Deno.test("the reference client's stream is cut into its frames wherever the stream is cut", () => {
  const stream = Uint8Array.fromHex(RECORDING.frames.map(({ hex }) => hex).join(""));
  const reader = new FrameReader("client");
  const seen: { tag: number; hex: string }[] = [];
  for (const byte of stream) {
    reader.push(Uint8Array.of(byte));
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      const bytes = frame.tag === CLIENT_TAG.heartbeat
        ? Uint8Array.of(frame.tag)
        : encodeFrame(frame.tag, frame.body);
      seen.push({ tag: frame.tag, hex: bytes.toHex() });
    }
  }
  assert.deepEqual(seen, RECORDING.frames);
});

Deno.test("the reference client's handshake proof is accepted, and is the one that we would write", () => {
  const [frame = new Uint8Array()] = framesOf(CLIENT_TAG.handshake_proof);
  const proof = fromBinary(ipc.HandshakeProofSchema, bodyOf(frame));
  const key = publicIdKey(RECORDING.agent_id);
  assert.ok(verifyProof(proof, NONCE, key.public_key));
  const other = new Uint8Array(NONCE);
  other[0] = 1;
  assert.ok(!verifyProof(proof, other, key.public_key));
  const ours = signProof(key, NONCE, RECORDING.sdk_version);
  assert.deepEqual(
    encodeFrame(CLIENT_TAG.handshake_proof, toBinary(ipc.HandshakeProofSchema, ours)),
    frame,
  );
});

Deno.test("the reference client's queries say which tool and which arguments, byte for byte", () => {
  const tools: string[] = [];
  for (const frame of framesOf(CLIENT_TAG.policy_query)) {
    const request = fromBinary(policy.CheckActionRequestSchema, bodyOf(frame));
    const body = toBinary(policy.CheckActionRequestSchema, request);
    assert.deepEqual(encodeFrame(CLIENT_TAG.policy_query, body), frame);
    const action = request.context?.action;
    assert.ok(action?.case === "toolCall");
    tools.push(
      `${request.agentId?.agentId} ${action.value.toolName} ${
        new TextDecoder().decode(action.value.argsJson)
      }`,
    );
  }
  assert.deepEqual(tools, [
    'agent-1 search {"q":"weather"}',
    'agent-1 rm {"path":"/"}',
    'agent-1 pay {"amount":500}',
    "agent-1 mail ",
  ]);
});

Deno.test("the reference client's reports carry their tag in a label, and a denial as a violation", () => {
  const events = framesOf(CLIENT_TAG.event_report).map((frame) => {
    const event = fromBinary(audit.AuditEventSchema, bodyOf(frame));
    assert.equal(event.agentId, undefined);
    assert.match(event.eventId, /^[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4,}$/);
    return event;
  });
  assert.deepEqual(events.map((event) => event.labels["event_type"]), [
    "ToolCallIntercepted",
    "PolicyViolation",
  ]);
  assert.equal(events[0]?.detail.case, undefined);
  assert.equal(events[1]?.detail.case, "violation");
});

Deno.test("the reference client takes REDACT for an answer of its own, so it must never get one", () => {
  // What it does with it: `agent_assembly` 0.0.1rc7 maps `redact` to `allow` and goes on unredacted.
  assert.deepEqual(RECORDING.answers_understood.map(({ decision }) => decision), [
    "allow",
    "deny",
    "pending",
    "redact",
  ]);
});
