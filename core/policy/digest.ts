/**
 * The identity of a document: a hash over what it means, not over how it is written
 * (contract `policy-and-gateway` §1.10).
 *
 * The input is a sequence of fields in a fixed order. Every text is preceded by its length in
 * bytes as eight big-endian bytes, every optional value by one byte saying whether it is there,
 * every list by its count: no two different documents have the same input.
 *
 * @module
 */
import { Sha256 } from "../sha256.ts";
import type {
  ActiveHours,
  Budget,
  PathRules,
  PolicyDocument,
  Scope,
  ToolRule,
} from "./document.ts";
import type { Located } from "./position.ts";

/** Domain tag and version of the encoding. */
const DOMAIN_TAG = "aa-policy-doc-id\x01";

/** Tags of sections that take part only when stated. */
const FILESYSTEM_TAG = "fs\x01";
const SYSCALLS_TAG = "sys\x01";
const ANOMALY_TAG = "anomaly\x01";
const RATE_LIMITS_TAG = "rate\x01";
const LEDGER_TAG = "ledger\x01";
const PRICES_TAG = "price\x01";

/** Hashes length-prefixed fields. */
class FieldHash {
  readonly #hash = new Sha256();

  constructor(domain: string) {
    this.#hash.update(domain);
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#length(bytes.length);
    this.#hash.update(bytes);
  }

  number(value: number): void {
    this.text(String(value));
  }

  /** One byte for "there is none", or one byte and the value. */
  optional<T>(value: T | undefined, write: (value: T) => void): void {
    this.#hash.update(value === undefined ? "\0" : "\x01");
    if (value !== undefined) write(value);
  }

  list<T>(items: Iterable<T>, write: (item: T) => void): void {
    const array = [...items];
    this.#length(array.length);
    for (const item of array) write(item);
  }

  digest(): string {
    return this.#hash.hex();
  }

  #length(length: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length));
    this.#hash.update(bytes);
  }
}

/**
 * The digest of a document, `sha256:<64 hex>`. Places, comments, key order and the form (flat or
 * envelope) do not enter; every rule does.
 */
export function policyDigest(document: Omit<PolicyDocument, "digest">): string {
  const hash = new FieldHash(DOMAIN_TAG);
  const text = (value: string) => hash.text(value);
  const number = (value: number) => hash.number(value);
  const texts = (values: readonly Located<string>[]) =>
    hash.list(values, (located) => hash.text(located.value));
  hash.text(scopeText(document.scope));
  hash.optional(document.name, text);
  hash.optional(document.policy_version, text);
  hash.optional(document.version, text);
  hash.optional(document.network, (network) => texts(network.allowlist));
  hash.optional(
    document.schedule,
    (schedule) => hash.optional(schedule.active_hours, (hours) => hashHours(hash, hours)),
  );
  hash.optional(document.budget, (budget) => {
    const amount = (limit: Located<number> | undefined) =>
      hash.optional(limit, (located) => hash.number(located.value));
    amount(budget.daily_limit_micro_usd);
    amount(budget.monthly_limit_micro_usd);
    amount(budget.team_daily_limit_micro_usd);
    amount(budget.team_monthly_limit_micro_usd);
    amount(budget.org_daily_limit_micro_usd);
    amount(budget.org_monthly_limit_micro_usd);
    hash.optional(budget.timezone, text);
    hash.text(budget.action_on_exceed);
    hash.optional(budget.window_ms, number);
  });
  hash.optional(document.data, (data) => {
    texts(data.sensitive_patterns);
    hash.text(data.credential_action);
    if (data.locale_packs.length > 0) texts(data.locale_packs);
  });
  hash.number(document.approval_timeout_secs);
  hash.optional(document.approval, (approval) => {
    hash.optional(approval.timeout_seconds, number);
    hash.optional(approval.escalation_role, text);
  });
  hash.list(byName(document.tools), ([name, rule]) => hashTool(hash, name, rule));
  hash.optional(document.capabilities, (capabilities) => {
    hash.list(capabilities.allow, (capability) => hash.text(capability.text));
    hash.list(capabilities.deny, (capability) => hash.text(capability.text));
  });
  if (document.filesystem !== undefined) {
    hash.text(FILESYSTEM_TAG);
    const paths = (rules: PathRules) => texts(rules.allow);
    hash.optional(document.filesystem.read, paths);
    hash.optional(document.filesystem.write, paths);
  }
  if (document.syscalls !== undefined) {
    hash.text(SYSCALLS_TAG);
    texts(document.syscalls.allow);
  }
  if (document.anomaly !== undefined) {
    hash.text(ANOMALY_TAG);
    hash.list(document.anomaly.responses, ([detector, response]) => {
      hash.text(detector);
      hash.text(response.value);
    });
  }
  if (document.rate_limits !== undefined) {
    hash.text(RATE_LIMITS_TAG);
    hash.list(document.rate_limits, (rule) => {
      hash.text(rule.per);
      hash.optional(rule.tool, text);
      hash.optional(rule.action, text);
      hash.number(rule.limit.value);
      hash.number(rule.window_ms);
    });
  }
  if (document.budget !== undefined) hashLedgerKeys(hash, document.budget);
  const priced = byName(document.tools).filter(([, rule]) => rule.cost_micro_usd !== undefined);
  if (priced.length > 0) {
    hash.text(PRICES_TAG);
    hash.list(priced, ([name, rule]) => {
      hash.text(name);
      hash.number(rule.cost_micro_usd?.value ?? 0);
    });
  }
  return `sha256:${hash.digest()}`;
}

