/**
 * A draft on its way into the log: cleaned, and made to fit its bounds.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import { AuditEntryError, type CredentialFinding, type EntryDraft } from "./entry.ts";
import { redactPayload, redactText } from "./credentials.ts";
import { OMITTED_KEY, parseJson, PAYLOAD_OMITTED, sanitizePayload } from "./sanitize.ts";

const FINDINGS_MAX = 64;
const NAMES_MAX = 32;
const NAME_CHARS_MAX = 64;

/** How a draft is prepared for the write. */
export interface PrepareOptions {
  /** Keep `redacted_payload`; by default the text of a payload is not stored (#51). */
  readonly store_redacted_payload: boolean;
}

/** A draft fit for the log, and what cleaning took out of it. */
export interface PreparedDraft {
  readonly draft: EntryDraft;
  /** Members that may never be stored. */
  readonly removed: number;
  /** Credentials that were in it in clear. */
  readonly redacted: number;
}

/**
 * Cleans and bounds a checked draft. What does not fit is left out and named in the payload under
 * {@linkcode OMITTED_KEY}: a large request is recorded with less detail, never unrecorded.
 */
export function prepareDraft(draft: EntryDraft, options: PrepareOptions): PreparedDraft {
  const taken = { removed: 0, redacted: 0 };
  const payload = cleanPayload(draft.payload, taken);
  const prepared: EntryDraft = { ...draft, payload };
  const omitted: string[] = [];
  for (const field of TEXT_FIELDS) {
    const text = prepared[field];
    if (text !== undefined && text !== "") prepared[field] = cleanText(text, taken);
  }
  if (prepared.redacted_payload !== undefined) {
    if (options.store_redacted_payload) {
      prepared.redacted_payload = cleanPayload(prepared.redacted_payload, taken);
      if (utf8Length(prepared.redacted_payload) > REDACTED_BYTES_MAX) {
        delete prepared.redacted_payload;
        omitted.push("redacted_payload");
      }
    } else delete prepared.redacted_payload;
  }
  if (prepared.credential_findings !== undefined) {
    const findings = prepared.credential_findings;
    if (findings.length > FINDINGS_MAX) omitted.push(`credential_findings[${FINDINGS_MAX}..]`);
    prepared.credential_findings = findings.slice(0, FINDINGS_MAX).map(safeFinding);
  }
  prepared.payload = boundPayload(payload, LIMITS.audit_payload_bytes, omitted);
  return { draft: prepared, ...taken };
}

/** Texts beside the payload that come from outside. */
const TEXT_FIELDS = ["team_id", "org_id", "delegation_reason", "spawned_by_tool"] as const;
/** Stands for a text of which nothing could be kept. */
const TEXT_OMITTED = "[omitted]";

interface Taken {
  removed: number;
  redacted: number;
}

function cleanPayload(payload: string, taken: Taken): string {
  const clean = sanitizePayload(payload);
  const { text, found } = redactPayload(clean.payload);
  taken.removed += clean.removed;
  taken.redacted += found;
  return text;
}

/** Clean texts beside a payload that come again and again; at the bound all are forgotten. */
const REMEMBERED_MAX = 1_024;
const known_clean = new Set<string>();

function cleanText(text: string, taken: Taken): string {
  if (known_clean.has(text)) return text;
  const before = taken.removed + taken.redacted;
  const clean = cleanedText(text, taken);
  if (taken.removed + taken.redacted > before) return clean;
  if (known_clean.size >= REMEMBERED_MAX) known_clean.clear();
  known_clean.add(text);
  return clean;
}

function cleanedText(text: string, taken: Taken): string {
  const clean = sanitizePayload(text);
  taken.removed += clean.removed;
  if (clean.payload === PAYLOAD_OMITTED) return TEXT_OMITTED;
  const redacted = redactText(clean.payload);
  taken.redacted += redacted.found;
  return redacted.text;
}

/** Bytes of a stored redacted payload; a longer one is left out and named. */
const REDACTED_BYTES_MAX = 8_192;

/**
 * The draft with a smaller payload, for a line of `line_bytes` that is too long by escapes.
 *
 * @throws {AuditEntryError} When even without payload it would not fit.
 */
export function shrinkDraft(draft: EntryDraft, line_bytes: number): EntryDraft {
  const escaped = utf8Length(JSON.stringify(draft.payload));
  const room = LIMITS.audit_entry_bytes - (line_bytes - escaped);
  // Escaping a JSON text at most triples what escaping added the first time; a third always fits.
  let payload = boundPayload(draft.payload, Math.max(0, Math.floor(room / 3)), []);
  if (utf8Length(JSON.stringify(payload)) > room) payload = PAYLOAD_OMITTED;
  if (utf8Length(JSON.stringify(payload)) > room) {
    throw new AuditEntryError("payload", "does not fit beside the entry's other fields");
  }
  return { ...draft, payload };
}

const LABEL = /^\[REDACTED(?::[\w .-]{1,64})?\]$/;

/** A finding whose label is only a label: anything else could be the secret itself. */
function safeFinding(finding: CredentialFinding): CredentialFinding {
  const matched = LABEL.test(finding.matched) ? finding.matched : "[REDACTED:Custom]";
  const kind = /^[\w .-]{1,64}$/.test(finding.kind) ? finding.kind : "Custom";
  return { kind, offset: finding.offset, matched };
}

function boundPayload(payload: string, bytes_max: number, omitted: readonly string[]): string {
  const fits = payload.length <= bytes_max &&
    (payload.length * 3 <= bytes_max || utf8Length(payload) <= bytes_max);
  if (fits && omitted.length === 0) return payload;
  const parsed = parseJson(payload)?.value;
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return JSON.stringify({ [OMITTED_KEY]: ["payload", ...omitted] });
  }
  const members = Object.entries(parsed).filter(([key]) => key !== OMITTED_KEY)
    .map(([key, value]) => ({ key, text: `${JSON.stringify(key)}:${JSON.stringify(value)}` }));
  const names = [...omitted];
  const by_size = members.toSorted((a, b) => b.text.length - a.text.length);
  const left_out = new Set<string>();
  const render = () => {
    const kept = members.filter(({ key }) => !left_out.has(key)).map(({ text }) => text);
    const listed = names.slice(0, NAMES_MAX).map((name) => name.slice(0, NAME_CHARS_MAX));
    if (names.length > NAMES_MAX) listed.push(`and ${names.length - NAMES_MAX} more`);
    if (listed.length > 0) kept.push(`"${OMITTED_KEY}":${JSON.stringify(listed)}`);
    return `{${kept.join(",")}}`;
  };
  let text = render();
  let excess = utf8Length(text) - bytes_max;
  for (const { key, text: member } of by_size) {
    if (excess <= 0) break;
    left_out.add(key);
    names.push(key);
    excess -= utf8Length(member);
    if (excess > 0) continue;
    text = render();
    excess = utf8Length(text) - bytes_max;
  }
  return excess <= 0 ? text : PAYLOAD_OMITTED;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
