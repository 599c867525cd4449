/**
 * Every bound of the alert list, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const ALERT_LIMITS = {
  /** Alerts kept (contract `surface` §1.8). One more drops the oldest that is resolved, else the oldest of the lowest severity. */
  alerts: 10_000,
  /** Changes of state remembered of one alert; older ones but the first are dropped. */
  history_steps: 32,
  /** Length of an alert's message in UTF-16 units; the rest is cut. */
  message_chars: 512,
  /** Length of a reason in UTF-16 units (contract `surface` §1.8). Longer: INVALID_ARGUMENT. */
  reason_chars: 500,
  /** Longest silence in seconds (contract `surface` §1.8). Longer: INVALID_ARGUMENT. */
  silence_seconds: 604_800,
  /** Alerts of one page of a listing. More asked for: as many. */
  page_alerts: 500,
  /** Alerts of a page that names no size. */
  page_default_alerts: 50,
  /** Watchers at once; one more is refused with RESOURCE_EXHAUSTED. */
  watchers: 64,
  /** Events that wait for one slow watcher; at it its stream ends and says so. */
  watcher_events: 64,
  /** Alerts whose repetition is written in one go; the rest waits for the next. */
  write_alerts: 500,
  /** Alert rules. One more is refused. */
  rules: 200,
  /** Length of a rule's name in UTF-16 units (contract `surface` §1.8). Longer: INVALID_ARGUMENT. */
  rule_name_chars: 128,
  /** Rules are looked at this often, in milliseconds (contract `surface` §1.8). */
  rule_interval_ms: 60_000,
  /** Samples kept of one measure; the oldest is dropped. */
  rule_samples: 128,
  /** Silences are looked at, and repetitions written, this often, in milliseconds. */
  tick_interval_ms: 5_000,
} as const;
