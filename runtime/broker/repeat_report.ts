/**
 * Counts of repeated answers as events for the pipeline, which redacts, keeps and sends them. The
 * count stands in the event's name: of a reported tool call that is what every record keeps.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { audit, common } from "../../proto/mod.ts";
import type { BrokerAgent } from "./judge.ts";
import { BROKER_LIMITS } from "./limits.ts";
import type { Repeat, Repeats } from "./repeats.ts";

/** What the names of these events begin with. */
export const REPEATS_TOOL = "deno.broker.repeats";

const TOOL_CALL = 2;
const DECISIONS = { allow: 1, deny: 2 } as const;

/** Characters of a question in one name. */
const QUESTION_CHARS_MAX = 512;

/**
 * The events of one stretch of counting: one a question, the most repeated first; those beyond the
 * bound are summed by result.
 *
 * @param newId A fresh UUID each call.
 */
export function repeatEvents(
  agent: BrokerAgent,
  { until_ms, repeats }: Repeats,
  newId: () => string,
): audit.AuditEvent[] {
  const sorted = [...repeats].sort((a, b) => b.count - a.count);
  const named = sorted.slice(0, BROKER_LIMITS.repeats_named);
  const rest = sorted.slice(BROKER_LIMITS.repeats_named);
  const sums = (["allow", "deny"] as const).flatMap((result): Repeat[] => {
    const of = rest.filter((one) => one.result === result);
    const count = of.reduce((sum, one) => sum + one.count, 0);
    return of.length === 0 ? [] : [{ key: `${of.length} further questions`, result, count }];
  });
  return [...named, ...sums].map(({ key, result, count }) => {
    // The parts of a key are separated by what no reader of a record wants to see.
    const question = key.replaceAll("\0", " ").slice(0, QUESTION_CHARS_MAX).toWellFormed();
    return create(audit.AuditEventSchema, {
      eventId: newId(),
      agentId: create(common.AgentIdSchema, {
        orgId: agent.org_id,
        teamId: agent.team_id,
        agentId: agent.agent_id,
      }),
      occurredAt: { unixMs: BigInt(until_ms) },
      actionType: TOOL_CALL,
      decision: DECISIONS[result],
      traceId: agent.trace_id,
      detail: {
        case: "toolCall",
        value: { toolName: `${REPEATS_TOOL}: ${count} × ${result}: ${question}`, succeeded: true },
      },
      labels: { source: "permission_broker" },
    });
  });
}
