/**
 * Rule and smallest change of a refusal, in the one text that the socket's answer has for it.
 *
 * The reference's message has no field for them. To a client that says `explains` in its handshake
 * (`client_words.ts`) the runtime sends them after the reason, behind a character that no reason
 * holds; to every other client the reason is the reason alone.
 *
 * @module
 */
import { IPC_LIMITS } from "./limits.ts";

/** Why something was refused, in parts. */
export interface ExplainedReason {
  readonly reason: string;
  /** The rule as an editor finds it: `file:line:column dotted.path`. */
  readonly rule?: string;
  /** The smallest change that would make it an allow: an imperative. */
  readonly change?: string;
  /** Role that may make the change. */
  readonly who?: string;
}

/** Unit separator: a control character, which is taken out of every reason before it is sent. */
const MARK = "\u001f";

/** The text to send. Each part is cut to its bound. */
export function explainedReason({ reason, rule, change, who }: ExplainedReason): string {
  const parts = [reason, rule, change, who]
    .map((part = "") => part.replaceAll(MARK, " ").slice(0, IPC_LIMITS.explanation_part_chars));
  while (parts.length > 1 && parts.at(-1) === "") parts.pop();
  return parts.join(MARK);
}

/** What a text says, from a peer that may write anything. */
export function readExplainedReason(text: string): ExplainedReason {
  const [reason = "", ...parts] = text.split(MARK, 4);
  const [rule, change, who] = parts.map((part) =>
    part === "" ? undefined : part.slice(0, IPC_LIMITS.explanation_part_chars)
  );
  return {
    reason,
    ...(rule === undefined ? {} : { rule }),
    ...(change === undefined ? {} : { change }),
    ...(who === undefined ? {} : { who }),
  };
}
