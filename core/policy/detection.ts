/**
 * Sensitive data in an action: the merged `data` rules of a cascade, and what becomes of an action
 * that carries a secret (contract `policy-and-gateway` §3.2, §4.7).
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import {
  type CompiledPattern,
  compilePattern,
  createScanner,
  redact,
  ScanLimitError,
} from "../scanner/mod.ts";
import type { Finding, Scanner } from "../scanner/finding.ts";
import type { CompiledDocument } from "./compiled_document.ts";
import type { CredentialAction } from "./document.ts";
import { type Denial, ruleAt } from "./stage.ts";

/** What a scanner is built from: patterns and packs, each once. */
export interface DetectionRules {
  readonly patterns: readonly string[];
  readonly locale_packs: readonly string[];
}

/** Builds a scanner; may throw, which denies every action under the documents concerned. */
export type ScannerFactory = (rules: DetectionRules) => Scanner;

/** The scanner of this build: built-in detectors, then patterns, then locale packs. */
export function builtinScanner(rules: DetectionRules): Scanner {
  return createScanner({
    patterns: rules.patterns.map(patternOf),
    locale_packs: rules.locale_packs,
  });
}

/** The loader has refused patterns that do not compile; one that got past it must still not pass. */
function patternOf(source: string): CompiledPattern {
  const compiled = compilePattern(source);
  if (!compiled.ok) throw new SyntaxError(compiled.message);
  return compiled.pattern;
}

/** Weakest first (contract §3.2). */
const STRENGTH: readonly CredentialAction[] = [
  "alert_only",
  "alert_and_redact",
  "redact_only",
  "block",
];

/** The merged `data` rules of a cascade. */
export interface DetectionPlan {
  readonly rules: DetectionRules;
  readonly action: CredentialAction;
  /** The document whose action is the strongest; absent when none has a `data` section. */
  readonly by?: CompiledDocument;
  /** Documents with a `data` section, widest first. */
  readonly documents: readonly CompiledDocument[];
}

/** Merges: strongest action, union of patterns and packs. No `data` section at all: redact. */
export function planDetection(documents: readonly CompiledDocument[]): DetectionPlan {
  const patterns = new Set<string>();
  const locale_packs = new Set<string>();
  const speaking: CompiledDocument[] = [];
  let action: CredentialAction | undefined;
  let strongest: CompiledDocument | undefined;
  for (const by of documents) {
    const data = by.document.data;
    if (data === undefined) continue;
    speaking.push(by);
    for (const pattern of data.sensitive_patterns) patterns.add(pattern.value);
    for (const pack of data.locale_packs) locale_packs.add(pack.value);
    if (action === undefined || rank(data.credential_action) > rank(action)) {
      action = data.credential_action;
      strongest = by;
    }
  }
  return {
    rules: { patterns: [...patterns], locale_packs: [...locale_packs] },
    action: action ?? "redact_only",
    ...(strongest && { by: strongest }),
    documents: speaking,
  };
}

/** An action of no known name ranks above all, and is then treated as `block`. */
function rank(action: CredentialAction): number {
  const found = STRENGTH.indexOf(action);
  return found < 0 ? STRENGTH.length : found;
}

/** What scanning made of a text. */
export interface Detection {
  readonly findings: readonly Finding[];
  /** Present only when redaction changed the text. */
  readonly redacted?: string;
  readonly denial?: Denial;
}

const CLEAN: Detection = Object.freeze({ findings: Object.freeze([]) });

/**
 * Scans the text of an action. A detector that fails denies: it never counts as "nothing found".
 *
 * @param text The action's text, or `undefined` when it has none.
 * @param scanner Gives the compiled scanner of the plan; may throw.
 */
export function detect(
  plan: DetectionPlan,
  text: string | undefined,
  scanner: () => Scanner,
): Detection {
  for (const by of plan.documents) {
    if (by.unknown_locale_pack !== undefined) return unknownPack(by, by.unknown_locale_pack);
  }
  if (text === undefined) return CLEAN;
  try {
    const found = search(scanner(), text);
    if (found.length === 0) return CLEAN;
    return judge(plan, text, found, found.length >= LIMITS.scan_findings);
  } catch (error) {
    if (error instanceof ScanLimitError) return judge(plan, text, [wholeOf(text)], true);
    // The cause is not repeated: a detector's message may quote what it was looking at.
    return { findings: [], denial: unavailable("the detector failed") };
  }
}

/**
 * Findings, and every part that could not be decoded as one more: it is not known to be clean, so it
 * is treated as sensitive.
 */
function search(scanner: Scanner, text: string): readonly Finding[] {
  if (scanner.inspect === undefined) return scanner.scan(text);
  const { findings, undecoded } = scanner.inspect(text);
  if (undecoded.length === 0) return findings;
  const covered = undecoded.map(({ offset, end }): Finding => ({
    source: "pattern",
    kind: "Custom",
    offset,
    end,
  }));
  return [...findings, ...covered].sort((a, b) => a.offset - b.offset);
}

/** Stands for a text with more findings than can be kept. */
function wholeOf(text: string): Finding {
  const end = new TextEncoder().encode(text).length;
  return { source: "pattern", kind: "Custom", offset: 0, end };
}

/** @param crowded Too many findings to name: the whole text counts as sensitive. */
function judge(
  plan: DetectionPlan,
  text: string,
  found: readonly Finding[],
  crowded: boolean,
): Detection {
  const findings = found.slice(0, LIMITS.scan_findings);
  switch (plan.action) {
    case "alert_only":
      return { findings };
    case "redact_only":
    case "alert_and_redact": {
      const redacted = crowded ? "[REDACTED]" : redact(text, found);
      return redacted === text ? { findings } : { findings, redacted };
    }
    default: {
      const denial: Denial = { stage: "scan", reason: "credential detected", ...actionRule(plan) };
      return { findings, denial };
    }
  }
}

/** The document and rule that chose what happens to a secret; nothing when the default did. */
export function actionRule(plan: DetectionPlan): Pick<Denial, "by" | "rule"> {
  const { by } = plan;
  const data = by?.document.data;
  if (by === undefined || data === undefined) return {};
  const rule = data.credential_action_at === undefined
    ? ruleAt(by.document, data.at, "data")
    : ruleAt(by.document, data.credential_action_at, "data.credential_action");
  return { by, rule };
}

function unavailable(cause: string): Denial {
  return { stage: "scan", reason: `sensitive-data detection unavailable: ${cause}` };
}

function unknownPack(
  by: CompiledDocument,
  pack: NonNullable<CompiledDocument["unknown_locale_pack"]>,
): Detection {
  const denial = unavailable(
    `policy names locale pack '${pack.value}', which this build does not contain`,
  );
  const rule = ruleAt(by.document, pack, `data.locale_packs[${pack.at}]`);
  return { findings: [], denial: { ...denial, by, rule } };
}
