/**
 * The reference's two streams (contract `interception` §1.7, trap R7): operators' signals, and what
 * no longer holds. The first is for gateways that push no snapshots; the second tells of decided
 * approvals everywhere. A cache that it would have to clear does not exist: nothing is answered from
 * an earlier answer, so nothing can be stale.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { GrpcError } from "../../grpc/mod.ts";
import { gateway, policy } from "../../proto/mod.ts";
import type { MetricsPart } from "../parts.ts";
import type { Timers } from "../timers.ts";
import type { GatewayPart } from "./gateway_client.ts";
import type { Halts } from "./halts.ts";
import { type AttemptEnd, keepOpen, RequestQueue } from "./retrying.ts";
import type { AgentName } from "./snapshot.ts";

/** What both streams need. */
export interface StreamOptions {
  readonly gateway: Pick<GatewayPart, "orders" | "invalidations">;
  /** The agent, by the names that the gateway knows it by. */
  readonly name: () => AgentName;
  readonly timers: Timers;
  readonly metrics: MetricsPart;
  /** The credential in use; empty while none is known. */
  readonly token: () => string;
  /** Resolves when there is another credential than now. */
  readonly newToken: () => Promise<void>;
}

/** Listens to operators' signals until the signal fires. */
export async function listenToOrders(
  on: StreamOptions,
  halts: Halts,
  signal: AbortSignal,
): Promise<void> {
  await keepOpen({
    timers: on.timers,
    signal,
    wanted: on.newToken,
    onRetry: () => on.metrics.add("aa_op_control_reconnects_total"),
    attempt: (until) => {
      const { org_id: orgId, team_id: teamId, agent_id: agentId } = on.name();
      const agent = { orgId, teamId, agentId };
      return reading(on.gateway.orders(agent, on.token(), until), (message) => {
        on.metrics.add("aa_op_control_signals_total");
        if (message.opId === "") return;
        switch (message.signal) {
          case policy.OpControlSignal.PAUSE:
            on.metrics.add("aa_op_control_pauses_total");
            halts.apply("stream", message.opId, "pause");
            break;
          case policy.OpControlSignal.TERMINATE:
            on.metrics.add("aa_op_control_terminations_total");
            halts.apply("stream", message.opId, "terminate");
            break;
          case policy.OpControlSignal.RESUME:
            halts.apply("stream", message.opId, "resume");
            break;
        }
      });
    },
  });
}

/** What an invalidation says. */
export interface InvalidationListeners {
  /** Something about the agent, or about all, no longer holds. */
  readonly onInvalidated: () => void;
  readonly onApproval: (approval_id: string, approved: boolean) => void;
}

/** Listens to invalidations until the signal fires. */
export async function listenToInvalidations(
  on: StreamOptions,
  assembly_id: string,
  { onInvalidated, onApproval }: InvalidationListeners,
  signal: AbortSignal,
): Promise<void> {
  let last_seq = 0n;
  await keepOpen({
    timers: on.timers,
    signal,
    wanted: on.newToken,
    onRetry: () => on.metrics.add("aa_invalidation_reconnects_total"),
    attempt: async (until) => {
      const requests = new RequestQueue<gateway.SubscribeRequest>();
      const send = (kind: gateway.SubscribeRequest["kind"]) =>
        requests.push(
          create(gateway.SubscribeRequestSchema, { assemblyId: assembly_id, kind }),
        );
      const initial = create(gateway.SubscribeInitialSchema, { lastSeqSeen: last_seq });
      send({ case: "initial", value: initial });
      const end = await reading(on.gateway.invalidations(requests, on.token(), until), (event) => {
        // Told again after a reconnect: once is enough.
        if (event.seq <= last_seq) return;
        last_seq = event.seq;
        send({ case: "ack", value: create(gateway.SubscribeAckSchema, { seq: event.seq }) });
        if (event.payload.case === "policyInvalidated") onInvalidated();
        if (event.payload.case !== "approvalResolved") return;
        const { requestId, decision } = event.payload.value;
        if (decision === gateway.Decision.APPROVED) onApproval(requestId, true);
        else if (decision === gateway.Decision.DENIED) onApproval(requestId, false);
      });
      requests.end();
      // A gateway that was started anew counts from 1 again.
      if (end.error instanceof GrpcError && end.error.code === OUT_OF_RANGE) {
        last_seq = 0n;
        onInvalidated();
      }
      return end;
    },
  });
}

const OUT_OF_RANGE = 11;

async function reading<T>(
  messages: AsyncIterable<T>,
  take: (message: T) => void,
): Promise<AttemptEnd> {
  let worked = false;
  try {
    for await (const message of messages) {
      worked = true;
      take(message);
    }
    return { worked };
  } catch (error) {
    return { worked, error };
  }
}
