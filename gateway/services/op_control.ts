/**
 * `PolicyService.OpControlStream`: operators' signals, to the agents they are for
 * (contract `wire` §1.3, §9.1).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import {
  type CallContext,
  Code,
  GrpcError,
  type Peer,
  type ServiceHandlers,
} from "../../grpc/mod.ts";
import {
  type OpControlMessage,
  OpControlMessageSchema,
  OpControlSignal,
  type OpControlSubscribeRequest,
  type PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Counters } from "../counters.ts";
import { type AgentTriple, registryKeyOf } from "../identity/keys.ts";
import type { Operations } from "../operations/operations.ts";
import type { OpMessage } from "../operations/subscribers.ts";
import type { OrderedAgent } from "../operations/target.ts";
import type { Registry } from "../registry/registry.ts";
import { presentedToken } from "./caller.ts";

/** What the stream needs. */
export interface OpControlDependencies {
  readonly operations: Operations;
  readonly registry: Pick<Registry, "byToken" | "byTriple">;
  readonly counters: Counters;
  /**
   * Whether callers on this machine may listen without a token, as every shipped client does. What
   * they can learn is which agents and operations are paused or ended, and nothing else.
   */
  readonly loopback_without_token: boolean;
}

const SIGNALS = {
  pause: OpControlSignal.PAUSE,
  resume: OpControlSignal.RESUME,
  terminate: OpControlSignal.TERMINATE,
} as const;

/** The handler. */
export function opControlHandlers(
  on: OpControlDependencies,
): Pick<ServiceHandlers<typeof PolicyService>, "opControlStream"> {
  return { opControlStream: (request, context) => opControlStream(on, request, context) };
}

async function* opControlStream(
  on: OpControlDependencies,
  request: OpControlSubscribeRequest,
  context: CallContext,
): AsyncGenerator<OpControlMessage> {
  const agent = subscriberOf(on, request, context);
  const subscription = on.operations.subscribe(agent, context.signal);
  if (subscription === undefined) {
    throw new GrpcError(
      "too many subscribers of operator control: try again later",
      Code.RESOURCE_EXHAUSTED,
    );
  }
  // A client that waits for headers must not wait for the first signal.
  context.sendHeaders();
  for await (const message of subscription) yield wireMessage(message);
  switch (subscription.ended) {
    case "lagging":
      throw new GrpcError(
        "signals are waiting unread: subscribe again, the stream then begins with how things stand",
        Code.RESOURCE_EXHAUSTED,
      );
    case "replaced":
      throw new GrpcError("newer subscriptions of this agent took its place", Code.ABORTED);
    default:
      return;
  }
}

/** The agent a subscriber may listen for. Unlike the body, a token proves which that is. */
function subscriberOf(
  on: OpControlDependencies,
  request: OpControlSubscribeRequest,
  context: CallContext,
): OrderedAgent {
  const claimed = request.agentId;
  if (claimed === undefined) throw new GrpcError("agent_id: is missing", Code.INVALID_ARGUMENT);
  const { orgId: org_id, teamId: team_id, agentId: agent_id } = claimed;
  const triple: AgentTriple = { org_id, team_id, agent_id };
  for (const [name, value] of Object.entries(triple)) {
    if (value.length > LIMITS.identifier_bytes) {
      throw new GrpcError(
        `agent_id.${name}: is longer than ${LIMITS.identifier_bytes} bytes`,
        Code.INVALID_ARGUMENT,
      );
    }
  }
  const token = presentedToken(context.metadata);
  if (token === "" && on.loopback_without_token && isLocal(context.peer)) {
    const record = on.registry.byTriple(triple);
    return record === undefined ? { agent_id } : { registry_key: record.key, agent_id };
  }
  const record = token === "" ? undefined : on.registry.byToken(token);
  if (record === undefined) {
    on.counters.add(`grpc_auth_rejected.${token === "" ? "missing" : "invalid"}`);
    throw new GrpcError(
      token === ""
        ? "credential token is missing: send `x-aa-credential-token` or `authorization: Bearer`; " +
          "an operator may let callers of this machine listen without: `--op-control-loopback`"
        : "credential token is invalid: register again",
      Code.UNAUTHENTICATED,
    );
  }
  if (registryKeyOf(triple) !== record.key || record.agent_id !== agent_id) {
    throw new GrpcError(
      "agent_id: is not the agent that the credential token belongs to",
      Code.PERMISSION_DENIED,
    );
  }
  return { registry_key: record.key, agent_id };
}

/** Whether a caller is on this machine: by socket file, or by a loopback address. */
export function isLocal({ transport, address }: Peer): boolean {
  if (transport === "unix") return true;
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return host === "::1" || /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(host);
}

function wireMessage({ op_id, signal, sequence }: OpMessage): OpControlMessage {
  return create(OpControlMessageSchema, { opId: op_id, signal: SIGNALS[signal], sequence });
}
