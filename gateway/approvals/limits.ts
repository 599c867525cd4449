/**
 * Every bound of the approval queue, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const QUEUE_LIMITS = {
  /** Requests that are pending or approved and not used up; one more is refused: `approval queue is full`. */
  live_requests: 10_000,
  /** Of these, requests of one agent; one more is refused, the agent's others stay. */
  live_requests_per_agent: 100,
  /** Of these, requests of agents whose identity is not proven, all together; one more is refused. */
  live_requests_asserted: 1_000,
  /** Ended requests kept; beyond it the one that ended first is forgotten. */
  history_requests: 5_000,
  /** Calls that wait for one request; one more is refused, the request stays. */
  waiting_calls_per_request: 16,
  /** Resume tokens of one request; one more replaces the oldest. */
  resume_tokens_per_request: 4,
  /** Changes under way at once; one more is refused with `busy`. */
  changes_under_way: 4_096,
  /** Redacted action text shown to an approver, in UTF-16 units; the rest is cut and counted. */
  shown_chars: 8_192,
  /** Such texts held together, in UTF-16 units (they live in memory only); beyond it a request is shown without. */
  shown_total_chars: 16 * 1024 * 1024,
  /** Streams that watch the queue; one more is refused with `RESOURCE_EXHAUSTED`. */
  watchers: 256,
  /** Events waiting for one watcher; one more ends its stream with `RESOURCE_EXHAUSTED`. */
  watch_queue_events: 1_024,
  /** Time between two looks at what has become due. A request may outlive its timeout by this. */
  tick_ms: 250,
  /** Page of a list: default and bound (contract `policy-and-gateway` §8.5). */
  page_default_requests: 20,
  page_requests: 100,
} as const;
