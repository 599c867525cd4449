/**
 * The copy of an event that is stored: what may never be stored is taken out of it, and its bytes
 * are looked at once more before they are written (design law 5).
 *
 * @module
 */
import { clone, create, toBinary } from "@bufbuild/protobuf";
import { isBannedKey } from "../../core/audit/never_store.ts";
import { sanitizeMember } from "../../core/audit/sanitize.ts";
import { scanCertain } from "../../core/scanner/mod.ts";
import { audit } from "../../proto/mod.ts";
import { SPOOL_LIMITS } from "../spool/limits.ts";
import { RUNTIME_LABEL } from "./enforce/enforce.ts";
import { changeTexts } from "./enforce/walk.ts";
import { type Enrichment, enrichmentLabels } from "./enrichment.ts";

/** Names what the stored copy lacks, separated by commas. */
export const OMITTED_LABEL = `${RUNTIME_LABEL}omitted`;

const NOTHING = new Uint8Array(0);

/**
 * Bytes of the stored copy of a redacted event. Never fails: what cannot be kept is named.
 *
 * @param suspect Whether a text in it may hold something that is never stored.
 */
export function storedBytes(
  event: audit.AuditEvent,
  enrichment: Enrichment,
  suspect: boolean,
): Uint8Array {
  const omitted: string[] = [];
  let stored = withoutPayload(event, omitted);
  if (suspect || Object.keys(stored.labels).some(isBannedKey)) stored = cleaned(stored, omitted);
  const bytes = encoded(stored, enrichment, omitted);
  if (bytes.length <= SPOOL_LIMITS.record_bytes && isClean(bytes)) return bytes;
  const smaller = encoded({ ...stored, labels: {}, callStack: [] }, enrichment, [
    ...omitted,
    "labels",
    "call_stack",
  ]);
  if (smaller.length <= SPOOL_LIMITS.record_bytes && isClean(smaller)) return smaller;
  return encoded(bare(stored), enrichment, ["all texts"]);
}

function encoded(
  event: audit.AuditEvent,
  enrichment: Enrichment,
  omitted: readonly string[],
): Uint8Array {
  const labels: Record<string, string> = {
    ...event.labels,
    ...enrichmentLabels(enrichment),
    ...(omitted.length === 0 ? {} : { [OMITTED_LABEL]: omitted.join(",") }),
  };
  return toBinary(audit.AuditEventSchema, { ...event, labels });
}

/** A tool's arguments are a payload: redacted for those who listen now, stored for nobody. */
function withoutPayload(event: audit.AuditEvent, omitted: string[]): audit.AuditEvent {
  const { detail } = event;
  if (detail.case !== "toolCall" || detail.value.argsJson.length === 0) return event;
  omitted.push("args_json");
  return {
    ...event,
    detail: { case: "toolCall", value: { ...detail.value, argsJson: NOTHING } },
  };
}

function cleaned(event: audit.AuditEvent, omitted: string[]): audit.AuditEvent {
  const copy = clone(audit.AuditEventSchema, event);
  const labels = Object.entries(copy.labels);
  const kept = labels.filter(([key]) => !isBannedKey(key));
  copy.labels = Object.fromEntries(kept);
  let removed = labels.length - kept.length;
  changeTexts(audit.AuditEventSchema, copy, (text) => {
    const clean = sanitizeMember(text);
    removed += clean.removed;
    return typeof clean.value === "string" ? clean.value : "";
  });
  if (removed > 0) omitted.push("never stored");
  return copy;
}

/** The bytes as one text: no credential of a certain form is anywhere in them. */
function isClean(bytes: Uint8Array): boolean {
  try {
    return scanCertain(new TextDecoder().decode(bytes)).length === 0;
  } catch {
    return false;
  }
}

/** What is left when no text can be trusted: that something happened, when, and what was decided. */
function bare(event: audit.AuditEvent): audit.AuditEvent {
  return create(audit.AuditEventSchema, {
    ...(event.agentId === undefined ? {} : { agentId: event.agentId }),
    ...(event.occurredAt === undefined ? {} : { occurredAt: event.occurredAt }),
    actionType: event.actionType,
    decision: event.decision,
    dryRun: event.dryRun,
  });
}
