/**
 * Entries as events of the Open Cybersecurity Schema Framework, version 1.5.0
 * (https://schema.ocsf.io/1.5.0).
 *
 * Decisions are API Activity (6003) with the Security Control profile, attempts against the controls
 * are Detection Findings (2004), changes by operators and people's part in decisions are Entity
 * Management (3004). What the schema has no place for is in `unmapped`, by our own names.
 *
 * @module
 */
import { VERSION } from "../../version.ts";
import type { EventType } from "../entry.ts";
import { type ComplianceRecord, timeMs, timeText } from "./record.ts";

/** Version of the schema. */
export const OCSF_VERSION = "1.5.0";

/** A JSON object with the schema's member names. */
export type OcsfEvent = Readonly<Record<string, unknown>>;

/** Where the events come from: log origin, framework and the cited requirements. */
export interface OcsfSource {
  readonly origin: string;
  readonly framework: string;
}

const BASE_EVENT = { class_uid: 0, category_uid: 0 } as const;
const API_ACTIVITY = { class_uid: 6003, category_uid: 6 } as const;
const DETECTION_FINDING = { class_uid: 2004, category_uid: 2 } as const;
const ENTITY_MANAGEMENT = { class_uid: 3004, category_uid: 3 } as const;

/** `activity_id` 99: the schema has no word, `activity_name` says ours. */
const OTHER = 99;

/** Titles and severities (`severity_id` 1 informational to 5 critical) of findings. */
const FINDINGS: Readonly<Partial<Record<EventType, readonly [title: string, severity: number]>>> = {
  CredentialLeakBlocked: ["credential kept from leaving in an action", 4],
  A2AImpersonationAttempted: ["an agent's identity was claimed without proof", 4],
  BudgetLimitApproached: ["budget nearly spent", 2],
  BudgetLimitExceeded: ["budget exceeded", 3],
  SandboxFilesystemBlocked: ["sandboxed tool reached for a forbidden file", 4],
  SandboxCpuTimeout: ["sandboxed tool ran out of time", 3],
  SandboxOomKilled: ["sandboxed tool ran out of memory", 3],
  SandboxHostFnRateLimited: ["sandboxed tool called the host too often", 3],
};

/** `action_id` and `disposition_id` of the Security Control profile. */
const CONTROL_OUTCOME: Readonly<
  Record<ComplianceRecord["decision"], readonly [action: number, disposition: number]>
> = {
  // Unknown, Unknown.
  "": [0, 0],
  // Allowed, Allowed.
  allow: [1, 1],
  // Denied, Blocked.
  deny: [2, 2],
  // Unknown, Delayed: a person decides later.
  pending: [0, 14],
  // Modified, Corrected.
  redact: [4, 11],
};
/** Observed, Logged: an observed agent's refusal that was not enforced. */
const OBSERVED: readonly [action: number, disposition: number] = [3, 17];

/** The event of one entry. */
export function ocsfEvent(
  record: ComplianceRecord,
  controls: readonly string[],
  source: OcsfSource,
): OcsfEvent {
  const finding = FINDINGS[record.event_type];
  if (finding !== undefined) return findingOf(record, finding, controls, source);
  if (isChange(record)) return changeOf(record, controls, source);
  return activityOf(record, controls, source);
}

/** An event without a class of its own: how an export ends, or a line that is no entry. */
export function ocsfBaseEvent(
  activity_name: string,
  time: number,
  unmapped: Readonly<Record<string, unknown>>,
): OcsfEvent {
  return {
    ...classOf(BASE_EVENT, OTHER, activity_name),
    time,
    severity_id: 1,
    metadata: { version: OCSF_VERSION, product: PRODUCT },
    unmapped,
  };
}

const PRODUCT = {
  name: "Agent Assembly for Deno",
  vendor_name: "Agent Assembly",
  version: VERSION,
};

function classOf(
  { class_uid, category_uid }: { readonly class_uid: number; readonly category_uid: number },
  activity_id: number,
  activity_name?: string,
) {
  return {
    class_uid,
    category_uid,
    activity_id,
    ...(activity_name === undefined ? {} : { activity_name }),
    type_uid: class_uid * 100 + activity_id,
  };
}

