/**
 * The detectors by name, what each may do, and what it does when nobody says (contract
 * `policy-and-gateway` §9).
 *
 * By default every detector only reports. The contract's blocks and pauses are opted into per
 * policy (§13.1 #2): an unusual action is no forbidden one.
 *
 * @module
 */

/** What happens on a verdict, weakest first. */
export const ANOMALY_RESPONSES = ["alert", "require_approval", "throttle", "quarantine"] as const;

/** One response. */
export type AnomalyResponse = (typeof ANOMALY_RESPONSES)[number];

/** What a detector is, for people. */
export interface DetectorFacts {
  /** What it notices, in one sentence. */
  readonly notices: string;
  /** The statistic, its threshold and its warm-up. */
  readonly rule: string;
  /** Where the statistic comes from; the contract for a fixed count. */
  readonly source: string;
}

const CHERNOFF = "Chernoff bound of the Poisson tail: P(N >= n) <= exp(-(n ln(n/m) - n + m))";

/** Every detector a policy may name. The first seven names are the contract's (without spoofing). */
export const DETECTORS = {
  behavior_spike: {
    notices: "many more actions in five minutes than usual",
    rule: "at least 20 actions, 3 times the 99th percentile of active five-minute windows, and " +
      "less likely than 1 in 1,000,000 at that rate; after 200 actions, a day and 36 windows",
    source: CHERNOFF,
  },
  unknown_external_connection: {
    notices: "a burst of hosts the agent never contacted and no policy names",
    rule: "at least 4 new hosts in an hour, less likely than 1 in 100,000 given how often a " +
      "request of this agent went to a new host; after 200 actions and a day",
    source: `Good (1953), Turing: unseen mass n1/N. ${CHERNOFF}`,
  },
  credential_leak_attempt: {
    notices: "secrets in call after call",
    rule: "3 calls with a certain finding in an hour, or 3 times what is usual",
    source: "contract §9, with a window that ends",
  },
  child_process_execution: {
    notices: "an agent that never started programs starts one, or a burst of new programs",
    rule: "the first program start after 200 actions and a day without any; or at least 4 new " +
      "programs in an hour, less likely than 1 in 100,000",
    source: "rule of three: none in N bounds the rate by 3/N (Hanley, Lippman-Hand 1983)",
  },
  data_exfiltration_attempt: {
    notices: "a secret in an outbound request",
    rule: "any certain finding on a network request",
    source: "contract §9",
  },
  loop_runaway: {
    notices: "the same call again and again",
    rule: "50 identical tool calls in 300 seconds, or 3 times what is usual",
    source: "contract §9, with a window that ends",
  },
  unusual_tools: {
    notices: "a burst of tools the agent never called",
    rule: "at least 4 new tools in an hour, less likely than 1 in 100,000 given how often a call " +
      "of this agent was of a new tool; after 200 actions and a day",
    source: `Good (1953), Turing: unseen mass n1/N. ${CHERNOFF}`,
  },
  argument_shape: {
    notices: "a burst of arguments built as never before: other keys, types or sizes",
    rule:
      "at least 8 new shapes in an hour, less likely than 1 in 100,000 given how often a call " +
      "of this agent had a new shape; after 200 actions and a day",
    source: `Good (1953), Turing: unseen mass n1/N. ${CHERNOFF}`,
  },
  spend_spike: {
    notices: "a call, or an hour, that costs much more than usual",
    rule:
      "a call of at least 0.05 USD and 5 times the 99th percentile of calls; or an hour of at " +
      "least 1 USD and 3 times the 99th percentile of hours; after 50 priced calls or 12 hours",
    source: "empirical quantile; no distribution of prices is assumed",
  },
  denial_surge: {
    notices: "many more refusals than usual",
    rule: "at least 10 refusals in an hour, 3 times the usual share, and less likely than 1 in " +
      "100,000 at that share; after 200 actions and a day",
    source: CHERNOFF,
  },
  off_hours: {
    notices: "work at a time of day at which the agent never works",
    rule: "10 actions in an hour of the day that, with its neighbours, was active on less than 5 " +
      "percent of at least 14 days",
    source: "circular histogram of active days by hour (UTC)",
  },
} as const satisfies Record<string, DetectorFacts>;

/** Name of a detector that a policy may give a response. */
export type DetectorName = keyof typeof DETECTORS;

/** All names, in the order of the table. */
export const DETECTOR_NAMES = Object.keys(DETECTORS) as readonly DetectorName[];

/** The contract's seventh type: seen by the identity circuit, which has refused the call already. */
export const SPOOFING = "cross_agent_identity_spoofing";

/** A response for each detector. */
export type ResponsePlan = Readonly<Record<DetectorName, AnomalyResponse>>;

/** What every detector does when nobody says. */
export const DEFAULT_RESPONSES: ResponsePlan = Object.freeze(
  Object.fromEntries(DETECTOR_NAMES.map((name) => [name, "alert"])),
) as ResponsePlan;

/** The stronger of two responses; an unknown word is the strongest of all. */
export function stronger(left: AnomalyResponse, right: AnomalyResponse): AnomalyResponse {
  return rank(left) >= rank(right) ? left : right;
}

function rank(response: AnomalyResponse): number {
  const found = ANOMALY_RESPONSES.indexOf(response);
  return found < 0 ? ANOMALY_RESPONSES.length : found;
}
