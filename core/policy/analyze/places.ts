/**
 * Hosts that other entries cover, and hosts and paths that wider documents exclude or nothing can
 * ever match.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import type { PolicySet } from "../compile.ts";
import type { PolicyDocument } from "../document.ts";
import { normalizePath, type PathVerb, Subtrees } from "../filesystem.ts";
import { HostAllowlist, understandHost } from "../network.ts";
import { ruleAt } from "../stage.ts";
import { at, sameRule, type Workbench } from "./witness.ts";

/** A label that no allowlist spells. */
const PROBE = "zz-probe-label";

/** A request to a host. */
export function requestOf(host: string): Action {
  const bare = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return { kind: "network_request", url: `https://${bare}:443`, method: "CONNECT" };
}

/** A host that an entry stands for: itself, or one below it that nobody names. */
export function hostOf(entry: string): string {
  if (entry === "*") return `${PROBE}.invalid`;
  return entry.startsWith("*.") ? `${PROBE}.${entry.slice(2)}` : entry;
}

/** Looks at every entry of a document's allowlist. */
export function analyzeNetwork(on: Workbench, document: PolicyDocument): void {
  const { network, scope } = document;
  if (network === undefined || (on.mode === "directory" && scope.tier === "tool")) return;
  const entries = network.allowlist.map(({ value }) => value.trim());
  for (const [index, located] of network.allowlist.entries()) {
    const entry = located.value.trim();
    const rule = ruleAt(document, located, `network.allowlist[${index}]`);
    const own = new HostAllowlist([entry]);
    const witness = on.witness(document, requestOf(hostOf(entry)));
    if (own.empty) {
      const message = `${at(rule)} (\`${entry}\`) matches no host: an entry is a host, ` +
        "`*.domain` or `*`, without scheme, port or path";
      on.report({ kind: "dead", rule, message }, witness, () => true);
      continue;
    }
    const host = understandHost(urlOf(witness.action));
    const other = entries.findIndex((one, which) =>
      which !== index && (one !== entry || which < index) && new HostAllowlist([one]).permits(host)
    );
    const covering = network.allowlist[other];
    if (covering !== undefined) {
      const because = ruleAt(document, covering, `network.allowlist[${other}]`);
      const message = `${at(rule)} (\`${entry}\`) adds nothing to ${at(because)} ` +
        `(\`${entries[other] ?? ""}\`)`;
      const without = on.decide(witness, withoutHost(on, document, index));
      on.report(
        { kind: "shadowed", rule, because, message },
        witness,
        ({ outcome, reason }) => outcome === without.outcome && reason === without.reason,
      );
      continue;
    }
    excludedHost(on, witness, rule, entry);
  }
}

function withoutHost(on: Workbench, document: PolicyDocument, index: number): PolicySet {
  return on.edited(document, (one) => ({
    ...one,
    ...(one.network && {
      network: {
        ...one.network,
        allowlist: one.network.allowlist.filter((_, which) => which !== index),
      },
    }),
  }));
}

function urlOf(action: Action): string {
  return action.kind === "network_request" ? action.url : "";
}

/** An entry of which a wider document's list permits nothing. */
function excludedHost(
  on: Workbench,
  witness: ReturnType<Workbench["witness"]>,
  rule: ReturnType<typeof ruleAt>,
  entry: string,
): void {
  const decision = on.decide(witness);
  const because = decision.rule;
  if (decision.stage !== "network" || because === undefined) return;
  const cascade = on.set.index.cascade(witness.principal, witness.action);
  const by = cascade?.networks.find((one) => one.document.digest === because.policy_doc_id);
  const listed = by?.document.network?.allowlist.map(({ value }) => value.trim().toLowerCase());
  const below = entry.startsWith("*.") ? entry.slice(1).toLowerCase() : undefined;
  // A wildcard is left with something when the other list names anything inside it.
  if (below !== undefined && listed?.some((one) => one.endsWith(below))) return;
  const message = `${at(rule)} (\`${entry}\`) lets nothing through: ${
    at(because)
  } does not have it`;
  on.report(
    { kind: "shadowed", rule, because, message },
    witness,
    (seen) => seen.stage === "network" && sameRule(seen.rule, because),
  );
}

/** Looks at every path of a document. */
export function analyzeFilesystem(on: Workbench, document: PolicyDocument): void {
  if (on.mode === "directory" && document.scope.tier === "tool") return;
  for (const verb of ["read", "write"] as const) analyzePaths(on, document, verb);
}

function analyzePaths(on: Workbench, document: PolicyDocument, verb: PathVerb): void {
  const rules = document.filesystem?.[verb];
  if (rules === undefined) return;
  // Entries inside each other are pruned when the document is loaded.
  for (const [index, located] of rules.allow.entries()) {
    const path = normalizePath(located.value);
    const rule = ruleAt(document, located, `filesystem.${verb}.allow[${index}]`);
    const inside = path === "/" ? `/${PROBE}` : `${path}/${PROBE}`;
    const witness = on.witness(document, { kind: "file_access", mode: verb, path: inside });
    excludedPath(on, witness, rule, path, verb);
  }
}

/** A path of which the merged scope has nothing left. */
function excludedPath(
  on: Workbench,
  witness: ReturnType<Workbench["witness"]>,
  rule: ReturnType<typeof ruleAt>,
  path: string,
  verb: PathVerb,
): void {
  const decision = on.decide(witness);
  const because = decision.rule;
  if (decision.stage !== "filesystem" || because === undefined) return;
  const cascade = on.set.index.cascade(witness.principal, witness.action);
  const own = new Subtrees([path]);
  if (cascade?.paths(verb)?.paths.some((left) => own.contains(left))) return;
  const message = `${at(rule)} (\`${path}\`) lets nothing through: it lies outside ${at(because)}`;
  on.report(
    { kind: "shadowed", rule, because, message },
    witness,
    (seen) => seen.stage === "filesystem" && sameRule(seen.rule, because),
  );
}
