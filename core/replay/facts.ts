/**
 * Decision facts: what a replay needs to know of one decided action, without any secret.
 *
 * A fact is made where an answer leaves and is what a replay decides again. Texts are redacted by
 * the scanner before they are kept, and every place that redaction touched is marked, so that a
 * rule which would have looked there is reported as undecidable instead of being guessed at.
 * Facts are no evidence: the audit log is.
 *
 * @module
 */
import { type Action, scannableText, withScannableText } from "../action.ts";
import { couldHaveBeen, type Pointer } from "../policy/expression/hidden.ts";
import { pathProblem } from "../policy/filesystem.ts";
import { understandHost } from "../policy/network.ts";
import type { Principal } from "../principal.ts";
import type { Finding } from "../scanner/finding.ts";
import { redact } from "../scanner/mod.ts";
import type { RuleRef, Stage } from "../verdict.ts";
import { REPLAY_LIMITS } from "./limits.ts";

/** What a decision comes to for whoever asked. */
export type FactOutcome = "allow" | "redact" | "pending" | "deny";

/** What a person said to a call that needed it. */
export type ApprovalFact = "granted" | "refused" | "pending";

/** What was answered at the time. */
export interface RecordedAnswer {
  readonly outcome: FactOutcome;
  /** Contract text of a denial; empty otherwise. */
  readonly reason: string;
  readonly stage?: Stage;
  readonly rule?: RuleRef;
  /** An observed agent: the refusal was recorded, not enforced. */
  readonly shadowed: boolean;
}

/** What redaction took from an action; absent when it took nothing. */
export interface Hidden {
  /** The tool's name was cut: no rule can be looked up. */
  readonly tool: boolean;
  /** Places in the JSON of a tool's arguments or answer; the empty pointer is all of it. */
  readonly pointers: readonly Pointer[];
  /** The host of a URL was cut. */
  readonly host: boolean;
  /** The requested path was one that a path rule can look up (contract §1.5). */
  readonly plain_path: boolean;
  /** Detectors of every build found something: any policy's scan would. */
  readonly builtin: boolean;
  /** A pattern or locale pack of the policy of the time found something. */
  readonly custom: boolean;
}

/** One decided action. */
export interface DecisionFact {
  /** When it was asked, milliseconds since the Unix epoch. */
  readonly at_ms: number;
  readonly principal: Principal;
  /** With every finding replaced by a label. */
  readonly action: Action;
  readonly hidden?: Hidden;
  readonly recorded: RecordedAnswer;
  /** Worst-case price of the call; 0 when it has none. */
  readonly micro_usd: number;
  readonly approval?: ApprovalFact;
  /** Digests of the documents in force, in file-name order. */
  readonly policy_digests: readonly string[];
}

/** What the scanner said of an action's text; `unknown` when it failed or gave up. */
export type ActionFindings = readonly Finding[] | "unknown";

const LABEL = "[REDACTED]";

/** An action that may be kept, and what was taken from it. */
export interface CleanAction {
  readonly action: Action;
  readonly hidden?: Hidden;
}

/**
 * Takes every secret out of an action.
 *
 * @param findings What the scanner found in `scannableText(action)`.
 * @param cleanName Takes certain credentials out of an identifier: tool, model, team, channel.
 */
export function cleanAction(
  action: Action,
  findings: ActionFindings,
  cleanName: (name: string) => string,
): CleanAction {
  const named = withCleanNames(action, cleanName);
  const name_cut = named.action !== action;
  const text = scannableText(named.action);
  const too_long = (text?.length ?? 0) > REPLAY_LIMITS.fact_text_chars;
  if (text === undefined || (findings.length === 0 && !too_long)) {
    return {
      action: named.action,
      ...(name_cut ? { hidden: hiddenName(named.tool) } : {}),
    };
  }
  const whole = findings === "unknown" || too_long;
  const redacted = whole ? LABEL : redact(text, findings);
  const found = findings === "unknown" ? [] : findings;
  const kept = withScannableText(named.action, redacted);
  return {
    action: kept,
    hidden: {
      tool: named.tool,
      pointers: whole ? [[]] : touchedPointers(named.action, text, redacted),
      host: !sameHost(named.action, kept),
      plain_path: named.action.kind === "file_access" && pathProblem(text) === undefined,
      builtin: found.some((finding) => finding.source === "builtin"),
      custom: findings === "unknown" || found.some((finding) => finding.source !== "builtin"),
    },
  };
}

