/**
 * Enforcement mode of one agent: which mode holds now, and who may weaken it, for how long
 * (contract `policy-and-gateway` §3.6, §11.4).
 *
 * @module
 */
import { type OperatorScope, scopeSatisfies } from "../../core/iam/role.ts";
import type { Enforcement } from "../../storage/sqlite/records.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** The mode every agent has unless an operator said otherwise. */
export const ENFORCE: Enforcement = Object.freeze({ mode: "enforce" });

/**
 * The mode that holds at `now_ms`. An override ends by itself: nothing has to run for it.
 *
 * @param enforcement As stored.
 */
export function effectiveEnforcement(enforcement: Enforcement, now_ms: number): Enforcement {
  if (enforcement.mode === "enforce" || now_ms < enforcement.expires_at_ms) return enforcement;
  return ENFORCE;
}

/** What an operator asks for. */
export interface EnforcementRequest {
  /** `disabled` and `unspecified` exist on the wire and are never accepted. */
  readonly mode: "enforce" | "observe" | "disabled" | "unspecified";
  readonly reason: string;
  /** Absent or 0 when not given. */
  readonly expires_at_ms?: number;
  /** Scope of the operator who asks. */
  readonly scope: OperatorScope;
  /** Whether descendants are changed too. */
  readonly cascade: boolean;
  /** Registry keys the change would touch now: the agent, and with `cascade` its descendants. */
  readonly affected: readonly string[];
  /** Registry keys that the operator was shown and confirms; required with `cascade`. */
  readonly expected: readonly string[];
  readonly now_ms: number;
}

/** Why a change of mode is refused. `code` maps to 403, 409 and 422 over HTTP. */
export interface EnforcementProblem {
  readonly code:
    | "permission_denied"
    | "mode_not_representable"
    | "reason_required"
    | "reason_too_long"
    | "expiry_required"
    | "expiry_not_in_future"
    | "expiry_too_far"
    | "cascade_too_large"
    | "cascade_preview_mismatch";
  readonly field: "scope" | "mode" | "reason" | "expires_at_ms" | "cascade" | "expected";
  readonly message: string;
}

/** A checked change of mode, or why not. */
export type EnforcementCheck =
  | { readonly ok: true; readonly enforcement: Enforcement; readonly agents: readonly string[] }
  | { readonly ok: false; readonly problem: EnforcementProblem };

/**
 * Checks a change of mode. Pure: the same request has the same answer.
 *
 * Weakening (`observe`) needs the admin scope, a reason and an end within 72 hours; strengthening
 * needs the write scope and nothing else, so that nothing stands in its way.
 */
export function validateEnforcementChange(request: EnforcementRequest): EnforcementCheck {
  const { mode, scope } = request;
  if (mode !== "enforce" && mode !== "observe") {
    return problem(
      "mode_not_representable",
      "mode",
      `expected enforce or observe, got \`${mode}\``,
    );
  }
  const needed = mode === "observe" ? "admin" : "write";
  if (!scopeSatisfies(scope, needed)) {
    return problem(
      "permission_denied",
      "scope",
      `${mode} needs the ${needed} scope, not \`${scope}\``,
    );
  }
  const cascade = cascadeProblem(request);
  if (cascade !== undefined) return { ok: false, problem: cascade };
  const agents = request.affected;
  if (mode === "enforce") return { ok: true, enforcement: ENFORCE, agents };
  const { reason, expires_at_ms = 0, now_ms } = request;
  if (reason.trim() === "") {
    return problem("reason_required", "reason", "say why verdicts are to be observed only");
  }
  if (reason.length > REGISTRY_LIMITS.reason_chars) {
    const limit = REGISTRY_LIMITS.reason_chars;
    return problem("reason_too_long", "reason", `at most ${limit} characters are kept`);
  }
  if (expires_at_ms === 0) {
    return problem("expiry_required", "expires_at_ms", "observing needs an end");
  }
  if (!(expires_at_ms > now_ms)) {
    return problem("expiry_not_in_future", "expires_at_ms", `\`${expires_at_ms}\` has passed`);
  }
  if (!Number.isSafeInteger(expires_at_ms) || expires_at_ms - now_ms > REGISTRY_LIMITS.observe_ms) {
    return problem("expiry_too_far", "expires_at_ms", "at most 72 hours from now are allowed");
  }
  return { ok: true, enforcement: { mode, expires_at_ms, reason }, agents };
}

/** The set must be the one that was previewed: never cut short, never silently grown. */
function cascadeProblem(request: EnforcementRequest): EnforcementProblem | undefined {
  if (!request.cascade) return undefined;
  const { affected, expected } = request;
  const limit = REGISTRY_LIMITS.cascade_agents;
  if (affected.length > limit) {
    return {
      code: "cascade_too_large",
      field: "cascade",
      message:
        `\`${affected.length}\` agents in one change, at most ${limit}: change parts of it instead`,
    };
  }
  const now = new Set(affected);
  const shown = new Set(expected);
  if (shown.size === expected.length && now.size === shown.size && now.isSubsetOf(shown)) {
    return undefined;
  }
  return {
    code: "cascade_preview_mismatch",
    field: "expected",
    message: `\`${now.size}\` agents would change, \`${shown.size}\` were confirmed or they ` +
      `differ: preview again`,
  };
}

function problem(
  code: EnforcementProblem["code"],
  field: EnforcementProblem["field"],
  message: string,
): EnforcementCheck {
  return { ok: false, problem: { code, field, message: `${field}: ${message}` } };
}
