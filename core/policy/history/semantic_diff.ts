/**
 * What changes between two policy sets, rule by rule: paths and values instead of lines.
 *
 * Documents are matched by file name. Every rule of a document becomes one path with one value;
 * lists that mean a set (hosts, capabilities, paths, patterns) become one path an item, so that
 * moving an item changes nothing.
 *
 * @module
 */
import type { PolicyDocument, Scope } from "../document.ts";
import type { Located } from "../position.ts";

/** One changed rule. */
export interface RuleChange {
  /** Name of the file, as the set has it. */
  readonly file: string;
  /** E.g. `tools.bash.allow`, `network.allowlist[api.example.com]`; `(document)` for a whole one. */
  readonly path: string;
  /** Absent when the rule is new. */
  readonly before?: string;
  /** Absent when the rule is gone. */
  readonly after?: string;
}

/** A document and the name of its file in the set. */
export interface NamedDocument {
  readonly name: string;
  readonly document: PolicyDocument;
}

/** Path of a document as a whole. */
export const WHOLE_DOCUMENT = "(document)";

/** Every rule that differs, in the order of files and paths. */
export function semanticDiff(
  before: readonly NamedDocument[],
  after: readonly NamedDocument[],
): RuleChange[] {
  const old = new Map(before.map(({ name, document }) => [name, document]));
  const now = new Map(after.map(({ name, document }) => [name, document]));
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names.flatMap((file) => documentChanges(file, old.get(file), now.get(file)));
}

function documentChanges(
  file: string,
  before: PolicyDocument | undefined,
  after: PolicyDocument | undefined,
): RuleChange[] {
  if (before?.digest === after?.digest) return [];
  const whole: RuleChange[] = before === undefined && after !== undefined
    ? [{ file, path: WHOLE_DOCUMENT, after: scopeText(after.scope) }]
    : before !== undefined && after === undefined
    ? [{ file, path: WHOLE_DOCUMENT, before: scopeText(before.scope) }]
    : [];
  const old = before === undefined ? new Map<string, string>() : rulesOf(before);
  const now = after === undefined ? new Map<string, string>() : rulesOf(after);
  const paths = [...new Set([...old.keys(), ...now.keys()])].sort();
  return [
    ...whole,
    ...paths.filter((path) => old.get(path) !== now.get(path)).map((path): RuleChange => {
      const [was, is] = [old.get(path), now.get(path)];
      return {
        file,
        path,
        ...(was === undefined ? {} : { before: was }),
        ...(is === undefined ? {} : { after: is }),
      };
    }),
  ];
}

/** Every rule of a document as a path and a value. */
export function rulesOf(document: PolicyDocument): Map<string, string> {
  const rules = new Map<string, string>();
  const put = (path: string, value: unknown) => {
    if (value === undefined) return;
    // What stands twice, or twice with two values, is shown as often as it stands.
    const known = rules.get(path);
    rules.set(path, known === undefined ? String(value) : `${known}, ${value}`);
  };
  const items = (path: string, list: readonly Located<string>[] | undefined) => {
    if (list === undefined) return;
    // A list that is there and empty means "none", which is not the same as no list.
    if (list.length === 0) put(path, "[]");
    for (const { value } of list) put(`${path}[${value}]`, "listed");
  };
  put("scope", scopeText(document.scope));
  put("name", document.name);
  put("policy_version", document.policy_version);
  put("version", document.version);
  items("network.allowlist", document.network?.allowlist);
  putSchedule(document, put);
  putBudget(document, put);
  items("data.sensitive_patterns", document.data?.sensitive_patterns);
  put("data.credential_action", document.data?.credential_action);
  items("data.locale_packs", document.data?.locale_packs);
  for (const [name, rule] of document.tools) {
    put(`tools.${name}.allow`, rule.allow);
    put(`tools.${name}.limit_per_hour`, rule.limit_per_hour?.value);
    const condition = rule.requires_approval_if;
    put(`tools.${name}.requires_approval_if`, condition?.canonical ?? condition?.text);
  }
  const { capabilities, filesystem } = document;
  for (const kind of ["allow", "deny"] as const) {
    items(
      `capabilities.${kind}`,
      capabilities?.[kind].map(({ text, ...at }) => ({ ...at, value: text })),
    );
  }
  items("filesystem.read.allow", filesystem?.read?.allow);
  items("filesystem.write.allow", filesystem?.write?.allow);
  items("syscalls.allow", document.syscalls?.allow);
  put("approval_timeout_secs", document.approval_timeout_secs);
  put("approval.timeout_seconds", document.approval?.timeout_seconds);
  put("approval.escalation_role", document.approval?.escalation_role);
  for (const rule of document.rate_limits ?? []) {
    const what = [rule.tool, rule.action].filter((part) => part !== undefined).join(" ");
    put(
      `rate_limits[${rule.per}${what === "" ? "" : ` ${what}`} ${rule.window_ms} ms]`,
      rule.limit.value,
    );
  }
  return rules;
}

function putSchedule(document: PolicyDocument, put: (path: string, value: unknown) => void): void {
  if (document.schedule === undefined) return;
  const hours = document.schedule.active_hours;
  if (hours === undefined) return put("schedule", "{}");
  put("schedule.active_hours.start", hours.start);
  put("schedule.active_hours.end", hours.end);
  put("schedule.active_hours.timezone", hours.timezone);
}

function putBudget(document: PolicyDocument, put: (path: string, value: unknown) => void): void {
  const { budget } = document;
  if (budget === undefined) return;
  for (const [name, value] of Object.entries(budget)) {
    if (name === "at" || value === undefined) continue;
    put(`budget.${name}`, typeof value === "object" && "value" in value ? value.value : value);
  }
}

function scopeText(scope: Scope): string {
  return scope.tier === "global" ? "global" : `${scope.tier}:${scope.id}`;
}