function activityOf(
  record: ComplianceRecord,
  controls: readonly string[],
  source: OcsfSource,
): OcsfEvent {
  const [activity_id, activity_name] = activityOfAction(record.action);
  const [action_id, disposition_id] = record.dry_run ? OBSERVED : CONTROL_OUTCOME[record.decision];
  const refused = record.decision === "deny" || record.dry_run;
  return {
    ...classOf(API_ACTIVITY, activity_id, activity_name),
    ...common(record, controls, source, ["security_control"]),
    severity_id: refused ? 3 : record.decision === "redact" ? 3 : 1,
    actor: actorOf(record),
    api: { operation: record.action === "" ? record.event_type : record.action },
    src_endpoint: { uid: record.agent_id_hex, svc_name: "agent" },
    ...(record.resource === "" ? {} : { resources: [{ name: record.resource }] }),
    action_id,
    disposition_id,
    ...(record.policy_doc_id === "" && record.rule === "" ? {} : {
      policy: {
        ...(record.rule === "" ? {} : { name: record.rule }),
        ...(record.policy_doc_id === "" ? {} : { uid: record.policy_doc_id }),
      },
    }),
    ...(record.reason === "" ? {} : { message: record.reason }),
  };
}

/** `file_write`, `read`, `network_request`: by the verb that the name holds. */
function activityOfAction(action: string): readonly [id: number, name?: string] {
  if (/(^|_)(read|get|list)($|_)/.test(action)) return [2];
  if (/(^|_)(write|update)($|_)/.test(action)) return [3];
  if (/(^|_)(create)($|_)/.test(action)) return [1];
  if (/(^|_)delete($|_)/.test(action)) return [4];
  return [OTHER, action === "" ? "decision" : action];
}

function findingOf(
  record: ComplianceRecord,
  [title, severity_id]: readonly [string, number],
  controls: readonly string[],
  source: OcsfSource,
): OcsfEvent {
  return {
    ...classOf(DETECTION_FINDING, 1),
    ...common(record, controls, source, []),
    severity_id,
    is_alert: true,
    finding_info: {
      uid: `${source.origin}#${record.audit_index}`,
      title,
      ...(record.finding_kinds.length === 0 ? {} : { types: record.finding_kinds }),
      created_time: timeMs(record),
    },
    ...(record.resource === "" ? {} : { resources: [{ name: record.resource }] }),
    ...(record.reason === "" ? {} : { message: record.reason }),
  };
}

function isChange({ event_type }: ComplianceRecord): boolean {
  return event_type === "GovernanceMutation" || event_type === "AgentForceDeregistered" ||
    (event_type.startsWith("Approval") && event_type !== "ApprovalRequested");
}

function changeOf(
  record: ComplianceRecord,
  controls: readonly string[],
  source: OcsfSource,
): OcsfEvent {
  const name = record.action === "" ? record.event_type : record.action;
  const activity_id = /(created|registered|granted|issued|started)$/.test(name) &&
      !name.endsWith("deregistered")
    ? 1
    : /(deregistered|revoked|deleted|removed)$/.test(name)
    ? 4
    : 3;
  const approval = record.event_type.startsWith("Approval");
  const subject = approval ? "approval" : name.split("_", 1)[0] ?? "gateway";
  return {
    ...classOf(ENTITY_MANAGEMENT, activity_id),
    ...common(record, controls, source, []),
    severity_id: 1,
    actor: actorOf(record),
    entity: {
      name: record.agent === "" ? subject : record.agent,
      type: subject,
      uid: record.agent_id_hex,
    },
    ...(record.reason === "" ? {} : { comment: record.reason }),
    message: name,
  };
}

/** Operators are users; agents and the gateway are applications. */
function actorOf(record: ComplianceRecord): Readonly<Record<string, unknown>> {
  const operator = /^operator:(.*)$/s.exec(record.actor)?.[1];
  if (operator !== undefined) return { user: { name: operator, type_id: 2 } };
  if (record.actor === "gateway") return { app_name: "gateway" };
  return {
    app_name: record.agent === "" ? "unattributed" : record.agent,
    app_uid: record.agent_id_hex,
  };
}

function common(
  record: ComplianceRecord,
  controls: readonly string[],
  { origin, framework }: OcsfSource,
  profiles: readonly string[],
): OcsfEvent {
  return {
    time: timeMs(record),
    metadata: {
      version: OCSF_VERSION,
      product: PRODUCT,
      ...(profiles.length === 0 ? {} : { profiles }),
      uid: `${origin}#${record.audit_index}`,
      event_code: record.event_type,
      log_name: origin,
      original_time: timeText(record),
      ...(record.org_id === "" ? {} : { tenant_uid: record.org_id }),
      ...(record.trace_id === "" ? {} : { correlation_uid: record.trace_id }),
      labels: controls.map((control) => `${framework}:${control}`),
    },
    unmapped: {
      audit_index: String(record.audit_index),
      controls,
      decision: record.decision,
      dry_run: record.dry_run,
      entry_hash: record.entry_hash_hex,
      finding_kinds: record.finding_kinds,
      previous_hash: record.previous_hash_hex,
      session_id: record.session_id_hex,
      team_id: record.team_id,
      timestamp_ns: String(record.timestamp_ns),
    },
  };
}
