/**
 * What one CheckAction costs in its codec: the hand-tuned one beside the generated one
 * (protobuf-es), on a tool call of 501 bytes and the answer to it, in microseconds of one core.
 *
 * Every figure is the best of several interleaved rounds, because the machine is shared and only
 * the best round was alone with its core. A codec whose result differs ends the run.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type CheckActionRequest,
  CheckActionRequestSchema,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "../proto/gen/assembly/policy/v1/policy_pb.ts";
import {
  CHECK_ACTION_CLIENT_CODEC,
  CHECK_ACTION_SERVER_CODEC,
} from "../proto/check_action_codec.ts";

const REQUEST_BYTES = 501;
const CALLS_A_ROUND = 200_000;
const ROUNDS = 9;

/** A registered agent's tool call as an SDK sends it, padded in its arguments to the size. */
function request(): CheckActionRequest {
  const of = (text: string) =>
    create(CheckActionRequestSchema, {
      agentId: {
        orgId: "acme",
        teamId: "platform-ops",
        agentId: "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
      },
      credentialToken: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      traceId: "01HZAB1234567890ABCDEFGHJK",
      spanId: "01HZAB0000000000000001GHJK",
      actionType: 2,
      context: {
        action: {
          case: "toolCall",
          value: {
            toolName: "read_file",
            toolSource: "mcp",
            argsJson: new TextEncoder().encode(
              `{"path":"/workspace/src/main.ts","encoding":"utf-8","limit":4096,"note":"${text}"}`,
            ),
            targetUrl: "https://files.example.internal/api/v1",
          },
        },
      },
    });
  const bare = toBinary(CheckActionRequestSchema, of("")).length;
  for (let padding = REQUEST_BYTES - bare - 8; padding < REQUEST_BYTES - bare; padding++) {
    const padded = of("n".repeat(Math.max(0, padding)));
    if (toBinary(CheckActionRequestSchema, padded).length === REQUEST_BYTES) return padded;
  }
  throw new Error(`no request of ${REQUEST_BYTES} bytes`);
}

function response(): CheckActionResponse {
  return create(CheckActionResponseSchema, {
    decision: 1,
    reason: "allowed by policy",
    policyRule: "tools.read_file.allow",
    decisionLatencyUs: 17n,
    agentIdentityAssurance: 3,
  });
}

interface Contender {
  readonly name: string;
  readonly generated: () => unknown;
  readonly tuned: () => unknown;
}

function contenders(): Contender[] {
  const asked = request();
  const answered = response();
  const asked_bytes = toBinary(CheckActionRequestSchema, asked);
  const answered_bytes = toBinary(CheckActionResponseSchema, answered);
  return [
    {
      name: "server: decode request",
      generated: () => fromBinary(CheckActionRequestSchema, asked_bytes),
      tuned: () => CHECK_ACTION_SERVER_CODEC.decode(asked_bytes),
    },
    {
      name: "server: encode response",
      generated: () => toBinary(CheckActionResponseSchema, answered),
      tuned: () => CHECK_ACTION_SERVER_CODEC.encode(answered),
    },
    {
      name: "client: encode request",
      generated: () => toBinary(CheckActionRequestSchema, asked),
      tuned: () => CHECK_ACTION_CLIENT_CODEC.encode(asked),
    },
    {
      name: "client: decode response",
      generated: () => fromBinary(CheckActionResponseSchema, answered_bytes),
      tuned: () => CHECK_ACTION_CLIENT_CODEC.decode(answered_bytes),
    },
  ];
}

/** Keeps results alive, so that no call is optimised away. */
let sink: unknown;

function round_us(call: () => unknown): number {
  const before_ms = performance.now();
  for (let i = 0; i < CALLS_A_ROUND; i++) sink = call();
  return (performance.now() - before_ms) * 1_000 / CALLS_A_ROUND;
}

for (const { name, generated, tuned } of contenders()) {
  assert.deepEqual(tuned(), generated(), name);
  let generated_us = Infinity;
  let tuned_us = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    generated_us = Math.min(generated_us, round_us(generated));
    tuned_us = Math.min(tuned_us, round_us(tuned));
  }
  console.log(
    `${name.padEnd(26)} generated ${generated_us.toFixed(3)} us   tuned ${tuned_us.toFixed(3)} us` +
      `   ${(generated_us / tuned_us).toFixed(1)}x`,
  );
}
assert.ok(sink !== undefined);
