/**
 * Which documents govern an action, and their static merge (contract `policy-and-gateway` §3).
 *
 * Documents are indexed by tier and id, and each combination that occurs is merged once. Only
 * structure is remembered, never a verdict: there is no decision cache, because walking the merged
 * structure is faster than keying one, and because time, spend, rate and live context then are
 * always fresh (contract §4.6, §13.1 #15).
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { Scanner } from "../scanner/finding.ts";
import type { Decision } from "../verdict.ts";
import { type AnomalyPlan, planAnomaly } from "./anomaly_plan.ts";
import { concernsLedger } from "./budget.ts";
import { CapabilityRules } from "./capability.ts";
import type { CompiledDocument } from "./compiled_document.ts";
import { type DetectionPlan, planDetection, type ScannerFactory } from "./detection.ts";
import type { Scope } from "./document.ts";
import { intersectSubtrees, type PathVerb, type Subtrees } from "./filesystem.ts";
import { type PlannedRate, planRates } from "./rate_rules.ts";
import { type BoundCondition, messageConditions, planTool, type ToolPlan } from "./tool.ts";

/**
 * What one set may keep of merged structure, in references to documents, plans and conditions; at
 * the bound everything is dropped and merged again on demand.
 */
const MERGED_REFERENCES_MAX = 1_000_000;

/** Compiled scanners kept per set; at the bound all are dropped and compiled again on demand. */
const SCANNERS_MAX = 256;

/** Documents of one combination of scopes, merged. Static: the same for every action under it. */
export class Cascade {
  /** Widest first: global, org, team, agent, tool; file-name order inside a tier. */
  readonly documents: readonly CompiledDocument[];
  readonly schedules: readonly CompiledDocument[];
  readonly networks: readonly CompiledDocument[];
  readonly budgets: readonly CompiledDocument[];
  readonly capabilities: CapabilityRules;
  readonly detection: DetectionPlan;
  readonly anomaly: AnomalyPlan;
  /** Declared limits of all documents, beside those of single tools. */
  readonly rates: readonly PlannedRate[];
  readonly on_message: readonly BoundCondition[];
  readonly scanner: () => Scanner;
  /** Digest of the narrowest document: the last one evaluated when nothing stopped the action. */
  readonly last_doc_id: string;
  /** The two plain allows of this cascade, built once. */
  readonly allow: Decision;
  readonly allow_narrowed: Decision;

  readonly #index: ScopeIndex;
  readonly #with_tools: readonly CompiledDocument[];
  readonly #paths: { readonly [verb in PathVerb]: Subtrees | undefined };
  readonly #plans = new Map<string, ToolPlan>();
  #unlisted: ToolPlan | undefined;

  constructor(documents: readonly CompiledDocument[], index: ScopeIndex) {
    this.documents = documents;
    this.#index = index;
    this.schedules = documents.filter((by) => by.document.schedule?.active_hours !== undefined);
    this.networks = documents.filter((by) => by.hosts !== undefined);
    this.budgets = documents.filter((by) => concernsLedger(by.document));
    this.capabilities = new CapabilityRules(documents);
    this.detection = planDetection(documents);
    this.anomaly = planAnomaly(documents);
    this.rates = planRates(documents);
    this.on_message = messageConditions(documents);
    this.scanner = () => index.scannerOf(this.detection);
    this.last_doc_id = documents.at(-1)?.document.digest ?? "";
    this.allow = plainAllow(this.last_doc_id, false);
    this.allow_narrowed = plainAllow(this.last_doc_id, true);
    this.#with_tools = documents.filter((by) => by.document.tools.size > 0);
    this.#paths = { read: mergePaths(documents, "read"), write: mergePaths(documents, "write") };
  }

  /** The merged subtrees of a verb; `undefined` when no document states it. */
  paths(verb: PathVerb): Subtrees | undefined {
    return this.#paths[verb];
  }

