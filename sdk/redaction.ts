/**
 * Applies a REDACT answer. The other side names the kinds it found and never sends text back, so
 * the spans are found here, and it is proven that every named kind was found and none is left.
 *
 * @module
 */
import {
  createScanner,
  type Finding,
  type Inspection,
  labelOf,
  redact as redactSpans,
  type Scanner,
} from "@agent-assembly/core/scanner";
import type { RedactInstructions } from "@agent-assembly/proto/policy";
import type { Act, FixedAct } from "./act.ts";
import type { JsonValue } from "./json.ts";

/** What was cut out of an act. */
export interface Redaction {
  /** Kind of the finding, e.g. `GitHubPat`, or a locale category. */
  readonly kind: string;
  /** How many were cut. */
  readonly count: number;
}

/** The act that may happen, or why it cannot be made safe here. */
export type RedactionResult<A extends Act = Act> =
  | {
    readonly ok: true;
    readonly act: A;
    /** By kind, ascending; what the answer named. */
    readonly redactions: readonly Redaction[];
  }
  | {
    readonly ok: false;
    /** For an error; names kinds, never text. */
    readonly why: string;
    readonly kinds: readonly string[];
  };

/** Path of an instruction that covers the whole text: too many findings to list. */
const WHOLE_TEXT = "$";
const WHOLE_LABEL = "[REDACTED]";

/** Kind by which answers name what could not be decoded, beside what a policy's own patterns find. */
const UNDECODED_KIND = "Custom";

const SCANNER: Scanner = createScanner({ patterns: [], locale_packs: ["zh-TW"] });

/**
 * Cuts what the instructions name out of an act.
 *
 * A path, an address or a command with a hole in it is another path, address or command, so only
 * arguments and answers of tools can be redacted. A kind that cannot be found here (a pattern that
 * only the policy knows) makes the act one that must not happen.
 */
export function redactAct<A extends Act>(
  fixed: FixedAct<A>,
  instructions: RedactInstructions | undefined,
  scanner: Scanner = SCANNER,
): RedactionResult<A> {
  const paths = [...new Set((instructions?.rules ?? []).map((rule) => rule.fieldPath))];
  const kinds = paths.map((path) => path.startsWith("$.") ? path.slice(2) : path);
  const { act, text } = fixed;
  const refuse = (why: string): RedactionResult<A> => ({ ok: false, why, kinds });
  if (kinds.length === 0) return refuse("sensitive data was found and the answer names no kind");
  if (text === undefined) {
    return refuse(`${kinds.join(", ")} cannot be cut out of this kind of act`);
  }
  const is_text = act.kind === "tool_result" && typeof act.result === "string";
  if (paths.includes(WHOLE_TEXT)) {
    if (act.kind !== "tool_result") return refuse("more was found than instructions can list");
    return { ok: true, act: { ...act, result: WHOLE_LABEL }, redactions: [] };
  }
  const cut = is_text ? cutText(text, kinds, scanner) : cutJson(text, kinds, scanner);
  if (typeof cut === "string") return refuse(cut);
  return { ok: true, act: withData(act, cut.data), redactions: cut.redactions };
}

interface Cut {
  readonly data: JsonValue;
  readonly redactions: readonly Redaction[];
}

function withData<A extends Act>(act: A, data: JsonValue): A {
  return act.kind === "tool_call" ? { ...act, args: data } : { ...act, result: data };
}

function cutText(text: string, kinds: readonly string[], scanner: Scanner): Cut | string {
  const found = find(text, kinds, scanner);
  if (typeof found === "string") return found;
  return { data: redactSpans(text, found), redactions: counted(found) };
}

/** Each text, number and name of a property by itself, so that the structure stays. */
function cutJson(text: string, kinds: readonly string[], scanner: Scanner): Cut | string {
  const found = find(text, kinds, scanner);
  if (typeof found === "string") return found;
  const redactions = counted(found);
  const leaves = JSON.stringify(cutLeaves(JSON.parse(text), kinds, scanner));
  if (isClean(leaves, kinds, scanner)) return { data: JSON.parse(leaves), redactions };
  // A finding over several leaves: cut it out of the text, if what is left is still JSON.
  try {
    const left: JsonValue = JSON.parse(redactSpans(text, found));
    if (isClean(JSON.stringify(left), kinds, scanner)) return { data: left, redactions };
  } catch {
    // A label swallowed a quote.
  }
  return `${kinds.join(", ")} cannot be cut out without breaking the data around it`;
}

