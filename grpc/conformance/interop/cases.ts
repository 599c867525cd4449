/**
 * The client's half of the interoperability tests (grpc/grpc, doc/interop-test-descriptions.md,
 * "Client"), by the names given there.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Channel,
  type Client,
  Code,
  type Compression,
  createClient,
  GrpcError,
  Metadata,
} from "../../mod.ts";
import { OpenRcaService, OrcaLoadReportSchema } from "./gen/orca_pb.ts";
import type {
  SimpleRequestSchema,
  StreamingInputCallRequestSchema,
  StreamingOutputCallRequestSchema,
} from "./gen/grpc/testing/messages_pb.ts";
import { TestService, UnimplementedService } from "./gen/grpc/testing/test_pb.ts";

/** What a case works with. */
export interface CaseWorld {
  readonly channel: Channel;
  readonly client: Client<typeof TestService>;
  /** A channel of the case's own to the same server. */
  newChannel(): Channel;
  readonly soak_iterations: number;
}

type StreamedRequest = MessageInitShape<typeof StreamingOutputCallRequestSchema>;

const REQUEST_SIZES = [27_182, 8, 1828, 45_904];
const RESPONSE_SIZES = [31_415, 9, 2653, 58_979];
const LARGE_REQUEST: MessageInitShape<typeof SimpleRequestSchema> = {
  responseSize: 314_159,
  payload: { body: new Uint8Array(271_828) },
};
/** An iteration of a soak that takes longer has failed. */
const SOAK_LATENCY_MS_MAX = 1000;

/** The cases by name. */
export const CASES: Readonly<Record<string, (world: CaseWorld) => Promise<void>>> = {
  empty_unary: async ({ client }) => void await client.emptyCall({}),
  large_unary: ({ client }) => largeUnary(client),
  client_streaming: async ({ client }) => {
    const { aggregatedPayloadSize } = await client.streamingInputCall(payloads(REQUEST_SIZES));
    assert.equal(aggregatedPayloadSize, 74_922);
  },
  server_streaming: async ({ client }) => {
    const request = { responseParameters: RESPONSE_SIZES.map((size) => ({ size })) };
    const sizes: (number | undefined)[] = [];
    for await (const { payload } of client.streamingOutputCall(request)) {
      sizes.push(payload?.body.length);
    }
    assert.deepEqual(sizes, RESPONSE_SIZES);
  },
  ping_pong: pingPong,
  empty_stream: async ({ client }) => {
    const responses = await Array.fromAsync(client.fullDuplexCall(requestsOf([])));
    assert.equal(responses.length, 0);
  },
  cancel_after_begin: cancelAfterBegin,
  cancel_after_first_response: cancelAfterFirstResponse,
  timeout_on_sleeping_server: async ({ client }) => {
    const requests = new Requests();
    requests.send({ payload: { body: new Uint8Array(27_182) } });
    const call = client.fullDuplexCall(requests, { timeout_ms: 1 });
    await rejectsWith(Code.DEADLINE_EXCEEDED, Array.fromAsync(call));
  },
  custom_metadata: customMetadata,
  status_code_and_message: ({ client }) => echoStatus(client, "test status message"),
  special_status_message: async ({ client }) => {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    const call = client.unaryCall({ responseStatus: { code: Code.UNKNOWN, message } });
    assert.equal((await rejectsWith(Code.UNKNOWN, call)).message, message);
  },
  unimplemented_method: async ({ client }) =>
    void await rejectsWith(Code.UNIMPLEMENTED, client.unimplementedCall({})),
  unimplemented_service: async ({ channel }) => {
    const call = createClient(UnimplementedService, channel).unimplementedCall({});
    await rejectsWith(Code.UNIMPLEMENTED, call);
  },
  pick_first_unary: async ({ client }) => {
    const seen = new Set<string>();
    for (let round = 0; round < 100; round++) {
      seen.add((await client.unaryCall({ fillServerId: true })).serverId);
    }
    assert.equal(seen.size, 1);
    assert.ok(!seen.has(""), "the server says no id");
  },
  rpc_soak: async ({ client, soak_iterations }) => {
    for (let round = 0; round < soak_iterations; round++) await soakOnce(client);
  },
  channel_soak: async ({ newChannel, soak_iterations }) => {
    for (let round = 0; round < soak_iterations; round++) {
      const channel = newChannel();
      await soakOnce(createClient(TestService, channel));
      await channel.close();
    }
  },
  orca_per_rpc: loadReportPerCall,
  orca_oob: loadReportOutOfBand,
};

