/**
 * `aasm status`: what is in force, what is missing, what is recorded.
 *
 * @module
 */
import type { admin } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { painter } from "../render/color.ts";
import { type Field, fields } from "../render/fields.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import { momentText } from "../render/moment.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";

const WATCH_INTERVAL_MS = 2_000;
const CLEAR_SCREEN = "\u001b[H\u001b[2J";

/** `status`: 0 when the gateway enforces and records; 1 when either is broken. */
export function showStatus(
  command: CommandNamed<"status">,
  session: Session,
): Promise<ExitCode> {
  return withGateway(session, async (gateway) => {
    let exit_code = await showOnce(gateway, session);
    while (command.watch) {
      await pause(WATCH_INTERVAL_MS, session.signal);
      if (session.signal.aborted) break;
      try {
        if (session.terminal.interactive) session.terminal.out(CLEAR_SCREEN);
        exit_code = await showOnce(gateway, session);
      } catch (error) {
        if (session.signal.aborted) break;
        throw error;
      }
    }
    return exit_code;
  });
}

async function showOnce(gateway: GatewayConnection, session: Session): Promise<ExitCode> {
  const status = await gateway.admin.getStatus({}, await gateway.operator());
  const now_ms = session.now_ms();
  writeReport(
    { data: dataOf(status), table: (terminal) => textOf(status, now_ms, terminal) },
    session.flags.output,
    session.terminal,
  );
  return isHealthy(status) ? ExitCode.OK : ExitCode.FAILURE;
}

/** A policy in force, taken up from the files as they are, and a log that keeps what it is given. */
function isHealthy({ policy, audit }: admin.GetStatusResponse): boolean {
  return (policy?.state === "enforced" || policy?.state === "permissive") &&
    audit?.state === "durable";
}

function textOf(
  status: admin.GetStatusResponse,
  now_ms: number,
  terminal: Terminal,
): string {
  const paint = painter(terminal.colors);
  const { policy, audit } = status;
  const sections: [title: string, body: string][] = [
    [
      "gateway",
      fields([
        { name: "version", value: status.version },
        { name: "up since", value: momentText(status.startedAtUnixMs, now_ms) },
        { name: "listens on", value: status.listeners.join(", ") },
      ], terminal),
    ],
    ["policy", fields(policyFields(policy, now_ms), terminal)],
    ["record", fields(auditFields(audit, now_ms), terminal)],
    ["decisions", fields(countFields(status.decisions), terminal)],
    ["agents", fields(countFields(status.agents), terminal)],
    ["components", componentsTable(status.components, terminal)],
  ];
  return sections.map(([title, body]) => `${paint("strong", title)}\n${body}`).join("\n");
}

function policyFields(policy: admin.PolicyStatus | undefined, now_ms: number): Field[] {
  if (policy === undefined) return [{ name: "state", value: "unknown", tone: "bad" }];
  return [
    { name: "state", value: policy.state },
    { name: "source", value: policy.source },
    { name: "documents", value: String(policy.documents) },
    { name: "loaded", value: momentText(policy.loadedAtUnixMs, now_ms) },
    ...(policy.lastError === ""
      ? []
      : [{ name: "last error", value: policy.lastError, tone: "bad" as const }]),
    ...policy.warnings.map((value) => ({ name: "warning", value, tone: "caution" as const })),
  ];
}

function auditFields(audit: admin.AuditStatus | undefined, now_ms: number): Field[] {
  if (audit === undefined) return [{ name: "state", value: "unknown", tone: "bad" }];
  return [
    { name: "state", value: audit.state },
    { name: "entries", value: String(audit.entries) },
    {
      name: "checkpoint",
      value: `${audit.checkpointSize} entries, ${momentText(audit.checkpointAtUnixMs, now_ms)}`,
    },
    { name: "origin", value: audit.origin },
    { name: "key", value: audit.verifierKey },
    { name: "directory", value: audit.directory },
    ...(audit.recovery === ""
      ? []
      : [{ name: "recovery", value: audit.recovery, tone: "caution" as const }]),
  ];
}

function countFields(counts: { readonly [name: string]: bigint }): Field[] {
  const names = Object.keys(counts).sort();
  if (names.length === 0) return [{ name: "none", value: "" }];
  return names.map((name) => ({ name, value: String(counts[name] ?? 0n) }));
}

function componentsTable(
  components: readonly admin.ComponentStatus[],
  terminal: Terminal,
): string {
  return table(
    [{ title: "NAME" }, { title: "STATE", toned: true }, { title: "DETAIL" }],
    components.map(({ name, state, detail }) => [name, state, detail]),
    terminal,
  );
}

function dataOf(status: admin.GetStatusResponse): Data {
  const { policy, audit } = status;
  return {
    healthy: isHealthy(status),
    version: status.version,
    started_at_unix_ms: status.startedAtUnixMs,
    listeners: status.listeners,
    policy: policy === undefined ? null : {
      state: policy.state,
      source: policy.source,
      documents: policy.documents,
      epoch: policy.epoch,
      loaded_at_unix_ms: policy.loadedAtUnixMs,
      last_error: policy.lastError,
      document_ids: policy.documentIds,
      warnings: policy.warnings,
    },
    audit: audit === undefined ? null : {
      state: audit.state,
      entries: audit.entries,
      origin: audit.origin,
      verifier_key: audit.verifierKey,
      directory: audit.directory,
      checkpoint_size: audit.checkpointSize,
      checkpoint_at_unix_ms: audit.checkpointAtUnixMs,
      recovery: audit.recovery,
    },
    decisions: status.decisions,
    agents: status.agents,
    components: status.components.map(({ name, state, detail }) => ({ name, state, detail })),
    counters: status.counters,
  };
}

function pause(duration_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, duration_ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
