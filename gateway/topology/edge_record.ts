/**
 * A relation as it is stored, and read back strictly.
 *
 * @module
 */
import { type EdgeEnd, isEdgeKind, type TopologyEdge } from "../../core/topology/edge.ts";
import type { StoredRecord } from "../../storage/sqlite/records.ts";

/** Why the stored relations could not be read. */
export class EdgeDamage extends Error {
  override readonly name = "EdgeDamage";
}

/** Digits of a key: ids in order are keys in order. */
const KEY_DIGITS = 16;

/** Key of the record of a relation. */
export function edgeKey(id: number): string {
  return String(id).padStart(KEY_DIGITS, "0");
}

/** The stored form. */
export function edgeText(edge: TopologyEdge): string {
  return JSON.stringify({ version: 1, ...edge });
}

/**
 * The relation of a stored record.
 *
 * @throws {EdgeDamage} naming record and field.
 */
export function readEdge({ key, value }: StoredRecord): TopologyEdge {
  const damaged = (field: string): never => {
    throw new EdgeDamage(
      `cannot read edge \`${key.slice(0, 64)}\`: field \`${field}\` is not what was written; ` +
        "restore a backup, or delete the record: the audit log keeps the report",
    );
  };
  const fields = objectOf(parsed(value)) ?? damaged("(record)");
  const text = (from: Record<string, unknown>, name: string): string => {
    const found = from[name];
    return typeof found === "string" ? found : damaged(name);
  };
  const count = (name: string): number => {
    const found = fields[name];
    return typeof found === "number" && Number.isSafeInteger(found) && found >= 0
      ? found
      : damaged(name);
  };
  const end = (name: string): EdgeEnd => {
    const found = objectOf(fields[name]) ?? damaged(name);
    const agent = text(found, "key");
    if (!/^[0-9a-f]{32}$/.test(agent)) damaged(name);
    return { key: agent, org_id: text(found, "org_id"), team_id: text(found, "team_id") };
  };
  if (fields["version"] !== 1) damaged("version");
  const id = count("id");
  if (edgeKey(id) !== key) damaged("id");
  const kind = text(fields, "kind");
  return {
    id,
    source: end("source"),
    target: end("target"),
    kind: isEdgeKind(kind) ? kind : damaged("kind"),
    ...(fields["metadata"] === undefined ? {} : { metadata: text(fields, "metadata") }),
    reported_by: text(fields, "reported_by"),
    created_at_ms: count("created_at_ms"),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? { ...value }
    : undefined;
}