function cutLeaves(value: JsonValue, kinds: readonly string[], scanner: Scanner): JsonValue {
  const cut = (text: string) => redactSpans(text, sensitive(text, kinds, scanner));
  const numbers = new Map<string, number>();
  const walk = (node: JsonValue): JsonValue => {
    if (typeof node === "string") return cut(node);
    if (typeof node === "number") {
      const text = String(node);
      const after = cut(text);
      return after === text ? node : after;
    }
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== "object" || node === null) return node;
    const copy: Record<string, JsonValue> = Object.create(null);
    for (const [key, one] of Object.entries(node)) {
      copy[freeKey(cut(key), copy, numbers)] = walk(one);
    }
    return copy;
  };
  return walk(value);
}

/** Two secrets as names may become one label: the second gets a number. */
function freeKey(
  key: string,
  taken: Readonly<Record<string, JsonValue>>,
  numbers: Map<string, number>,
): string {
  if (!(key in taken)) return key;
  for (let n = (numbers.get(key) ?? 1) + 1;; n++) {
    numbers.set(key, n);
    if (!(`${key}#${n}` in taken)) return `${key}#${n}`;
  }
}

/** What is to be cut out of a text, or why not all of it can be. */
function find(text: string, kinds: readonly string[], scanner: Scanner): Finding[] | string {
  let findings: Finding[];
  try {
    findings = sensitive(text, kinds, scanner);
  } catch {
    return "too much was found to cut";
  }
  const found = new Set(findings.map(kindOf));
  const missing = kinds.filter((kind) => !found.has(kind));
  if (missing.length > 0) return `${missing.join(", ")} cannot be found on this side`;
  return findings;
}

function isClean(text: string, kinds: readonly string[], scanner: Scanner): boolean {
  try {
    return sensitive(text, kinds, scanner).length === 0;
  } catch {
    return false;
  }
}

/** Findings of the named kinds, and what cannot be decoded: nobody knows it to be clean. */
function sensitive(text: string, kinds: readonly string[], scanner: Scanner): Finding[] {
  const { findings, undecoded } = inspected(text, scanner);
  const named = findings.filter((finding) => kinds.includes(kindOf(finding)));
  const unknown = undecoded.map(({ offset, end }): Finding => ({
    source: "pattern",
    kind: UNDECODED_KIND,
    offset,
    end,
  }));
  return [...named, ...unknown].sort((a, b) => a.offset - b.offset);
}

function inspected(text: string, scanner: Scanner): Inspection {
  return scanner.inspect?.(text) ?? { findings: scanner.scan(text), undecoded: [] };
}

function kindOf(finding: Finding): string {
  return finding.source === "locale" ? finding.category : finding.kind;
}

function counted(findings: readonly Finding[]): Redaction[] {
  const counts = new Map<string, number>();
  for (const finding of findings) {
    counts.set(kindOf(finding), (counts.get(kindOf(finding)) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => ({ kind, count }))
    .sort((a, b) => a.kind < b.kind ? -1 : 1);
}

/** A text for errors and notices: whoever refused an act may have repeated what was in it. */
export function withoutSecrets(text: string): string {
  try {
    const { findings, undecoded } = inspected(text, SCANNER);
    return undecoded.length > 0 ? WHOLE_LABEL : redactSpans(text, findings);
  } catch {
    return WHOLE_LABEL;
  }
}

/**
 * What a scan of a text would call its findings, and as `Custom` what it cannot decode; nothing leaves
 * the process.
 */
export function preflightScan(text: string, scanner: Scanner = SCANNER): PreflightFinding[] {
  const { findings, undecoded } = inspected(text, scanner);
  const unknown = undecoded.map(({ offset, end }) => ({
    kind: UNDECODED_KIND,
    offset,
    end,
    label: WHOLE_LABEL,
  }));
  const known = findings.map((finding) => ({
    kind: kindOf(finding),
    offset: finding.offset,
    end: finding.end,
    label: labelOf(finding),
  }));
  return [...known, ...unknown].sort((a, b) => a.offset - b.offset);
}

/** One finding of the preflight scan. Offsets are UTF-8 bytes. */
export interface PreflightFinding {
  /** Kind of what was found. */
  readonly kind: string;
  /** First byte. */
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  /** What a redaction would put there. */
  readonly label: string;
}
