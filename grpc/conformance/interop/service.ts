/**
 * The server's half of the interoperability tests (grpc/grpc, doc/interop-test-descriptions.md,
 * "Server"): every feature named there but those that need Google's token servers.
 *
 * @module
 */

import { create, toBinary } from "@bufbuild/protobuf";
import {
  type CallContext,
  Code,
  GrpcError,
  type GrpcServer,
  type ServiceHandlers,
} from "../../mod.ts";
import { OpenRcaService, type OrcaLoadReport, OrcaLoadReportSchema } from "./gen/orca_pb.ts";
import {
  type EchoStatus,
  type Payload,
  PayloadSchema,
  PayloadType,
  SimpleResponseSchema,
  StreamingInputCallResponseSchema,
  type StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
  StreamingOutputCallResponseSchema,
  type TestOrcaReport,
} from "./gen/grpc/testing/messages_pb.ts";
import { TestService } from "./gen/grpc/testing/test_pb.ts";

const ECHO_INITIAL = "x-grpc-test-echo-initial";
const ECHO_TRAILING = "x-grpc-test-echo-trailing-bin";
const LOAD_METRICS = "endpoint-load-metrics-bin";
/** A larger payload could not be sent anyway: a request must not make the server allocate it. */
const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;
const REPORT_INTERVAL_MS_MIN = 100;
const REPORT_INTERVAL_MS_DEFAULT = 1000;

/** Adds TestService and the load report service; UnimplementedService stays away, as it should. */
export function addTestServices(server: GrpcServer): void {
  const load = new LoadReports();
  server.addService(TestService, testHandlers(load));
  server.addService(OpenRcaService, {
    streamCoreMetrics: (request, { signal }) => {
      const asked_ms = Number(request.reportInterval?.seconds ?? 0n) * 1000 +
        (request.reportInterval?.nanos ?? 0) / 1e6;
      return load.watch(asked_ms === 0 ? REPORT_INTERVAL_MS_DEFAULT : asked_ms, signal);
    },
  });
}

/** What the server reports of its load outside of calls; requests set it. */
class LoadReports {
  #current: OrcaLoadReport = create(OrcaLoadReportSchema);

  set(report: TestOrcaReport): void {
    this.#current = loadReportOf(report);
  }

  async *watch(interval_ms: number, signal: AbortSignal): AsyncGenerator<OrcaLoadReport> {
    for (;;) {
      yield this.#current;
      await pause(Math.max(interval_ms, REPORT_INTERVAL_MS_MIN), signal);
    }
  }
}

function testHandlers(load: LoadReports): Partial<ServiceHandlers<typeof TestService>> {
  const server_id = crypto.randomUUID();
  return {
    emptyCall: (request) => request,
    unaryCall: (request, context) => {
      echoMetadata(context);
      refuseIfAsked(request.responseStatus);
      if (request.responseCompressed?.value === true) context.compression = "gzip";
      if (request.orcaPerQueryReport !== undefined) {
        const report = loadReportOf(request.orcaPerQueryReport);
        context.trailers.setBinary(LOAD_METRICS, toBinary(OrcaLoadReportSchema, report));
      }
      return create(SimpleResponseSchema, {
        payload: payloadOf(request.responseType, request.responseSize),
        serverId: request.fillServerId ? server_id : "",
      });
    },
    cacheableUnaryCall: (_request, context) => {
      context.headers.set("cache-control", "max-age=60, public");
      const body = new TextEncoder().encode(`${BigInt(Date.now()) * 1_000_000n}`);
      return create(SimpleResponseSchema, { payload: { body } });
    },
    streamingOutputCall: (request, context) => responsesTo(request, context),
    streamingInputCall: async (requests) => {
      let aggregatedPayloadSize = 0;
      for await (const { payload } of requests) aggregatedPayloadSize += payload?.body.length ?? 0;
      return create(StreamingInputCallResponseSchema, { aggregatedPayloadSize });
    },
    fullDuplexCall: async function* (requests, context) {
      echoMetadata(context);
      for await (const request of requests) {
        refuseIfAsked(request.responseStatus);
        if (request.orcaOobReport !== undefined) load.set(request.orcaOobReport);
        yield* responsesTo(request, context);
      }
    },
    halfDuplexCall: async function* (requests, context) {
      const waiting = await Array.fromAsync(requests);
      for (const request of waiting) yield* responsesTo(request, context);
    },
  };
}

/** One response for each that is asked for, after its pause, compressed where that is asked for. */
async function* responsesTo(
  request: StreamingOutputCallRequest,
  context: CallContext,
): AsyncGenerator<StreamingOutputCallResponse> {
  if (request.responseParameters.some(({ compressed }) => compressed?.value === true)) {
    // The headers have to say that messages may be compressed.
    context.compression = "gzip";
    context.sendHeaders();
  }
  for (const { size, intervalUs, compressed } of request.responseParameters) {
    if (intervalUs > 0) await pause(intervalUs / 1000, context.signal);
    context.compression = compressed?.value === true ? "gzip" : "identity";
    yield create(StreamingOutputCallResponseSchema, {
      payload: payloadOf(request.responseType, size),
    });
  }
}

/** Zeros of the size asked for. */
function payloadOf(type: PayloadType, size: number): Payload {
  if (type !== PayloadType.COMPRESSABLE) {
    throw new GrpcError(`payload type \`${type}\` is not served`, Code.INVALID_ARGUMENT);
  }
  if (size < 0 || size > PAYLOAD_BYTES_MAX) {
    const text = `response size \`${size}\` is not within 0 and ${PAYLOAD_BYTES_MAX}`;
    throw new GrpcError(text, Code.INVALID_ARGUMENT);
  }
  return create(PayloadSchema, { type, body: new Uint8Array(size) });
}

function echoMetadata({ metadata, headers, trailers }: CallContext): void {
  const initial = metadata.get(ECHO_INITIAL);
  if (initial !== undefined) headers.set(ECHO_INITIAL, initial);
  const trailing = metadata.getBinary(ECHO_TRAILING);
  if (trailing !== undefined) trailers.setBinary(ECHO_TRAILING, trailing);
}

function refuseIfAsked(status: EchoStatus | undefined): void {
  if (status === undefined || status.code === Code.OK) return;
  throw new GrpcError(status.message, status.code as Code);
}

function loadReportOf(report: TestOrcaReport): OrcaLoadReport {
  return create(OrcaLoadReportSchema, {
    cpuUtilization: report.cpuUtilization,
    memUtilization: report.memoryUtilization,
    requestCost: report.requestCost,
    utilization: report.utilization,
  });
}

/** Resolves after a while, or rejects with the call's end. */
function pause(wait_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, wait_ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
