/**
 * The one definition of the policy language: every key, its type, its bounds and its meaning
 * (contract `policy-and-gateway` §1.3-1.5). The reader, the unknown-key check, the suggestions and
 * the JSON Schema all come from here, so none of them can disagree with another.
 *
 * @module
 */

import {
  ANOMALY_RESPONSES,
  type AnomalyResponse,
  DETECTOR_NAMES,
  type DetectorName,
  DETECTORS,
} from "../anomaly/detectors.ts";

/** Free text. A plain number or boolean is taken as it is written, so `version: 1.10` is `1.10`. */
export interface TextSpec {
  readonly type: "text";
  readonly doc: string;
  /** What a good value looks like, for editors: an ECMAScript pattern. Never used to load. */
  readonly pattern?: string;
  /** `key:` without a value counts as absent; everywhere else it is an error. */
  readonly nullable?: true;
}

/** One word out of a closed set. */
export interface ChoiceSpec<V extends string = string> {
  readonly type: "choice";
  readonly doc: string;
  readonly values: readonly V[];
  /** What is said about a word outside the set. */
  readonly expected: string;
}

/** `true` or `false`. */
export interface FlagSpec {
  readonly type: "flag";
  readonly doc: string;
}

/** A whole number, both bounds inclusive. */
export interface IntegerSpec {
  readonly type: "integer";
  readonly doc: string;
  readonly min: number;
  readonly max: number;
}

/** An amount of US dollars above zero, kept as an integer of micro-dollars. */
export interface MoneySpec {
  readonly type: "money";
  readonly doc: string;
}

/** What a list may hold. */
type ItemSpec = TextSpec | ChoiceSpec | SectionSpec;

/** A list; each item counts as one rule. */
export interface ListSpec<I extends ItemSpec = ItemSpec> {
  readonly type: "list";
  readonly doc: string;
  readonly of: I;
}

/** A mapping with a closed set of keys. */
export interface SectionSpec<K extends Keys = Keys> {
  readonly type: "section";
  readonly doc: string;
  readonly keys: K;
}

/** A mapping from free names to one kind of section; each entry counts as one rule. */
export interface EntriesSpec<S extends SectionSpec = SectionSpec> {
  readonly type: "entries";
  readonly doc: string;
  readonly entry: S;
}

/** Any value of the language. */
export type Spec =
  | TextSpec
  | ChoiceSpec
  | FlagSpec
  | IntegerSpec
  | MoneySpec
  | ListSpec
  | SectionSpec
  | EntriesSpec;

/** The keys of a section, in the order in which messages list them. */
export interface Keys {
  readonly [key: string]: Spec;
}

const U32_MAX = 4_294_967_295;

function text(doc: string, more: Omit<TextSpec, "type" | "doc"> = {}): TextSpec {
  return { type: "text", doc, ...more };
}

function choice<const V extends string>(
  doc: string,
  values: readonly V[],
  expected: string,
): ChoiceSpec<V> {
  return { type: "choice", doc, values, expected };
}

function flag(doc: string): FlagSpec {
  return { type: "flag", doc };
}

function integer(doc: string, min: number, max: number = U32_MAX): IntegerSpec {
  return { type: "integer", doc, min, max };
}

function money(doc: string): MoneySpec {
  return { type: "money", doc };
}

function list<I extends ItemSpec>(doc: string, of: I): ListSpec<I> {
  return { type: "list", doc, of };
}

function section<const K extends Keys>(doc: string, keys: K): SectionSpec<K> {
  return { type: "section", doc, keys };
}

/** Capability tokens without a name, and whether a decision ever consults them (§1.5). */
export const CAPABILITIES = {
  file_read: true,
  file_write: true,
  file_delete: true,
  network_outbound: true,
  terminal_exec: true,
  network_inbound: false,
  agent_spawn: false,
} as const;

/** Capability kinds that carry a name after a colon, and whether a decision consults them. */
export const NAMED_CAPABILITIES = { mcp_tool: true, model: false } as const;

/** The closed set of system calls, each with its x86-64 number (§1.5). */
export const SYSCALLS = {
  read: 0,
  write: 1,
  close: 3,
  openat: 257,
  fstat: 5,
  lseek: 8,
  mmap: 9,
  munmap: 11,
  brk: 12,
  rt_sigaction: 13,
  rt_sigprocmask: 14,
  exit: 60,
  exit_group: 231,
  clock_gettime: 228,
  getrandom: 318,
} as const;

/** Locale packs this build contains, lower case; any other tag loads and then denies (§1.5). */
export const LOCALE_PACKS: readonly string[] = ["zh-tw"];

