/**
 * A standing order and its stored form. Orders are few and matter: each is kept on disk, and one
 * that cannot be read back is never guessed.
 *
 * @module
 */
import { type OrderTarget, recordKey } from "./target.ts";

/** What an operator orders. A resumption ends an order, so it never stands. */
export type StandingSignal = "pause" | "terminate";

/** An order in force. */
export interface Order {
  readonly target: OrderTarget;
  readonly signal: StandingSignal;
  readonly reason: string;
  /** Who gave it, e.g. `operator:alice`. */
  readonly actor: string;
  /** Milliseconds since the Unix epoch. */
  readonly since_ms: number;
}

/** The stored form of an order. */
export function orderText(order: Order): string {
  return JSON.stringify({ v: 1, ...order });
}

/**
 * Reads a stored order back.
 *
 * @returns `undefined` when anything about it is not as {@linkcode orderText} writes it.
 */
export function orderFrom(key: string, text: string): Order | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(raw) || raw["v"] !== 1) return undefined;
  const { signal, reason, actor, since_ms } = raw;
  const target = targetFrom(raw["target"]);
  if (target === undefined || recordKey(target) !== key) return undefined;
  if (signal !== "pause" && signal !== "terminate") return undefined;
  if (typeof reason !== "string" || typeof actor !== "string") return undefined;
  if (typeof since_ms !== "number" || !Number.isSafeInteger(since_ms)) return undefined;
  return { target, signal, reason, actor, since_ms };
}

function targetFrom(raw: unknown): OrderTarget | undefined {
  if (!isRecord(raw)) return undefined;
  if (raw["kind"] === "fleet") return { kind: "fleet" };
  const { agent, op_id } = raw;
  if (!isRecord(agent) || typeof agent["agent_id"] !== "string") return undefined;
  const key = agent["registry_key"];
  if (key !== undefined && (typeof key !== "string" || !/^[0-9a-f]{32}$/.test(key))) {
    return undefined;
  }
  const { agent_id } = agent;
  const named = key === undefined ? { agent_id } : { registry_key: key, agent_id };
  if (raw["kind"] === "agent") return { kind: "agent", agent: named };
  if (raw["kind"] !== "op" || typeof op_id !== "string" || op_id === "") return undefined;
  return { kind: "op", agent: named, op_id };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