function hiddenName(tool: boolean): Hidden {
  return { tool, pointers: [], host: false, plain_path: true, builtin: false, custom: false };
}

/** Names are the caller's text, too. A cut team or channel hides the whole message. */
function withCleanNames(
  action: Action,
  cleanName: (name: string) => string,
): { readonly action: Action; readonly tool: boolean } {
  switch (action.kind) {
    case "tool_call": {
      const tool = cleanName(action.tool);
      const model = action.llm === undefined ? undefined : cleanName(action.llm.model);
      if (tool === action.tool && model === action.llm?.model) return { action, tool: false };
      const llm = action.llm === undefined || model === undefined
        ? {}
        : { llm: { ...action.llm, model } };
      return { action: { ...action, tool, ...llm }, tool: tool !== action.tool };
    }
    case "tool_result": {
      const tool = cleanName(action.tool);
      return tool === action.tool
        ? { action, tool: false }
        : { action: { ...action, tool }, tool: true };
    }
    case "send_message": {
      const cleaned = { ...action };
      let cut = false;
      for (const key of ["source_team_id", "target_team_id", "channel_id"] as const) {
        const id = action[key];
        if (id === undefined || cleanName(id) === id) continue;
        cleaned[key] = cleanName(id);
        cut = true;
      }
      return cut ? { action: cleaned, tool: true } : { action, tool: false };
    }
    default:
      return { action, tool: false };
  }
}

function sameHost(before: Action, after: Action): boolean {
  if (before.kind !== "network_request" || after.kind !== "network_request") return true;
  const a = understandHost(before.url);
  const b = understandHost(after.url);
  return a.kind === "host" && b.kind === "host" && a.host === b.host;
}

/** Thrown inside this file when redaction changed the shape of a document. */
class ShapeChanged extends Error {}

/**
 * Which places of a JSON document redaction touched. A document whose shape changed, so that a
 * place can no longer be told, is touched as a whole.
 */
function touchedPointers(action: Action, before: string, after: string): readonly Pointer[] {
  if (action.kind !== "tool_call" && action.kind !== "tool_result") return [[]];
  try {
    const touched: string[][] = [];
    compareShapes(JSON.parse(before), JSON.parse(after), [], touched);
    // Something was cut, yet no value differs: a repeated key, say. Nothing can be told then.
    return touched.length === 0 ? [[]] : touched;
  } catch {
    return [[]];
  }
}

function compareShapes(before: unknown, after: unknown, at: string[], touched: string[][]): void {
  if (before === after) return;
  if (touched.length >= REPLAY_LIMITS.fact_pointers) throw new ShapeChanged();
  if (typeof before === "string" && typeof after === "string") {
    // Cut through an escape, the rest would no longer be what it was.
    if (!couldHaveBeen(after, before)) throw new ShapeChanged();
    touched.push(at);
    return;
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    before.forEach((value, index) =>
      compareShapes(value, after[index], [...at, String(index)], touched)
    );
    return;
  }
  if (!isRecord(before) || !isRecord(after)) throw new ShapeChanged();
  const keys = Object.keys(before);
  const kept = Object.keys(after);
  if (keys.length !== kept.length || keys.some((key, index) => key !== kept[index])) {
    // A key was cut: everything that is looked up in this object is in doubt.
    touched.push(at);
    return;
  }
  for (const key of keys) compareShapes(before[key], after[key], [...at, key], touched);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
