/**
 * Writes `limits.md` from the code: every named bound, its value, and what its docstring says
 * happens at it. `deno run --allow-read=. --allow-write=docs docs/generate_limits.ts`; a test keeps
 * the page equal to what this prints.
 *
 * @module
 */
import { IPC_LIMITS } from "../proto/ipc/limits.ts";
import { BROKER_LIMITS } from "../runtime/broker/limits.ts";
import { IPC_ROOM_LIMITS } from "../runtime/ipc/limits.ts";
import { LOCAL_ORDER_LIMITS } from "../runtime/orders/limits.ts";
import { HEALTH_LIMITS } from "../runtime/health/limits.ts";
import { SERVER_BOUNDS } from "../grpc/bounds.ts";
import { APPROVAL_LIMITS } from "../core/approval/limits.ts";
import { ANOMALY_LIMITS } from "../core/anomaly/limits.ts";
import { ANOMALY_ROOM_LIMITS } from "../gateway/anomalies/limits.ts";
import { ALERT_LIMITS } from "../gateway/alerts/limits.ts";
import { RATE_ROOM_LIMITS } from "../gateway/rates/limits.ts";
import { LIMITS } from "../core/limits.ts";
import { LEDGER_LIMITS } from "../core/ledger/limits.ts";
import { REPLAY_LIMITS } from "../core/replay/limits.ts";
import { SECRET_LIMITS } from "../core/secrets/limits.ts";
import { SCANNER_LIMITS } from "../core/scanner/limits.ts";
import { NOTIFY_LIMITS } from "../gateway/notify/limits.ts";
import { QUEUE_LIMITS } from "../gateway/approvals/limits.ts";
import { CHALLENGE_LIMITS } from "../gateway/identity/challenges.ts";
import { IAM_LIMITS } from "../gateway/iam/limits.ts";
import { FACTS_LIMITS } from "../gateway/facts/limits.ts";
import { LEDGER_ROOM_LIMITS } from "../gateway/ledger/limits.ts";
import { POLICY_CHANGE_LIMITS } from "../gateway/policy/limits.ts";
import { OPERATOR_LIMITS } from "../gateway/identity/operators.ts";
import { ENROLMENT_LIMITS } from "../gateway/registry/enrolments.ts";
import { INVALIDATION_LIMITS } from "../gateway/invalidation/limits.ts";
import { OPERATION_LIMITS } from "../gateway/operations/limits.ts";
import { REGISTRY_LIMITS } from "../gateway/registry/limits.ts";
import { RUNTIME_ROOM_LIMITS } from "../gateway/runtimes/limits.ts";
import { DECISION_LIMITS } from "../runtime/decisions/limits.ts";
import { TOPOLOGY_LIMITS } from "../gateway/topology/limits.ts";
import { CORRELATION_LIMITS } from "../runtime/correlation/limits.ts";
import { PIPELINE_LIMITS } from "../runtime/pipeline/limits.ts";
import { FORWARD_LIMITS, SPOOL_LIMITS } from "../runtime/spool/limits.ts";
import { WEB_LIMITS } from "../gateway/config.ts";
import { SDK_LIMITS } from "../sdk/limits.ts";
import { ADAPTER_LIMITS } from "../sdk/adapters/limits.ts";
import { TRANSPORT_LIMITS } from "../sdk/transports/limits.ts";
import { SQLITE_LIMITS } from "../storage/sqlite/limits.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** A table of bounds: an object of values, documented by the docstrings of its source. */
interface Table {
  readonly title: string;
  readonly source: string;
  readonly values: object;
}

