/**
 * What this runtime knows of an event and its reporter does not say: when it came, from where, and
 * whether its client is who it says. Kept beside the event in memory, as labels in the stored copy.
 *
 * @module
 */
import type { audit } from "../../proto/mod.ts";
import { connectionOf, type Origin } from "../parts.ts";
import { RUNTIME_LABEL } from "./enforce/enforce.ts";
import type { SdkVerdict } from "./identity.ts";

/** Who this runtime serves; an operator's word, never an agent's. */
export interface AgentIdentity {
  /** AA_AGENT_ID. */
  readonly agent_id: string;
  /** AA_AGENT_TEAM_ID; empty when not set. */
  readonly team_id: string;
  /** AA_AGENT_ORG_ID; empty when not set. */
  readonly org_id: string;
}

/** What the runtime adds to an event. */
export interface Enrichment {
  /** Milliseconds since the epoch. */
  readonly received_at_ms: number;
  readonly source: Origin["source"];
  /** Connection it came over, or is about; 0 when there is none. */
  readonly connection_id: number;
  /** Process it came from, by the kernel's word or a sidecar's; absent where nobody knows. */
  readonly pid?: number;
  /** Position in this pipeline since the start, ascending from 1. */
  readonly sequence: number;
  /** Agent the reporter named, redacted and cut; empty when it named none. Evidence, not identity. */
  readonly claimed_agent_id: string;
  /** Absent for events that came over no client's connection. */
  readonly sdk_verdict?: SdkVerdict;
  readonly forged_trust_markers: number;
}

const SOURCES: readonly Origin["source"][] = ["sdk", "broker", "proxy", "ebpf", "runtime"];
const VERDICTS: readonly SdkVerdict[] = ["missing", "forged", "downgraded", "unverifiable", "ok"];

/** The stored copy's labels. */
export function enrichmentLabels(enrichment: Enrichment): Record<string, string> {
  const { claimed_agent_id, pid, sdk_verdict, forged_trust_markers } = enrichment;
  return {
    [`${RUNTIME_LABEL}received_at_ms`]: String(enrichment.received_at_ms),
    [`${RUNTIME_LABEL}source`]: enrichment.source,
    [`${RUNTIME_LABEL}connection_id`]: String(enrichment.connection_id),
    ...(pid === undefined ? {} : { [`${RUNTIME_LABEL}pid`]: String(pid) }),
    [`${RUNTIME_LABEL}sequence`]: String(enrichment.sequence),
    ...(claimed_agent_id === "" ? {} : { [`${RUNTIME_LABEL}claimed_agent_id`]: claimed_agent_id }),
    ...(sdk_verdict === undefined ? {} : { [`${RUNTIME_LABEL}sdk_verdict`]: sdk_verdict }),
    ...(forged_trust_markers === 0
      ? {}
      : { [`${RUNTIME_LABEL}forged_trust_markers`]: String(forged_trust_markers) }),
  };
}

/** The process an event came from. */
export function pidOf(origin: Origin): number | undefined {
  if (origin.source === "sdk") return origin.connection.peer?.pid;
  return origin.pid ?? connectionOf(origin)?.peer?.pid;
}

/** Reads a stored copy's labels back; what is missing or foreign has its least telling value. */
export function enrichmentOf(event: audit.AuditEvent): Enrichment {
  const label = (name: string): string => event.labels[RUNTIME_LABEL + name] ?? "";
  const number = (name: string): number => {
    const value = Number(label(name));
    return Number.isSafeInteger(value) && value >= 0 ? value : 0;
  };
  const verdict = VERDICTS.find((one) => one === label("sdk_verdict"));
  return {
    received_at_ms: number("received_at_ms"),
    source: SOURCES.find((one) => one === label("source")) ?? "sdk",
    connection_id: number("connection_id"),
    ...(label("pid") === "" ? {} : { pid: number("pid") }),
    sequence: number("sequence"),
    claimed_agent_id: label("claimed_agent_id"),
    ...(verdict === undefined ? {} : { sdk_verdict: verdict }),
    forged_trust_markers: number("forged_trust_markers"),
  };
}
