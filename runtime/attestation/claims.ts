/**
 * The words in which protection may be claimed, and what evidence allows which
 * (contract `interception` §0.7, §0.8, §1.1).
 *
 * @module
 */

/** Terms that assert coverage, strongest first. Only the first asserts prevention. */
export const COVERAGE_CLAIMS = [
  "denied_before_execution",
  "approval_required",
  "redacted",
  "evaluated",
  "detected",
  "observed",
] as const;

/** A term that asserts coverage. */
export type CoverageClaim = typeof COVERAGE_CLAIMS[number];

/** All eleven terms. */
export type Claim =
  | CoverageClaim
  | "degraded"
  | "unmeasured"
  | "experimental"
  | "planned"
  | "unsupported";

/** What was seen to happen to one act. */
export type Outcome =
  | "blocked"
  | "redacted"
  | "held_for_approval"
  | "advisory_decision"
  | "flagged"
  | "recorded"
  | "inconclusive";

const CLAIM_OF_OUTCOME: Readonly<Record<Outcome, Claim>> = {
  blocked: "denied_before_execution",
  redacted: "redacted",
  held_for_approval: "approval_required",
  advisory_decision: "evaluated",
  flagged: "detected",
  recorded: "observed",
  inconclusive: "unmeasured",
};

/** What a statement about a component rests on; the tags are the reference's. */
export type Basis =
  | { readonly basis: "environment_override"; readonly variable: string }
  | { readonly basis: "assumed_present" }
  | { readonly basis: "artifact_present"; readonly artifact: string }
  | { readonly basis: "absent_from_build"; readonly component: string }
  | { readonly basis: "platform_unsupported"; readonly platform: string }
  | { readonly basis: "prerequisite_unmet"; readonly requirement: string }
  | { readonly basis: "adjudicated"; readonly outcome: Outcome };

/** The strongest term that a basis can carry. Nothing found on disk covers anything. */
export function ceilingOf(basis: Basis): Claim {
  switch (basis.basis) {
    case "environment_override":
    case "assumed_present":
    case "artifact_present":
    case "prerequisite_unmet":
      return "unmeasured";
    case "absent_from_build":
    case "platform_unsupported":
      return "unsupported";
    case "adjudicated":
      return CLAIM_OF_OUTCOME[basis.outcome];
  }
}

/** Whether a term asserts coverage. */
export function assertsCoverage(claim: Claim): claim is CoverageClaim {
  return COVERAGE_CLAIMS.some((covering) => covering === claim);
}

/** What an operator selected for a component. Selection can only lower a term. */
export type SelectedMode = "enabled" | "disabled" | "unset";

/**
 * The term that may be said.
 *
 * @param fresh Whether the evidence is within its window, by {@linkcode isFresh}.
 */
export function termOf(basis: Basis, mode: SelectedMode, fresh: boolean): Claim {
  const ceiling = ceilingOf(basis);
  if (!assertsCoverage(ceiling)) return mode === "enabled" ? "degraded" : ceiling;
  if (!fresh) return mode === "enabled" ? "degraded" : "unmeasured";
  return ceiling;
}

/** Evidence older than this covers nothing any more. */
export const FRESHNESS_WINDOW_MS = 300_000;
/** A clock that is this much ahead is a clock; more is a lie. */
const CLOCK_SKEW_MS = 5_000;

/**
 * Whether evidence counts now. A time from the future never does: an untrusted issuer could keep a
 * claim fresh for ever by it, as it can with the reference.
 *
 * @param window_ms At most {@linkcode FRESHNESS_WINDOW_MS}, whatever the issuer says.
 */
export function isFresh(observed_at_ms: number, now_ms: number, window_ms: number): boolean {
  const age_ms = now_ms - observed_at_ms;
  return age_ms >= -CLOCK_SKEW_MS && age_ms <= Math.min(window_ms, FRESHNESS_WINDOW_MS);
}