/**
 * Cases of servers that compress when they are asked to. Whether a message travelled compressed
 * neither a caller nor a handler of this module sees: other clients look.
 */
export const COMPRESSION_CASES: typeof CASES = {
  client_compressed_unary_noprobe: async ({ client }) => {
    for (const value of [true, false]) {
      const compression: Compression = value ? "gzip" : "identity";
      const request = { ...LARGE_REQUEST, expectCompressed: { value } };
      const { payload } = await client.unaryCall(request, { compression });
      assert.equal(payload?.body.length, 314_159);
    }
  },
  server_compressed_unary: async ({ client }) => {
    for (const value of [true, false]) {
      const call = client.unaryCall({ ...LARGE_REQUEST, responseCompressed: { value } });
      assert.equal((await call).payload?.body.length, 314_159);
    }
  },
  server_compressed_streaming: async ({ client }) => {
    const responseParameters = [
      { size: 31_415, compressed: { value: true } },
      { size: 92_653, compressed: { value: false } },
    ];
    const responses = await Array.fromAsync(client.streamingOutputCall({ responseParameters }));
    assert.deepEqual(responses.map(({ payload }) => payload?.body.length), [31_415, 92_653]);
  },
};

/** Requests that a case sends one by one. */
class Requests<T = StreamedRequest> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  send(request: T): void {
    this.#waiting.push(request);
    this.#wake?.();
  }

  /** No further request comes: the call half-closes. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

async function* requestsOf<T>(requests: readonly T[]): AsyncGenerator<T> {
  for (const request of requests) yield await Promise.resolve(request);
}

function payloads(
  sizes: readonly number[],
): AsyncGenerator<MessageInitShape<typeof StreamingInputCallRequestSchema>> {
  return requestsOf(sizes.map((size) => ({ payload: { body: new Uint8Array(size) } })));
}

/** The error of a call that has to fail with a code. */
async function rejectsWith(code: Code, call: Promise<unknown>): Promise<GrpcError> {
  const [outcome] = await Promise.allSettled([call]);
  assert.ok(outcome?.status === "rejected", "the call went well");
  assert.ok(outcome.reason instanceof GrpcError, String(outcome.reason));
  assert.equal(outcome.reason.code, code, outcome.reason.message);
  return outcome.reason;
}

async function largeUnary(
  client: Client<typeof TestService>,
  options: CallOptions = {},
): Promise<void> {
  const { payload } = await client.unaryCall(LARGE_REQUEST, options);
  assert.equal(payload?.body.length, 314_159);
  assert.ok(payload.body.every((byte) => byte === 0));
}

async function pingPong({ client }: CaseWorld): Promise<void> {
  const requests = new Requests();
  const responses = client.fullDuplexCall(requests)[Symbol.asyncIterator]();
  for (const [round, size] of RESPONSE_SIZES.entries()) {
    requests.send({
      responseParameters: [{ size }],
      payload: { body: new Uint8Array(REQUEST_SIZES[round] ?? 0) },
    });
    const { done, value } = await responses.next();
    assert.equal(done, false);
    assert.equal(value?.payload?.body.length, size);
  }
  requests.end();
  assert.equal((await responses.next()).done, true);
}

async function cancelAfterBegin({ client }: CaseWorld): Promise<void> {
  // The channel is connected, so that the call's headers are on their way before the cancel.
  await client.emptyCall({});
  const abort = new AbortController();
  const requests = new Requests<MessageInitShape<typeof StreamingInputCallRequestSchema>>();
  const call = client.streamingInputCall(requests, { signal: abort.signal });
  abort.abort();
  await rejectsWith(Code.CANCELLED, call);
  requests.end();
}