const TABLES: readonly Table[] = [
  { title: "Policy, scanner, audit entry, requests", source: "core/limits.ts", values: LIMITS },
  { title: "Approvals", source: "core/approval/limits.ts", values: APPROVAL_LIMITS },
  { title: "Anomaly detectors", source: "core/anomaly/limits.ts", values: ANOMALY_LIMITS },
  { title: "Notifications", source: "gateway/notify/limits.ts", values: NOTIFY_LIMITS },
  { title: "Approval queue", source: "gateway/approvals/limits.ts", values: QUEUE_LIMITS },
  {
    title: "Anomaly baselines",
    source: "gateway/anomalies/limits.ts",
    values: ANOMALY_ROOM_LIMITS,
  },
  { title: "Alerts", source: "gateway/alerts/limits.ts", values: ALERT_LIMITS },
  {
    title: "Rate windows over a restart",
    source: "gateway/rates/limits.ts",
    values: RATE_ROOM_LIMITS,
  },
  { title: "Scanner", source: "core/scanner/limits.ts", values: SCANNER_LIMITS },
  { title: "Decision facts and replay", source: "core/replay/limits.ts", values: REPLAY_LIMITS },
  { title: "Recording of decision facts", source: "gateway/facts/limits.ts", values: FACTS_LIMITS },
  { title: "gRPC transport (server defaults)", source: "grpc/bounds.ts", values: SERVER_BOUNDS },
  { title: "Runtime socket protocol", source: "proto/ipc/limits.ts", values: IPC_LIMITS },
  { title: "Runtime socket", source: "runtime/ipc/limits.ts", values: IPC_ROOM_LIMITS },
  { title: "Web listener", source: "gateway/config.ts", values: WEB_LIMITS },
  { title: "SDK", source: "sdk/limits.ts", values: SDK_LIMITS },
  { title: "SDK adapters", source: "sdk/adapters/limits.ts", values: ADAPTER_LIMITS },
  { title: "SDK transports", source: "sdk/transports/limits.ts", values: TRANSPORT_LIMITS },
  { title: "Local orders", source: "runtime/orders/limits.ts", values: LOCAL_ORDER_LIMITS },
  { title: "Runtime health", source: "runtime/health/limits.ts", values: HEALTH_LIMITS },
  { title: "Ledger", source: "core/ledger/limits.ts", values: LEDGER_LIMITS },
  { title: "Ledger room", source: "gateway/ledger/limits.ts", values: LEDGER_ROOM_LIMITS },
  { title: "Registry", source: "gateway/registry/limits.ts", values: REGISTRY_LIMITS },
  { title: "Enrolments", source: "gateway/registry/enrolments.ts", values: ENROLMENT_LIMITS },
  { title: "Operator control", source: "gateway/operations/limits.ts", values: OPERATION_LIMITS },
  { title: "Invalidation", source: "gateway/invalidation/limits.ts", values: INVALIDATION_LIMITS },
  {
    title: "Runtimes, at the gateway",
    source: "gateway/runtimes/limits.ts",
    values: RUNTIME_ROOM_LIMITS,
  },
  {
    title: "Decisions of a runtime",
    source: "runtime/decisions/limits.ts",
    values: DECISION_LIMITS,
  },
  { title: "Topology", source: "gateway/topology/limits.ts", values: TOPOLOGY_LIMITS },
  { title: "Secrets", source: "core/secrets/limits.ts", values: SECRET_LIMITS },
  { title: "State store", source: "storage/sqlite/limits.ts", values: SQLITE_LIMITS },
  { title: "Permission broker", source: "runtime/broker/limits.ts", values: BROKER_LIMITS },
  { title: "Event pipeline", source: "runtime/pipeline/limits.ts", values: PIPELINE_LIMITS },
  { title: "Correlation", source: "runtime/correlation/limits.ts", values: CORRELATION_LIMITS },
  { title: "Spool", source: "runtime/spool/limits.ts", values: SPOOL_LIMITS },
  { title: "Delivery from the spool", source: "runtime/spool/limits.ts", values: FORWARD_LIMITS },
  { title: "Challenges", source: "gateway/identity/challenges.ts", values: CHALLENGE_LIMITS },
  { title: "Operators", source: "gateway/identity/operators.ts", values: OPERATOR_LIMITS },
  {
    title: "Policy history and changes",
    source: "gateway/policy/limits.ts",
    values: POLICY_CHANGE_LIMITS,
  },
  { title: "API keys", source: "gateway/iam/limits.ts", values: IAM_LIMITS },
];

