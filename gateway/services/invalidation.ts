/**
 * `assembly.gateway.v1.InvalidationService`: a stream of what no longer holds
 * (contract `wire` §1.8).
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  Decision,
  type InvalidationEvent,
  InvalidationEventSchema,
  type InvalidationService,
  type SubscribeRequest,
} from "../../proto/gen/assembly/gateway/v1/invalidation_pb.ts";
import type { Counters } from "../counters.ts";
import { type InvalidationHub, TooManySubscribers } from "../invalidation/hub.ts";
import { INVALIDATION_LIMITS } from "../invalidation/limits.ts";
import {
  type Announcement,
  type NumberedEvent,
  ResyncNeeded,
  type StreamEnd,
} from "../invalidation/subscriber.ts";
import type { Registry } from "../registry/registry.ts";
import { requireAgent } from "./caller.ts";

/** What the service needs. */
export interface InvalidationDependencies {
  readonly hub: InvalidationHub;
  readonly registry: Registry;
  readonly counters: Counters;
}

/** Handlers of the whole service. */
export function invalidationHandlers(
  on: InvalidationDependencies,
): ServiceHandlers<typeof InvalidationService> {
  return { subscribe: (requests, context) => subscribe(on, requests, context) };
}

async function* subscribe(
  on: InvalidationDependencies,
  requests: AsyncIterable<SubscribeRequest>,
  context: CallContext,
): AsyncGenerator<InvalidationEvent> {
  const caller = requireAgent(context, on.registry, on.counters);
  const reader = requests[Symbol.asyncIterator]();
  const first = await reader.next();
  const assembly_id = first.done === true ? "" : first.value.assemblyId;
  if (assembly_id === "") {
    throw invalid("assembly_id: is missing: the first message must carry it");
  }
  if (assembly_id.length > INVALIDATION_LIMITS.assembly_id_chars) {
    throw invalid(
      `assembly_id: is longer than ${INVALIDATION_LIMITS.assembly_id_chars} characters`,
    );
  }
  const { kind } = first.value;
  const last_seq_seen = kind.case === "initial" ? kind.value.lastSeqSeen : 0n;
  const { org_id, team_id, key } = caller;
  const who = { org_id, team_id, agent_key: key, assembly_id };
  const { stream, acknowledge } = opened(() =>
    on.hub.subscribe(who, last_seq_seen, context.signal)
  );
  context.sendHeaders();
  const acknowledging = readAcknowledgements(reader, acknowledge);
  try {
    for await (const event of stream) yield wireEvent(event);
  } finally {
    acknowledging.catch(() => {});
  }
  const status = statusOf(stream.ended);
  if (status !== undefined) throw status;
}

/** Reads until the client half-closes, which ends nothing: it still listens. */
async function readAcknowledgements(
  reader: AsyncIterator<SubscribeRequest>,
  acknowledge: (seq: bigint) => void,
): Promise<void> {
  try {
    while (true) {
      const next = await reader.next();
      if (next.done === true) return;
      const { kind } = next.value;
      if (kind.case === "ack") acknowledge(kind.value.seq);
    }
  } catch {
    // The call ended; its signal ends the stream.
  }
}

function opened<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof ResyncNeeded) {
      throw new GrpcError(error.message, Code.OUT_OF_RANGE, { cause: error });
    }
    if (error instanceof TooManySubscribers) {
      throw new GrpcError(error.message, Code.RESOURCE_EXHAUSTED, { cause: error });
    }
    throw error;
  }
}

/** A stream never just stops while its subscriber still wants it. */
function statusOf(end: StreamEnd | undefined): GrpcError | undefined {
  switch (end) {
    case "lagging":
      return new GrpcError(
        "events are waiting unread: subscribe again with the last seq seen, or with 0 after " +
          "dropping what is cached",
        Code.RESOURCE_EXHAUSTED,
      );
    case "replaced":
      return new GrpcError("a newer stream of this assembly_id took its place", Code.ABORTED);
    case "unregistered":
      return new GrpcError("the agent was deregistered: register again", Code.UNAUTHENTICATED);
    case "stopped":
      return new GrpcError("the gateway stops: subscribe again", Code.UNAVAILABLE);
    default:
      return undefined;
  }
}

function wireEvent({ seq, event }: NumberedEvent): InvalidationEvent {
  return create(InvalidationEventSchema, { seq, payload: payloadOf(event) });
}

type Payload = NonNullable<MessageInitShape<typeof InvalidationEventSchema>["payload"]>;

function payloadOf(event: Announcement): Payload {
  if (event.kind === "policy_invalidated") {
    const { agent_id: agentId, version: policyVersion } = event;
    return { case: "policyInvalidated", value: { agentId, policyVersion } };
  }
  const decision = event.decision === "approved" ? Decision.APPROVED : Decision.DENIED;
  return { case: "approvalResolved", value: { requestId: event.request_id, decision } };
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