/** Approval timeout when the document states none, in seconds. */
export const APPROVAL_TIMEOUT_DEFAULT_SECS = 300;

/** Longest rolling window of a budget, in days. */
export const ROLLING_DAYS_MAX = 92;
const UNITS_MAX = 1_000_000_000_000_000;
const SECONDS_MAX = 1_000_000_000;

const CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
const CLOCK_END = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
const ZONE = "IANA time zone name, for example `Europe/Berlin`.";

const NETWORK = section("Outbound network rule. Present with an empty list it denies every host.", {
  allowlist: list(
    "Hosts an agent may reach: exact, `*.example.com` (never the apex), or `*`.",
    text("Host pattern.", { pattern: "\\S" }),
  ),
});

const ACTIVE_HOURS = section("Daily opening window; `end` is exclusive.", {
  start: text("Opening time, `HH:MM`.", { pattern: CLOCK }),
  end: text("Closing time, `HH:MM`, or `24:00` for the end of the day.", { pattern: CLOCK_END }),
  timezone: text(ZONE),
});

const NAMED_LIMIT = section(
  "One limit under a name of your choice; it binds calls that are charged.",
  {
    per: choice(
      "Whose spend counts; `agent` when absent. `subtree` is an agent with all its descendants.",
      ["agent", "subtree", "team", "org", "global"],
      "must be 'agent', 'subtree', 'team', 'org' or 'global'",
    ),
    window: choice(
      "How long spend counts; `daily` when absent. `rolling` is today and the days before it.",
      ["daily", "monthly", "rolling"],
      "must be 'daily', 'monthly' or 'rolling'",
    ),
    days: integer("Days of a `rolling` window, today included.", 1, ROLLING_DAYS_MAX),
    usd: money("Most US dollars."),
    tokens: integer("Most tokens, of prompts and answers.", 1, UNITS_MAX),
    calls: integer("Most calls of tools and models.", 1, UNITS_MAX),
    wall_seconds: integer("Most seconds that calls of models may take together.", 1, SECONDS_MAX),
  },
);

const BUDGET = section("Money limits, in US dollars.", {
  daily_limit_usd: money("Limit per agent and day."),
  monthly_limit_usd: money("Limit per agent and month; at least the daily limit."),
  team_daily_limit_usd: money("Limit per team and day."),
  team_monthly_limit_usd: money("Limit per team and month; at least the daily limit."),
  org_daily_limit_usd: money("Limit per organisation and day."),
  org_monthly_limit_usd: money("Limit per organisation and month; at least the daily limit."),
  global_daily_limit_usd: money("Limit of the whole fleet per day."),
  global_monthly_limit_usd: money("Limit of the whole fleet per month; at least the daily limit."),
  timezone: text(`Where days and months begin: ${ZONE}`),
  action_on_exceed: choice(
    "What a budget denial does beyond denying; `deny` when absent.",
    ["deny", "suspend"],
    "must be 'deny' or 'suspend'",
  ),
  window: text("Length of the short window, for example `1h`, `30m` or `500ms`."),
  limits: {
    type: "entries",
    doc: "Further limits by name: per subtree, of tokens, calls or wall time, over rolling days.",
    entry: NAMED_LIMIT,
  } as EntriesSpec<typeof NAMED_LIMIT>,
  assumed_output_tokens: integer(
    "Output tokens added to the price of a model call whose caller states none.",
    1,
    SECONDS_MAX,
  ),
  agent_settlement: choice(
    "How far an agent's own word lowers the price of its call: never below the estimate of its " +
      "prompt, which is the default, or `trusted`.",
    ["at_least_estimate", "trusted"],
    "must be 'at_least_estimate' or 'trusted'",
  ),
});

const DATA = section("What happens to secrets in an action.", {
  sensitive_patterns: list(
    "Further secrets to look for, beside the built-in kinds.",
    text("Regular expression in the RE2 dialect: no look-around, no back-references."),
  ),
  credential_action: choice(
    "What happens when a secret is found; `redact_only` when absent.",
    ["block", "redact_only", "alert_only", "alert_and_redact"],
    "must be one of 'block', 'redact_only', 'alert_only', 'alert_and_redact'",
  ),
  locale_packs: list(
    "National detectors to add. A tag this build does not contain denies every action.",
    text("Language tag; `zh-TW` exists."),
  ),
});

const TOOL = section("Rule for one tool, or for `*`: every tool without its own entry.", {
  allow: flag("Whether the tool may be called; `false` when absent."),
  limit_per_hour: integer("Calls per hour; 0 denies every call.", 0),
  requires_approval_if: text(
    "Condition under which a person must approve, for example `args.amount > 100`.",
    { pattern: "\\S" },
  ),
  cost_usd: money("Price of one call; counts against the money limits of a budget."),
});