/** Files whose single documented constants are bounds too. */
const CONSTANTS = [
  "gateway/config.ts",
  "gateway/identity/spiffe.ts",
  "gateway/services/policy.ts",
  "gateway/services/audit.ts",
  "gateway/services/approval.ts",
  "gateway/rooms/approvals.ts",
  "gateway/services/admin_audit.ts",
  "gateway/services/operations.ts",
  "gateway/engine/evidence.ts",
  "core/audit/clean_text.ts",
  "proto/redact_rules.ts",
  "runtime/decisions/gateway_client.ts",
  "runtime/decisions/open.ts",
  "gateway/engine/engine.ts",
  "gateway/audit/reading.ts",
  "gateway/audit/commit.ts",
  "gateway/audit/tree.ts",
  "gateway/audit/tail_scan.ts",
  "core/audit/sanitize.ts",
  "core/policy/matrix.ts",
  "core/policy/history/bundle.ts",
  "core/policy/history/policy_set.ts",
  "core/policy/history/unified_diff.ts",
  "core/policy/explain/search.ts",
  "core/policy/analyze/witness.ts",
  "core/policy/analyze/conditions.ts",
  "gateway/facts/replaying.ts",
  "grpc/bounds.ts",
  "grpc/health.ts",
  "grpc/offload/link.ts",
  "grpc/offload/front.ts",
  "grpc/offload/origin.ts",
  "grpc/offload/relayed_call.ts",
  "runtime/nats/config.ts",
  "runtime/nats/connection.ts",
  "runtime/nats/publisher.ts",
  "cli/files.ts",
  "cli/commands/secrets.ts",
];

const HEAD = `# Limits

Every bound of the suite and what happens at it. Generated from the code by \`docs/generate_limits.ts\`; a test keeps this page true.
`;

/** The page as it should be. */
export async function limitsPage(): Promise<string> {
  const parts = [HEAD];
  for (const table of TABLES) {
    const text = await Deno.readTextFile(`${ROOT}${table.source}`);
    const rows = Object.entries(table.values).map(([name, value]) =>
      row(name, Number(value), docOf(text, name))
    );
    parts.push(section(table.title, table.source, rows));
  }
  const rows: string[] = [];
  for (const source of CONSTANTS) {
    const text = await Deno.readTextFile(`${ROOT}${source}`);
    for (const { name, value, doc } of constantsOf(text)) {
      rows.push(row(`${name}\` in \`${source}`, value, doc));
    }
  }
  parts.push(section("Single bounds", undefined, rows));
  return parts.join("\n");
}

function section(title: string, source: string | undefined, rows: readonly string[]): string {
  const from = source === undefined ? "" : `\nSource: \`${source}\`.\n`;
  return `## ${title}\n${from}\n| Bound | Value | What it is, and what happens at it |\n|---|---|---|\n${
    rows.join("\n")
  }\n`;
}

function row(name: string, value: number, doc: string): string {
  if (doc === "") throw new Error(`\`${name}\` has no docstring`);
  return `| \`${name}\` | ${value.toLocaleString("en")} | ${doc.replaceAll("|", "\\|")} |`;
}

/** The docstring right before `name:`; members that share one take the nearest above. */
function docOf(text: string, name: string): string {
  const at = text.search(new RegExp(`^  (readonly )?${name}: `, "m"));
  const end = text.lastIndexOf("*/", at);
  return docText(text.slice(text.lastIndexOf("/**", end), end));
}

function* constantsOf(text: string): Generator<{ name: string; value: number; doc: string }> {
  const pattern =
    /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n(?:export )?const ([A-Z0-9_]+) = ([\d_]+(?: \* [\d_]+)*);/g;
  for (const [, doc = "", name = "", expression = ""] of text.matchAll(pattern)) {
    const value = expression.split(" * ").reduce(
      (all, part) => all * Number(part.replaceAll("_", "")),
      1,
    );
    yield { name, value, doc: docText(doc) };
  }
}

function docText(comment: string): string {
  return comment.replace("/**", "").split("\n")
    .map((line) => line.replace(/^\s*\*?\s?/, "").trim())
    .join(" ").replace(/\{@linkcode ([^}]+)\}/g, "`$1`").trim();
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("limits.md", import.meta.url), await limitsPage());
}
