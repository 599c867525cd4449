/**
 * Events that nobody reported: the runtime's own word on a client's identity, and on its layers.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { audit, common } from "../../proto/mod.ts";
import type { SdkVerdict } from "./identity.ts";

/** Rule name of a tamper event. */
export const TAMPER_RULE = "runtime.sdk_identity";

/** Says that a client is not who it says, or claimed a trust that it has not. */
export function tamperEvent(
  event_id: string,
  about: audit.AuditEvent,
  verdict: SdkVerdict | undefined,
  forged_trust_markers: number,
): audit.AuditEvent {
  const reasons = [
    ...(verdict === undefined ? [] : [`its SDK identity is \`${verdict}\``]),
    ...(forged_trust_markers === 0
      ? []
      : [`it carried \`${forged_trust_markers}\` forged trust markers`]),
  ];
  return create(audit.AuditEventSchema, {
    eventId: event_id,
    actionType: about.actionType,
    traceId: about.traceId,
    spanId: about.spanId,
    sessionId: about.sessionId,
    detail: {
      case: "violation",
      value: {
        policyRule: TAMPER_RULE,
        blockedAction: "",
        reason: `event \`${about.eventId}\` is suspect: ${reasons.join(", and ")}`,
      },
    },
  });
}

/** Name of the event that a missing layer is. */
export const DEGRADED_EVENT = "runtime.layer_degraded";

/**
 * Says that a protection layer is missing (contract `interception` §1.1). In labels for those who
 * listen here; in the name, too, because of a reported event the gateway's record keeps no more.
 */
export function degradationEvent(
  event_id: string,
  { layer, reason, remaining_layers, at_ms }: {
    readonly layer: string;
    readonly reason: string;
    readonly remaining_layers: readonly string[];
    readonly at_ms: number;
  },
): audit.AuditEvent {
  const remaining = remaining_layers.join("+") || "none";
  return create(audit.AuditEventSchema, {
    eventId: event_id,
    occurredAt: { unixMs: BigInt(Math.trunc(at_ms)) },
    detail: {
      case: "toolCall",
      value: { toolName: `${DEGRADED_EVENT}: ${layer}: ${reason}; remaining: ${remaining}` },
    },
    labels: { source: "runtime", layer, reason, remaining_layers: remaining },
  });
}

/** Name of an action type as the schema writes it; numbers it lacks are the unspecified one. */
export function actionName(action: common.ActionType): string {
  return common.ActionTypeSchema.value[action]?.name ?? "ACTION_UNSPECIFIED";
}
