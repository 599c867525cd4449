/**
 * The typed policy document: what one valid policy file says, with the place of every rule.
 * Shapes and defaults follow contract `policy-and-gateway` §1.3-1.5.
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { AnomalyResponse, DetectorName } from "../anomaly/detectors.ts";
import type { Located, Position } from "./position.ts";
import type { Condition } from "./expression/condition.ts";

/** Which agents a document governs (contract §1.4). */
export type Scope =
  | { readonly tier: "global" }
  | { readonly tier: "org" | "team" | "tool"; readonly id: string }
  /** `id` is the lower-case hyphenated UUID text of the 16-byte agent id. */
  | { readonly tier: "agent"; readonly id: string };

/** The cascade order, widest first. */
export const TIERS: readonly Scope["tier"][] = ["global", "org", "team", "agent", "tool"];

/** What happens to a secret in an action, weakest first is `alert_only`. */
export type CredentialAction = "block" | "redact_only" | "alert_and_redact" | "alert_only";

/** One capability token, already parsed. `text` is the token as written, e.g. `mcp_tool:git`. */
export interface Capability extends Position {
  readonly text: string;
}

/** A rule for one tool name or for `*`. */
export interface ToolRule {
  /** Where the entry's key stands. */
  readonly at: Position;
  /** `false` when the key is absent (contract §1.5). */
  readonly allow: boolean;
  /** Where `allow` stands; absent when the default applies. */
  readonly allow_at?: Position;
  readonly limit_per_hour?: Located<number>;
  readonly requires_approval_if?: Condition;
  /** Price of one call, in micro-dollars. */
  readonly cost_micro_usd?: Located<number>;
}

/** A daily opening window in one time zone, minutes since local midnight, end exclusive, end may be 1440. */
export interface ActiveHours {
  readonly at: Position;
  readonly start: string;
  readonly end: string;
  readonly start_minute: number;
  readonly end_minute: number;
  /** IANA name. An unknown one is a load error, and a denial if it ever reaches a decision. */
  readonly timezone: string;
}

/** A limit of `budget.limits`: at least one of its dimensions is stated. */
export interface NamedLimit {
  readonly at: Position;
  readonly per: "agent" | "subtree" | "team" | "org" | "global";
  readonly window: "daily" | "monthly" | "rolling";
  /** Only of a rolling window. */
  readonly days?: number;
  readonly micro_usd?: Located<number>;
  readonly tokens?: Located<number>;
  readonly calls?: Located<number>;
  readonly wall_ms?: Located<number>;
}

/** Money limits, integers of micro-dollars. */
export interface Budget {
  readonly at: Position;
  readonly daily_limit_micro_usd?: Located<number>;
  readonly monthly_limit_micro_usd?: Located<number>;
  readonly team_daily_limit_micro_usd?: Located<number>;
  readonly team_monthly_limit_micro_usd?: Located<number>;
  readonly org_daily_limit_micro_usd?: Located<number>;
  readonly org_monthly_limit_micro_usd?: Located<number>;
  readonly global_daily_limit_micro_usd?: Located<number>;
  readonly global_monthly_limit_micro_usd?: Located<number>;
  readonly timezone?: string;
  readonly action_on_exceed: "deny" | "suspend";
  readonly window_ms?: number;
  /** Absent when the document names none. */
  readonly limits?: ReadonlyMap<string, NamedLimit>;
  readonly assumed_output_tokens?: number;
  /** Absent: never below the estimate of the prompt. */
  readonly agent_settlement?: "at_least_estimate" | "trusted";
}

/** The `data` section. */
export interface DataRules {
  readonly at: Position;
  readonly sensitive_patterns: readonly Located<string>[];
  readonly credential_action: CredentialAction;
  readonly credential_action_at?: Position;
  readonly locale_packs: readonly Located<string>[];
}

/** A verb of the `filesystem` section: normalised absolute paths, empty means deny all. */
export interface PathRules {
  readonly at: Position;
  readonly allow: readonly Located<string>[];
}

/** Whose actions one declared rate limit counts together. */
export type RateLimitOwner = "agent" | "team" | "org" | "global";

/** One limit of `rate_limits`, on top of the contract's `limit_per_hour`. */
export interface RateLimitRule {
  readonly at: Position;
  readonly per: RateLimitOwner;
  /** A tool's name, or a pattern with one `*`; only calls of such tools are counted. */
  readonly tool?: string;
  /** Only actions of this kind are counted; with neither, every action is. */
  readonly action?: Action["kind"];
  readonly limit: Located<number>;
  readonly window_ms: number;
}

/** The `anomaly` section: stated responses only. */
export interface AnomalyRules {
  readonly at: Position;
  readonly responses: ReadonlyMap<DetectorName, Located<AnomalyResponse>>;
}

/** One loaded, valid policy document. */
export interface PolicyDocument {
  /** Name shown in explanations: the file name as given to the loader. */
  readonly file: string;
  readonly form: "flat" | "envelope";
  readonly name?: string;
  readonly policy_version?: string;
  readonly version?: string;
  readonly scope: Scope;
  readonly scope_at?: Position;
  readonly network?: { readonly at: Position; readonly allowlist: readonly Located<string>[] };
  /** Present without `active_hours` for `schedule: {}`, which restricts nothing. */
  readonly schedule?: { readonly at: Position; readonly active_hours?: ActiveHours };
  readonly budget?: Budget;
  readonly data?: DataRules;
  readonly tools: ReadonlyMap<string, ToolRule>;
  readonly capabilities?: {
    readonly at: Position;
    readonly allow: readonly Capability[];
    readonly deny: readonly Capability[];
  };
  /** Absent for `filesystem: {}` too (contract §1.5). */
  readonly filesystem?: {
    readonly at: Position;
    readonly read?: PathRules;
    readonly write?: PathRules;
  };
  readonly syscalls?: { readonly at: Position; readonly allow: readonly Located<string>[] };
  readonly approval_timeout_secs: number;
  readonly approval?: { readonly timeout_seconds?: number; readonly escalation_role?: string };
  readonly anomaly?: AnomalyRules;
  /** Absent when none is declared. */
  readonly rate_limits?: readonly RateLimitRule[];
  /** Document identity, `sha256:<64 hex>` (contract §1.10). */
  readonly digest: string;
}
