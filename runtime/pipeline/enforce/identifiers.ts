/**
 * The fields that are names of things and not text: the one exception from scanning everything, and
 * only for values of a known shape. A hash looks as random as a key; redacting it would cut the
 * thread that joins an act, its decision and its record.
 *
 * @module
 */
import { scanCertain } from "../../../core/scanner/mod.ts";

/** Field by message, with the reason why its value may be random. Everything else is scanned. */
export const IDENTIFIER_FIELDS: Readonly<Record<string, string>> = {
  "assembly.audit.v1.AuditEvent.event_id": "joins the copies of one event; a UUID or random",
  "assembly.audit.v1.AuditEvent.trace_id": "joins the spans of one run; 32 hex digits",
  "assembly.audit.v1.AuditEvent.span_id": "names one operation; 16 hex digits",
  "assembly.audit.v1.AuditEvent.parent_span_id": "names one operation; 16 hex digits",
  "assembly.audit.v1.AuditEvent.session_id": "joins the runs of one session; a UUID",
  "assembly.audit.v1.AuditEvent.root_agent_id": "lineage; a UUID, 32 hex digits or a did:key",
  "assembly.audit.v1.AuditEvent.parent_agent_id": "lineage; a UUID, 32 hex digits or a did:key",
  "assembly.audit.v1.CallStackNode.id": "names one node of a call tree; a span id or a UUID",
  "assembly.audit.v1.ApprovalEvent.approval_id": "joins a request and its decision; a UUID",
  "assembly.audit.v1.ApprovalEvent.approver_id": "who decided; a UUID or a did:key",
  "assembly.common.v1.AgentId.agent_id": "who acts; a did:key",
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const HEX = /^[0-9a-f]{8,32}$/i;
/** Multibase base58btc of an Ed25519 public key with its multicodec prefix (W3C did:key). */
const DID_KEY = /^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$/;
/** What the reference's client core makes of clock, process and counter (contract `wire` §3.6). */
const CLIENT_EVENT = /^[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4,16}$/;

/**
 * Whether a value is of a shape that only identifiers have. Decimal digits alone are not: a card
 * number is 13 to 19 of them.
 */
export function isIdentifier(value: string): boolean {
  if (value.length > 64) return false;
  if (UUID.test(value) || CLIENT_EVENT.test(value)) return true;
  if (HEX.test(value)) return !/^\d+$/.test(value);
  return DID_KEY.test(value) && scanCertain(value).length === 0;
}