async function cancelAfterFirstResponse({ client }: CaseWorld): Promise<void> {
  const abort = new AbortController();
  const requests = new Requests();
  const responses = client.fullDuplexCall(requests, { signal: abort.signal })[
    Symbol.asyncIterator
  ]();
  requests.send({
    responseParameters: [{ size: 31_415 }],
    payload: { body: new Uint8Array(27_182) },
  });
  assert.equal((await responses.next()).done, false);
  abort.abort();
  await rejectsWith(Code.CANCELLED, responses.next());
  requests.end();
}

async function customMetadata({ client }: CaseWorld): Promise<void> {
  const trailing = Uint8Array.of(0xab, 0xab, 0xab);
  let headers = new Metadata();
  let trailers = new Metadata();
  const options: CallOptions = {
    metadata: new Metadata().set("x-grpc-test-echo-initial", "test_initial_metadata_value")
      .setBinary("x-grpc-test-echo-trailing-bin", trailing),
    onHeaders: (metadata) => headers = metadata,
    onTrailers: (metadata) => trailers = metadata,
  };
  const check = () => {
    assert.equal(headers.get("x-grpc-test-echo-initial"), "test_initial_metadata_value");
    assert.deepEqual(trailers.getBinary("x-grpc-test-echo-trailing-bin"), trailing);
    headers = new Metadata();
    trailers = new Metadata();
  };
  await largeUnary(client, options);
  check();
  const requests = requestsOf([{
    responseParameters: [{ size: 314_159 }],
    payload: { body: new Uint8Array(271_828) },
  }]);
  const [response] = await Array.fromAsync(client.fullDuplexCall(requests, options));
  assert.equal(response?.payload?.body.length, 314_159);
  check();
}

async function echoStatus(client: Client<typeof TestService>, message: string): Promise<void> {
  const responseStatus = { code: Code.UNKNOWN, message };
  const unary = await rejectsWith(Code.UNKNOWN, client.unaryCall({ responseStatus }));
  assert.equal(unary.message, message);
  const streamed = client.fullDuplexCall(requestsOf([{ responseStatus }]));
  assert.equal((await rejectsWith(Code.UNKNOWN, Array.fromAsync(streamed))).message, message);
}

async function soakOnce(client: Client<typeof TestService>): Promise<void> {
  const started_ms = performance.now();
  await largeUnary(client);
  const took_ms = performance.now() - started_ms;
  assert.ok(took_ms <= SOAK_LATENCY_MS_MAX, `an iteration took ${took_ms} ms`);
}

async function loadReportPerCall({ client }: CaseWorld): Promise<void> {
  let trailers = new Metadata();
  await client.unaryCall({
    orcaPerQueryReport: {
      cpuUtilization: 0.821,
      memoryUtilization: 0.5847,
      requestCost: { cost: 3456.32 },
      utilization: { util: 0.30499 },
    },
  }, { onTrailers: (metadata) => trailers = metadata });
  const bytes = trailers.getBinary("endpoint-load-metrics-bin");
  assert.ok(bytes !== undefined, "no load report in the trailers");
  const report = fromBinary(OrcaLoadReportSchema, bytes);
  assert.equal(report.cpuUtilization, 0.821);
  assert.equal(report.memUtilization, 0.5847);
  assert.deepEqual(report.requestCost, { cost: 3456.32 });
  assert.deepEqual(report.utilization, { util: 0.30499 });
}

async function loadReportOutOfBand({ client, channel }: CaseWorld): Promise<void> {
  const requests = new Requests();
  const responses = client.fullDuplexCall(requests)[Symbol.asyncIterator]();
  for (const cpuUtilization of [0.821, 0.29309]) {
    requests.send({
      orcaOobReport: { cpuUtilization, utilization: { util: 0.30499 } },
      responseParameters: [{ size: 1 }],
    });
    assert.equal((await responses.next()).done, false);
    // The first report of a stream tells how things stand now.
    for await (const report of createClient(OpenRcaService, channel).streamCoreMetrics({})) {
      assert.equal(report.cpuUtilization, cpuUtilization);
      assert.deepEqual(report.utilization, { util: 0.30499 });
      break;
    }
  }
  requests.end();
  assert.equal((await responses.next()).done, true);
}
