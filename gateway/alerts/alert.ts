/**
 * One alert: what was noticed, how often, and what became of it (contract `surface` §1.8).
 *
 * @module
 */

/** How grave, lowest first. */
export const SEVERITIES = ["info", "warning", "critical"] as const;
/** One severity. */
export type Severity = (typeof SEVERITIES)[number];

/** What kind of thing was noticed. The first four are the contract's. */
export const CATEGORIES = ["budget", "secret_detected", "rule", "anomaly", "system"] as const;
/** One category. */
export type Category = (typeof CATEGORIES)[number];

/** Where an alert stands. */
export const ALERT_STATES = ["open", "acknowledged", "silenced", "resolved"] as const;
/** One state. */
export type AlertState = (typeof ALERT_STATES)[number];

/** The contract's three words for the four states. */
export const WIRE_STATUS: Readonly<Record<AlertState, string>> = {
  open: "unresolved",
  acknowledged: "unresolved",
  silenced: "suppressed",
  resolved: "resolved",
};

/** One change of state. */
export interface AlertStep {
  readonly at_ms: number;
  readonly state: AlertState;
  /** `gateway`, or the operator's name. */
  readonly actor: string;
  readonly reason: string;
}

/** Whom an alert is about; every field may be unknown. */
export interface AlertSubject {
  /** Registry key. */
  readonly agent_key?: string;
  readonly agent_id?: string;
  readonly org_id?: string;
  readonly team_id?: string;
}

/** What somebody wants told. */
export interface Raise extends AlertSubject {
  readonly category: Category;
  readonly severity: Severity;
  /**
   * What makes it the same alert as before, e.g. `anomaly:behavior_spike:<agent key>`. Chosen by
   * the gateway, never by a caller: it bounds how many alerts there can be.
   */
  readonly dedup_key: string;
  /** One sentence, without secrets; what an agent wrote in it has been cleaned. */
  readonly message: string;
  /** Name of the detector or threshold, e.g. `behavior_spike`, `budget 80%`. */
  readonly source: string;
}

/** One alert, as it is kept. */
export interface Alert extends Raise {
  /** ULID. */
  readonly id: string;
  readonly state: AlertState;
  readonly first_ms: number;
  readonly last_ms: number;
  /** How often it was raised. */
  readonly times: number;
  /** Only while silenced. */
  readonly silenced_until_ms?: number;
  /** Whether it was raised again while silenced. */
  readonly stirred: boolean;
  /** Oldest first. */
  readonly history: readonly AlertStep[];
}

/** The graver of two. */
export function graver(left: Severity, right: Severity): Severity {
  return SEVERITIES.indexOf(left) >= SEVERITIES.indexOf(right) ? left : right;
}