const CAPABILITY = text("Capability token, for example `file_read` or `mcp_tool:git`.", {
  pattern: `^(${Object.keys(CAPABILITIES).join("|")}|(${
    Object.keys(NAMED_CAPABILITIES).join("|")
  }):[\\s\\S]*\\S[\\s\\S]*)$`,
});

const PATHS = section("One verb. Present with an empty list it denies every path.", {
  allow: list("Absolute paths; each covers its subtree.", text("Absolute path.", { pattern: "/" })),
});

/** Kinds of action a rule may speak of (contract §4.1). */
const ACTION_KINDS = [
  "tool_call",
  "tool_result",
  "file_access",
  "network_request",
  "process_exec",
  "send_message",
] as const;

/** Most tokens of one declared rate limit: with the longest window all arithmetic stays exact. */
export const RATE_LIMIT_TOKENS_MAX = 1_000_000;

const RATE_LIMIT = section(
  "One limit, on top of `limit_per_hour`. Counts every action it selects.",
  {
    per: choice(
      "Whose actions are counted together. An agent without a team or organisation counts alone.",
      ["agent", "team", "org", "global"],
      "must be one of 'agent', 'team', 'org', 'global'",
    ),
    tool: text(
      "Only calls of these tools: a name, which may hold one `*` for any text. " +
        "All of them draw from one bucket.",
      { pattern: "^[^*]*\\*?[^*]*$" },
    ),
    action: choice(
      "Only actions of this kind; every kind when absent.",
      ACTION_KINDS,
      "unknown kind of action",
    ),
    limit: integer("Actions a window; 0 denies every one.", 0, RATE_LIMIT_TOKENS_MAX),
    window: text("Length of the window, 1 second to 31 days, for example `1m`, `1h` or `7d`."),
  },
);

const RESPONSES = "must be one of 'alert', 'require_approval', 'throttle', 'quarantine'";

/** One key a detector; the values are what to do when it speaks. */
const ANOMALY_KEYS = Object.fromEntries(
  DETECTOR_NAMES.map((name) => [
    name,
    choice(`What happens on ${DETECTORS[name].notices}.`, ANOMALY_RESPONSES, RESPONSES),
  ]),
) as { readonly [name in DetectorName]: ChoiceSpec<AnomalyResponse> };

/** The body of a policy: the top level of the flat form, `spec` of the envelope form. */
export const BODY = section("Agent Assembly policy.", {
  version: text("Free label; takes part in the document digest.", { nullable: true }),
  scope: text(
    "Whom the document governs: `global`, `org:<id>`, `team:<id>`, `agent:<uuid>` or `tool:<name>`.",
    { pattern: "^(global|(org|team|agent|tool):[\\s\\S]+)$" },
  ),
  network: NETWORK,
  schedule: section("When agents may act.", { active_hours: ACTIVE_HOURS }),
  budget: BUDGET,
  data: DATA,
  tools: { type: "entries", doc: "Rules by tool name.", entry: TOOL } as EntriesSpec<typeof TOOL>,
  capabilities: section("What kinds of action are open to agents.", {
    allow: list("When stated and not empty, everything else is denied.", CAPABILITY),
    deny: list("Denied whatever `allow` says.", CAPABILITY),
  }),
  filesystem: section("Which paths agents may touch.", { read: PATHS, write: PATHS }),
  syscalls: section("Which system calls the kernel layer permits.", {
    allow: list(
      "Present with an empty list it denies every one.",
      choice("System call.", Object.keys(SYSCALLS), "unknown syscall"),
    ),
  }),
  approval_timeout_secs: integer("Seconds an approval may wait; 300 when absent.", 1),
  approval: section("How a waiting approval escalates.", {
    timeout_seconds: integer("Seconds before it escalates.", 0),
    escalation_role: text("Role it escalates to."),
  }),
  anomaly: section(
    "What happens when a detector speaks; `alert` where nothing is stated.",
    ANOMALY_KEYS,
  ),
  rate_limits: list("Limits per agent, team, organisation or gateway.", RATE_LIMIT),
});

/** What describes a document in the envelope form. */
export const METADATA = section("What describes the document.", {
  name: text("Document name.", { nullable: true }),
  version: text("Document version.", { nullable: true }),
  description: text("Free text.", { nullable: true }),
});

/** Keys of the envelope form beside `spec`; `apiVersion` and `kind` take any value (§1.1). */
export const ENVELOPE_KEYS = ["apiVersion", "kind", "metadata", "spec"] as const;
