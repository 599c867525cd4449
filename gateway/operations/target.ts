/**
 * Whom an order is for: the fleet, one agent, one operation; and how each is written
 * (contract `wire` §1.3: `*`, `agent:<id>`, `<trace>:<span>`).
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Principal } from "../../core/principal.ts";
import { OPERATION_LIMITS } from "./limits.ts";

/** An agent as orders know it. One that never registered is known by its id text alone. */
export interface OrderedAgent {
  /** Registry key, 32 lower-case hex; absent for an agent that never registered. */
  readonly registry_key?: string;
  readonly agent_id: string;
}

/** Whom an order is for. */
export type OrderTarget =
  | { readonly kind: "fleet" }
  | { readonly kind: "agent"; readonly agent: OrderedAgent }
  | { readonly kind: "op"; readonly agent: OrderedAgent; readonly op_id: string };

/** The reserved op id of the whole fleet. */
export const FLEET = "*";
/** What reserved op ids of whole agents begin with. */
export const AGENT_PREFIX = "agent:";

/**
 * The id of the operation that a call belongs to; `undefined` when it belongs to none: trace or span
 * is missing, the id is too long, or it would read as one of the reserved ids.
 */
export function opIdOf(trace_id: string, span_id: string): string | undefined {
  if (trace_id === "" || span_id === "") return undefined;
  const op_id = `${trace_id}:${span_id}`;
  if (op_id.length > OPERATION_LIMITS.op_id_chars || op_id.startsWith(AGENT_PREFIX)) {
    return undefined;
  }
  return op_id;
}

/** The key under which an agent's orders are kept. Two registered agents never share one. */
export function agentKey({ registry_key, agent_id }: OrderedAgent): string {
  return registry_key === undefined ? `id:${agent_id}` : `key:${registry_key}`;
}

/** The agent of a principal; what it merely claims never selects a registered agent's orders. */
export function agentOf({ registry_key, agent_id }: Principal): OrderedAgent {
  return registry_key === undefined ? { agent_id } : { registry_key, agent_id };
}

/** The op id on the wire. */
export function wireOpId(target: OrderTarget): string {
  switch (target.kind) {
    case "fleet":
      return FLEET;
    case "agent":
      return `${AGENT_PREFIX}${target.agent.agent_id}`;
    case "op":
      return target.op_id;
  }
}

/** Where an order for this target is stored. */
export function recordKey(target: OrderTarget): string {
  switch (target.kind) {
    case "fleet":
      return "fleet";
    case "agent":
      return `agent ${digest(agentKey(target.agent))}`;
    case "op":
      return `op ${digest(JSON.stringify([agentKey(target.agent), target.op_id]))}`;
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}
