/**
 * Alerts as they are kept: written as JSON, read back strictly. A record that is not exactly an
 * alert is named and left alone.
 *
 * @module
 */
import {
  type Alert,
  ALERT_STATES,
  type AlertStep,
  type AlertSubject,
  CATEGORIES,
  SEVERITIES,
} from "./alert.ts";

/** The stored text of an alert. */
export function alertText(alert: Alert): string {
  return JSON.stringify(alert);
}

/** The alert in a stored text, or what is wrong with it. */
export function readAlert(id: string, text: string): Alert | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "not JSON";
  }
  if (!isObject(value)) return "not an object";
  const category = CATEGORIES.find((word) => word === value.category);
  const severity = SEVERITIES.find((word) => word === value.severity);
  const state = ALERT_STATES.find((word) => word === value.state);
  if (category === undefined || severity === undefined || state === undefined) {
    return "category, severity or state is none that exists";
  }
  const { dedup_key, message, source, first_ms, last_ms, times, stirred, history } = value;
  const { silenced_until_ms } = value;
  if (value.id !== id) return "another id than its key";
  if (typeof dedup_key !== "string" || typeof message !== "string" || typeof source !== "string") {
    return "dedup_key, message or source is no text";
  }
  if (!isTime(first_ms) || !isTime(last_ms) || !isTime(times) || typeof stirred !== "boolean") {
    return "first_ms, last_ms, times or stirred is none";
  }
  if (silenced_until_ms !== undefined && !isTime(silenced_until_ms)) {
    return "silenced_until_ms is no time";
  }
  if (!Array.isArray(history)) return "history is no list";
  const steps = history.map(readStep);
  if (steps.includes(undefined)) return "a step of the history is none";
  return {
    id,
    category,
    severity,
    state,
    dedup_key,
    message,
    source,
    first_ms,
    last_ms,
    times,
    stirred,
    history: steps.filter((step) => step !== undefined),
    ...subjectOf(value),
    ...(silenced_until_ms !== undefined && { silenced_until_ms }),
  };
}

function subjectOf(value: Readonly<Record<string, unknown>>): AlertSubject {
  const { agent_key, agent_id, org_id, team_id } = value;
  return {
    ...(typeof agent_key === "string" && { agent_key }),
    ...(typeof agent_id === "string" && { agent_id }),
    ...(typeof org_id === "string" && { org_id }),
    ...(typeof team_id === "string" && { team_id }),
  };
}

function readStep(value: unknown): AlertStep | undefined {
  if (!isObject(value)) return undefined;
  const { at_ms, actor, reason } = value;
  const state = ALERT_STATES.find((word) => word === value.state);
  if (state === undefined || !isTime(at_ms)) return undefined;
  if (typeof actor !== "string" || typeof reason !== "string") return undefined;
  return { at_ms, state, actor, reason };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
