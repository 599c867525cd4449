/**
 * Counts of repeated answers as events for the pipeline, which redacts, keeps and sends them.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { audit, common } from "../../proto/mod.ts";
import type { BrokerAgent } from "./judge.ts";
import type { Repeat, Repeats } from "./repeats.ts";

/** Under this name the counts stand in the record. */
export const REPEATS_TOOL = "deno.broker.repeats";

/** Counts in one event, so that no field of it is too long to be scanned. */
const REPEATS_PER_EVENT = 100;

const TOOL_CALL = 2;

/**
 * The events of one stretch of counting.
 *
 * @param newId A fresh UUID each call.
 */
export function repeatEvents(
  agent: BrokerAgent,
  { from_ms, until_ms, repeats }: Repeats,
  newId: () => string,
): audit.AuditEvent[] {
  const events: audit.AuditEvent[] = [];
  for (let at = 0; at < repeats.length; at += REPEATS_PER_EVENT) {
    const some = repeats.slice(at, at + REPEATS_PER_EVENT).map(shown);
    events.push(create(audit.AuditEventSchema, {
      eventId: newId(),
      agentId: create(common.AgentIdSchema, {
        orgId: agent.org_id,
        teamId: agent.team_id,
        agentId: agent.agent_id,
      }),
      occurredAt: { unixMs: BigInt(until_ms) },
      actionType: TOOL_CALL,
      traceId: agent.trace_id,
      detail: {
        case: "toolCall",
        value: {
          toolName: REPEATS_TOOL,
          succeeded: true,
          argsJson: new TextEncoder().encode(JSON.stringify({ from_ms, until_ms, repeats: some })),
        },
      },
      labels: { source: "permission_broker" },
    }));
  }
  return events;
}

/** The parts of a key are separated by what no reader of a record wants to see. */
function shown({ key, result, count }: Repeat): Record<string, unknown> {
  return { question: key.replaceAll("\0", " ").slice(0, 512), result, count };
}
