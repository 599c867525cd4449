/**
 * The static capability matrix: what a principal may do by resource and verb, read from the policy
 * structure alone (contract `policy-and-gateway` §5.5). Reporting only: time, spend, rate and
 * arguments are not looked at, and nothing is ever inferred from missing policy data.
 *
 * @module
 */
import type { Action, FileMode } from "../action.ts";
import type { Principal, RiskTier } from "../principal.ts";
import { capabilityOf } from "./capability.ts";
import type { Cascade } from "./cascade.ts";
import { MESSAGE_TOOL } from "./compiled_document.ts";
import type { PolicySet } from "./compile.ts";
import { type PathVerb, verbOf } from "./filesystem.ts";

/** What one verb on one resource amounts to; `na` where the resource has no such verb. */
export type Cell = "allow" | "narrow" | "approval" | "deny" | "na";

/** Columns of the matrix. */
export const MATRIX_VERBS = ["read", "write", "delete", "exec"] as const;

/** One column. */
export type MatrixVerb = (typeof MATRIX_VERBS)[number];

/** One cell of the matrix. */
export interface CapabilityCell {
  /** `filesystem`, `network_outbound`, `terminal`, `message`, or `tool:<name>`. */
  readonly resource: string;
  readonly verb: MatrixVerb;
  readonly cell: Cell;
}

/** A matrix, or the statement that there is no policy to draw one from. */
export type CapabilityMatrix =
  | { readonly state: "unconfigured" }
  | {
    readonly state: "configured";
    readonly cells: readonly CapabilityCell[];
    /** Tools beyond {@linkcode MATRIX_TOOLS_MAX} that were left out. */
    readonly tools_omitted: number;
  };

/** Tools one matrix lists. */
export const MATRIX_TOOLS_MAX = 1_000;

/**
 * The matrix of one principal. Without any governing document it is `unconfigured`: no cell may
 * then be read as allowed.
 */
export function capabilityMatrix(policy: PolicySet, principal: Principal): CapabilityMatrix {
  if (policy.state !== "configured") return { state: "unconfigured" };
  const anything: Action = { kind: "process_exec", command: "" };
  const cascade = policy.index.cascade(principal, anything);
  if (cascade === undefined) return { state: "unconfigured" };
  const names = toolNames(cascade, policy);
  const listed = names.slice(0, MATRIX_TOOLS_MAX);
  const cells = [
    ...row("filesystem", {
      read: fileCell(cascade, "read"),
      write: fileCell(cascade, "write"),
      delete: fileCell(cascade, "delete"),
    }),
    ...row("network_outbound", { exec: networkCell(cascade) }),
    ...row("terminal", { exec: capabilityCell(cascade, anything) }),
    ...row("message", { exec: cascade.on_message.length > 0 ? "approval" : "allow" }),
    ...listed.flatMap((tool) => row(`tool:${tool}`, { exec: toolCell(policy, principal, tool) })),
  ];
  return { state: "configured", cells, tools_omitted: names.length - listed.length };
}

function row(
  resource: string,
  cells: { readonly [verb in MatrixVerb]?: Cell },
): CapabilityCell[] {
  return MATRIX_VERBS.map((verb) => ({ resource, verb, cell: cells[verb] ?? "na" }));
}

/** Tools that documents over this principal, or documents scoped to a tool, speak of. */
function toolNames(cascade: Cascade, policy: PolicySet): string[] {
  const names = new Set<string>();
  for (const { document } of cascade.documents) {
    for (const name of document.tools.keys()) {
      if (name !== MESSAGE_TOOL) names.add(name);
    }
    for (const token of document.capabilities?.allow ?? []) addTool(names, token.text);
    for (const token of document.capabilities?.deny ?? []) addTool(names, token.text);
  }
  if (policy.mode === "directory") {
    for (const { document } of policy.documents) {
      if (document.scope.tier === "tool") names.add(document.scope.id);
    }
  }
  return [...names].sort();
}

function addTool(names: Set<string>, token: string): void {
  if (token.startsWith("mcp_tool:")) names.add(token.slice("mcp_tool:".length));
}

function capabilityCell(cascade: Cascade, action: Action): "allow" | "narrow" | "deny" {
  const capability = capabilityOf(action);
  if (capability === undefined) return "allow";
  const verdict = cascade.capabilities.check(capability);
  if (verdict.verdict !== "pass") return "deny";
  return verdict.narrowed ? "narrow" : "allow";
}

function fileCell(cascade: Cascade, mode: FileMode): Cell {
  const cell = capabilityCell(cascade, { kind: "file_access", path: "/", mode });
  const verb: PathVerb = verbOf(mode);
  const scope = cascade.paths(verb);
  if (cell === "deny" || scope === undefined) return cell;
  if (scope.paths.length === 0) return "deny";
  return scope.contains("/") ? cell : "narrow";
}

function networkCell(cascade: Cascade): Cell {
  const action: Action = { kind: "network_request", url: "", method: "CONNECT" };
  const cell = capabilityCell(cascade, action);
  if (cell === "deny" || cascade.networks.length === 0) return cell;
  if (cascade.networks.some((by) => by.hosts?.empty === true)) return "deny";
  return cascade.networks.every((by) => by.hosts?.any === true) ? cell : "narrow";
}

function toolCell(policy: PolicySet, principal: Principal, tool: string): Cell {
  const action: Action = { kind: "tool_call", tool, args: "" };
  const cascade = policy.index.cascade(principal, action);
  if (cascade === undefined) return "deny";
  const cell = capabilityCell(cascade, action);
  const plan = cascade.tool(tool);
  if (cell === "deny" || plan.denied !== undefined) return "deny";
  if (plan.limit !== undefined && !(plan.limit.limit_per_hour >= 1)) return "deny";
  if (plan.conditions.length > 0) return "approval";
  return plan.limit === undefined ? cell : "narrow";
}

/** Verbs whose plain `allow` is worth a flag, and the tiers for which it is normal (§5.5). */
const HIGH_PRIVILEGE: readonly {
  readonly resource: string;
  readonly verb: MatrixVerb;
  readonly normal_for: readonly RiskTier[];
}[] = [
  { resource: "filesystem", verb: "write", normal_for: ["medium", "high", "critical"] },
  { resource: "filesystem", verb: "delete", normal_for: ["high", "critical"] },
  { resource: "terminal", verb: "exec", normal_for: ["high", "critical"] },
  { resource: "network_outbound", verb: "exec", normal_for: ["medium", "high", "critical"] },
];

/**
 * Whether a principal is plainly allowed a high-privilege verb outside its tier's baseline.
 *
 * @returns `undefined`, never a guess, when the tier is unknown or there is no policy.
 */
export function isOverPermissioned(
  matrix: CapabilityMatrix,
  tier: RiskTier | undefined,
): boolean | undefined {
  if (matrix.state !== "configured" || tier === undefined) return undefined;
  return HIGH_PRIVILEGE.some(({ resource, verb, normal_for }) =>
    !normal_for.includes(tier) &&
    matrix.cells.some((cell) =>
      cell.resource === resource && cell.verb === verb && cell.cell === "allow"
    )
  );
}
