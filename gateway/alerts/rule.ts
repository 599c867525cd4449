/**
 * Alert rules: when a measure of the gateway is worth an alert (contract `surface` §1.8).
 *
 * @module
 */
import type { Severity } from "./alert.ts";
import { ALERT_LIMITS } from "./limits.ts";

/** What a rule can measure. */
export const METRICS = [
  "budget_spent_pct",
  "anomaly_score",
  "approval_pending_age",
  "policy_violation_count",
] as const;
/** One measure. */
export type Metric = (typeof METRICS)[number];

/** How a measure is compared with a threshold. */
export const OPERATORS = [">", ">=", "<", "<=", "="] as const;

/** Severities of rules, and the alert's for each. */
export const RULE_SEVERITIES = {
  CRITICAL: "critical",
  HIGH: "critical",
  MEDIUM: "warning",
  LOW: "info",
} as const satisfies Record<string, Severity>;

/** Windows a rule may look at, in seconds. */
export const RULE_WINDOWS_S = [300, 900, 3_600] as const;

/** One rule. */
export interface AlertRule {
  /** ULID. */
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
  readonly metric: Metric;
  readonly operator: (typeof OPERATORS)[number];
  readonly threshold: number;
  readonly severity: keyof typeof RULE_SEVERITIES;
  readonly window_s: (typeof RULE_WINDOWS_S)[number];
  readonly created_ms: number;
  readonly updated_ms: number;
}

/** What an operator says of a rule; anything may be wrong with it. */
export interface AlertRuleWords {
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
  readonly metric: string;
  readonly operator: string;
  readonly threshold: number;
  readonly severity: string;
  readonly window_s: number;
}

/** A rule as said, or the contract's code and what was expected. */
export type CheckedRule =
  | { readonly ok: true; readonly rule: Omit<AlertRule, "id" | "created_ms" | "updated_ms"> }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** Checks a rule. Codes are the contract's (`surface` §1.8). */
export function checkRule(words: AlertRuleWords): CheckedRule {
  const { name, description, enabled, threshold } = words;
  const refuse = (code: string, expected: string): CheckedRule => ({
    ok: false,
    code,
    message: `${code}: expected ${expected}`,
  });
  if (name.trim() === "" || name.length > ALERT_LIMITS.rule_name_chars) {
    return refuse("invalid_name", `1 to ${ALERT_LIMITS.rule_name_chars} characters`);
  }
  const metric = METRICS.find((word) => word === words.metric);
  if (metric === undefined) return refuse("invalid_metric", `one of ${METRICS.join(", ")}`);
  const operator = OPERATORS.find((word) => word === words.operator);
  if (operator === undefined) return refuse("invalid_operator", `one of ${OPERATORS.join(" ")}`);
  const severity = SEVERITY_WORDS.find((word) => word === words.severity);
  if (severity === undefined) {
    return refuse("invalid_severity", `one of ${SEVERITY_WORDS.join(", ")}`);
  }
  const most = metric === "budget_spent_pct" ? 100 : Number.MAX_SAFE_INTEGER;
  if (!(threshold >= 0 && threshold <= most)) {
    return refuse("invalid_threshold", `a number from 0 to ${most}`);
  }
  const window_s = RULE_WINDOWS_S.find((window) => window === words.window_s);
  if (window_s === undefined) {
    return refuse("invalid_evaluation_window", `one of ${RULE_WINDOWS_S.join(", ")} seconds`);
  }
  const text = description.slice(0, ALERT_LIMITS.message_chars);
  return {
    ok: true,
    rule: { name, description: text, enabled, metric, operator, threshold, severity, window_s },
  };
}

const SEVERITY_WORDS = Object.keys(RULE_SEVERITIES) as (keyof typeof RULE_SEVERITIES)[];

/** Whether a measure makes a rule speak. */
export function speaks({ operator, threshold }: AlertRule, value: number): boolean {
  switch (operator) {
    case ">":
      return value > threshold;
    case ">=":
      return value >= threshold;
    case "<":
      return value < threshold;
    case "<=":
      return value <= threshold;
    case "=":
      return value === threshold;
  }
}

/** The rule in a stored text, or what is wrong with it. */
export function readRule(id: string, text: string): AlertRule | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "not JSON";
  }
  if (typeof value !== "object" || value === null) return "not an object";
  const read: Readonly<Record<string, unknown>> = { ...value };
  const { name, description, enabled, metric, operator, threshold, severity, window_s } = read;
  const { created_ms, updated_ms } = read;
  if (read.id !== id) return "another id than its key";
  if (!isTime(created_ms) || !isTime(updated_ms)) return "created_ms or updated_ms is no time";
  if (
    typeof name !== "string" || typeof description !== "string" || typeof enabled !== "boolean" ||
    typeof metric !== "string" || typeof operator !== "string" || typeof severity !== "string" ||
    typeof threshold !== "number" || typeof window_s !== "number"
  ) return "a field of another type";
  const checked = checkRule({
    name,
    description,
    enabled,
    metric,
    operator,
    threshold,
    severity,
    window_s,
  });
  return checked.ok ? { ...checked.rule, id, created_ms, updated_ms } : checked.message;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
