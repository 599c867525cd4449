/**
 * What an approver reads of an action: its text with every finding replaced, held in memory only. No
 * argument reaches the disk; after a restart the text comes back with the agent's next identical call.
 *
 * @module
 */
import { type Action, scannableText } from "../../core/action.ts";
import { DEFAULT_SCANNER, redact } from "../../core/scanner/mod.ts";
import type { Finding } from "../../core/scanner/finding.ts";
import { QUEUE_LIMITS } from "./limits.ts";

/** A text for an approver. */
export interface ShownText {
  readonly text: string;
  /** UTF-16 units that were cut off the end. */
  readonly cut_chars: number;
}

/** The texts of the live requests. */
export class ShownTexts {
  readonly #texts = new Map<string, ShownText>();
  #chars = 0;

  /** The text of a request; `undefined` when it is not held. */
  get(request_id: string): ShownText | undefined {
    return this.#texts.get(request_id);
  }

  /** Holds the text of a request, if there is room. */
  hold(request_id: string, action: Action, findings: readonly Finding[]): void {
    if (this.#texts.has(request_id)) return;
    const shown = shownText(action, findings);
    if (this.#chars + shown.text.length > QUEUE_LIMITS.shown_total_chars) return;
    this.#texts.set(request_id, shown);
    this.#chars += shown.text.length;
  }

  /** Lets the text of an ended request go. */
  drop(request_id: string): void {
    this.#chars -= this.#texts.get(request_id)?.text.length ?? 0;
    this.#texts.delete(request_id);
  }
}

/** The redacted text: what the policy's scanner found, then what every build of ours finds. */
function shownText(action: Action, findings: readonly Finding[]): ShownText {
  let clean: string;
  try {
    const once = redact(scannableText(action) ?? "", findings);
    clean = redact(once, DEFAULT_SCANNER.scan(once));
  } catch {
    // More findings than a scan keeps: nothing of the text can be trusted.
    clean = "[REDACTED]";
  }
  const text = clean.slice(0, QUEUE_LIMITS.shown_chars).toWellFormed();
  return { text, cut_chars: clean.length - text.length };
}
