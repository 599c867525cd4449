/**
 * The last look before the write: whatever a room puts into an entry, no credential of a certain
 * form is stored in clear (design law 5).
 *
 * Only forms that nothing else has: an identifier or a hash looks random, an agent may be named
 * after a mailbox, and a nanosecond time can pass for a card number. Those are redacted where their
 * meaning is known, on the way in.
 *
 * @module
 */
import { redact, scanCertain, ScanLimitError } from "../scanner/mod.ts";
import { parseJson, PAYLOAD_OMITTED } from "./sanitize.ts";

/** A text without credentials, and how many were found in it. */
export interface Redacted {
  readonly text: string;
  readonly found: number;
}

/** A key in PEM: the scanner finds where it begins, all of it must go. */
const PEM = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY[^-]*-----[\s\S]*?(?:-----END [^-]*-----|$)/g;

/** What stands for a text with more findings than can be told apart. */
const WHOLE = "[REDACTED]";

/** Redacts the credentials of a free text. */
export function redactText(text: string): Redacted {
  try {
    const found = scanCertain(text).length;
    if (found === 0) return { text, found };
    const bare = text.replaceAll(PEM, "[REDACTED:PrivateKey]");
    return { text: redact(bare, scanCertain(bare)), found };
  } catch (error) {
    if (error instanceof ScanLimitError) return { text: WHOLE, found: 1 };
    throw error;
  }
}

/** Redacts the credentials of a payload text, in its own texts and names, so that it stays JSON. */
export function redactPayload(payload: string): Redacted {
  const { text, found } = redactText(payload);
  if (found === 0) return { text, found };
  const parsed = parseJson(payload);
  const cleaned = parsed === undefined ? text : JSON.stringify(redactValue(parsed.value));
  // What is still found cannot be told apart from the rest: nothing is kept then.
  return { text: redactText(cleaned).found === 0 ? cleaned : PAYLOAD_OMITTED, found };
}

function redactValue(value: unknown): unknown {
  if (typeof value === "string") return redactText(value).text;
  if (typeof value !== "object" || value === null) return value;
  // Numbers kept digit for digit are frozen objects without members of their own.
  if (Object.isFrozen(value)) return value;
  if (Array.isArray(value)) return value.map(redactValue);
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [redactText(key).text, redactValue(member)]),
  );
}