/** Budget keys beyond the contract: a document without them has the digest it always had. */
function hashLedgerKeys(hash: FieldHash, budget: Budget): void {
  const { global_daily_limit_micro_usd, global_monthly_limit_micro_usd, limits } = budget;
  const { assumed_output_tokens, agent_settlement } = budget;
  const stated = [
    global_daily_limit_micro_usd,
    global_monthly_limit_micro_usd,
    limits,
    assumed_output_tokens,
    agent_settlement,
  ];
  if (stated.every((value) => value === undefined)) return;
  const amount = (limit: Located<number> | undefined) =>
    hash.optional(limit, (located) => hash.number(located.value));
  hash.text(LEDGER_TAG);
  amount(global_daily_limit_micro_usd);
  amount(global_monthly_limit_micro_usd);
  hash.list([...limits ?? []].toSorted(([a], [b]) => a < b ? -1 : 1), ([name, limit]) => {
    hash.text(name);
    hash.text(limit.per);
    hash.text(limit.window);
    hash.optional(limit.days, (days) => hash.number(days));
    amount(limit.micro_usd);
    amount(limit.tokens);
    amount(limit.calls);
    amount(limit.wall_ms);
  });
  hash.optional(assumed_output_tokens, (tokens) => hash.number(tokens));
  hash.optional(agent_settlement, (word) => hash.text(word));
}

function hashHours(hash: FieldHash, hours: ActiveHours): void {
  hash.number(hours.start_minute);
  hash.number(hours.end_minute);
  hash.text(hours.timezone);
}

function hashTool(hash: FieldHash, name: string, rule: ToolRule): void {
  hash.text(name);
  hash.number(Number(rule.allow));
  hash.optional(rule.limit_per_hour, (limit) => hash.number(limit.value));
  hash.optional(
    rule.requires_approval_if,
    (condition) => hash.text(condition.canonical ?? condition.text),
  );
}

/** Entries in the order of their names' UTF-16 units. */
function byName(tools: ReadonlyMap<string, ToolRule>): [string, ToolRule][] {
  return [...tools].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
}

function scopeText(scope: Scope): string {
  return scope.tier === "global" ? "global" : `${scope.tier}:${scope.id}`;
}