  /** The merged rules of one tool. Names no document lists share one plan: callers choose names. */
  tool(name: string): ToolPlan {
    if (!this.#index.listsTool(name)) {
      return this.#unlisted ??= planTool(this.#with_tools, "*");
    }
    let plan = this.#plans.get(name);
    if (plan === undefined) {
      plan = planTool(this.#with_tools, name);
      this.#index.reserve(1 + plan.conditions.length);
      this.#plans.set(name, plan);
    }
    return plan;
  }
}

function plainAllow(policy_doc_id: string, narrowed: boolean): Decision {
  return Object.freeze({
    outcome: "allow",
    reason: "",
    findings: Object.freeze([]),
    narrowed,
    deny_action: "none",
    policy_doc_id,
    evidence: Object.freeze([]),
  });
}

function mergePaths(documents: readonly CompiledDocument[], verb: PathVerb): Subtrees | undefined {
  let merged: Subtrees | undefined;
  for (const by of documents) {
    const own = by[verb];
    if (own === undefined) continue;
    merged = merged === undefined ? own : intersectSubtrees(merged, own);
  }
  return merged;
}

/** Documents of one scope, numbered so that combinations can be keyed without building text. */
interface Bucket {
  readonly number: number;
  readonly documents: CompiledDocument[];
}

const NONE: Bucket = { number: 0, documents: [] };

/** More than the documents one directory may hold; five numbers of this base key a combination. */
const BASE = 2 ** 14;

/** Finds the cascade of an action. */
export class ScopeIndex {
  /** How this set builds scanners. */
  readonly scannerFor: ScannerFactory;
  readonly #global: Bucket = { number: 0, documents: [] };
  readonly #buckets: { readonly [tier in Scope["tier"]]: Map<string, Bucket> } = {
    global: new Map(),
    org: new Map(),
    team: new Map(),
    agent: new Map(),
    tool: new Map(),
  };
  readonly #listed = new Set<string>();
  readonly #cascades = new Map<number, Map<number, Cascade>>();
  #references = 0;
  readonly #scanners = new Map<string, Scanner>();

  /** @param ignore_scope A single file governs every agent, whatever its scope (contract §3.3). */
  constructor(
    documents: readonly CompiledDocument[],
    ignore_scope: boolean,
    scannerFor: ScannerFactory,
  ) {
    this.scannerFor = scannerFor;
    for (const by of documents) {
      for (const name of by.document.tools.keys()) this.#listed.add(name);
      const { scope } = by.document;
      if (ignore_scope || scope.tier === "global") this.#global.documents.push(by);
      else this.#add(scope.tier, scope.tier === "agent" ? keyOf(scope.id) : scope.id, by);
    }
  }

  /** Whether any document has an entry of this very name. */
  listsTool(name: string): boolean {
    return this.#listed.has(name);
  }

  /** The merged documents that govern an action; `undefined` when none does. */
  cascade(principal: Principal, action: Action): Cascade | undefined {
    const { org_id, team_id, engine_key, registry_key } = principal;
    const org = this.#find("org", org_id);
    const team = this.#find("team", team_id);
    const agent = this.#find("agent", engine_key);
    const registered = registry_key === engine_key ? NONE : this.#find("agent", registry_key);
    const named = action.kind === "tool_call" || action.kind === "tool_result";
    const tool = named ? this.#find("tool", action.tool) : NONE;
    const wide = org.number * BASE + team.number;
    const narrow = (agent.number * BASE + registered.number) * BASE + tool.number;
    const known = this.#cascades.get(wide)?.get(narrow);
    if (known !== undefined) return known;
    const agents = [...agent.documents, ...registered.documents]
      .sort((a, b) => a.index - b.index);
    const documents = [
      this.#global.documents,
      org.documents,
      team.documents,
      agents,
      tool.documents,
    ]
      .flat();
    if (documents.length === 0) return undefined;
    return this.#keep(wide, narrow, new Cascade(documents, this));
  }

  /** The scanner of a plan, compiled once per combination of documents. May throw. */
  scannerOf(plan: DetectionPlan): Scanner {
    const key = plan.documents.map((by) => by.index).join();
    let scanner = this.#scanners.get(key);
    if (scanner === undefined) {
      scanner = this.scannerFor(plan.rules);
      if (this.#scanners.size >= SCANNERS_MAX) this.#scanners.clear();
      this.#scanners.set(key, scanner);
    }
    return scanner;
  }

  /** Makes room for merged structure that is about to be kept. */
  reserve(references: number): void {
    this.#references += references;
    if (this.#references <= MERGED_REFERENCES_MAX) return;
    this.#cascades.clear();
    this.#references = references;
  }

  #find(tier: Scope["tier"], id: string | undefined): Bucket {
    return id === undefined ? NONE : this.#buckets[tier].get(id) ?? NONE;
  }

  #add(tier: Scope["tier"], id: string, by: CompiledDocument): void {
    const buckets = this.#buckets[tier];
    const bucket = buckets.get(id);
    if (bucket !== undefined) bucket.documents.push(by);
    else buckets.set(id, { number: buckets.size + 1, documents: [by] });
  }

  #keep(wide: number, narrow: number, cascade: Cascade): Cascade {
    this.reserve(1 + cascade.documents.length + cascade.rates.length);
    let row = this.#cascades.get(wide);
    if (row === undefined) {
      row = new Map();
      this.#cascades.set(wide, row);
    }
    row.set(narrow, cascade);
    return cascade;
  }
}

/** `agent:<uuid>` names the 16 bytes that keys of principals give as 32 hex digits. */
function keyOf(uuid: string): string {
  return uuid.replaceAll("-", "").toLowerCase();
}
