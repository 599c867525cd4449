/**
 * Capability tokens that are undone by others, and sections that permit what capabilities forbid.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import type { Capability, PolicyDocument } from "../document.ts";
import { ruleAt } from "../stage.ts";
import { hostOf, requestOf } from "./places.ts";
import { at, sameDocument, sameRule, type Workbench } from "./witness.ts";

/** Looks at the capability lists of a document, and at what they leave of other sections. */
export function analyzeCapabilities(on: Workbench, document: PolicyDocument): void {
  for (const [index, token] of (document.capabilities?.allow ?? []).entries()) {
    analyzeGrant(on, document, token, index);
  }
  for (const [index, token] of (document.capabilities?.deny ?? []).entries()) {
    analyzeDenial(on, document, token, index);
  }
  analyzeSections(on, document);
}

/** An action that needs a token; `undefined` for tokens that nothing needs. */
function actionFor(token: string): Action | undefined {
  if (token.startsWith("mcp_tool:")) {
    return { kind: "tool_call", tool: token.slice("mcp_tool:".length), args: "{}" };
  }
  switch (token) {
    case "file_read":
      return { kind: "file_access", mode: "read", path: "/probe" };
    case "file_write":
      return { kind: "file_access", mode: "write", path: "/probe" };
    case "file_delete":
      return { kind: "file_access", mode: "delete", path: "/probe" };
    case "network_outbound":
      return { kind: "network_request", url: "https://probe.invalid:443", method: "CONNECT" };
    case "terminal_exec":
      return { kind: "process_exec", command: "probe" };
    default:
      return undefined;
  }
}

/** A document scoped to one tool sees actions of that tool alone. */
function isSeen(on: Workbench, { scope }: PolicyDocument, action: Action): boolean {
  if (on.mode !== "directory" || scope.tier !== "tool") return true;
  return action.kind === "tool_call" && action.tool === scope.id;
}

function analyzeGrant(
  on: Workbench,
  document: PolicyDocument,
  token: Capability,
  index: number,
): void {
  const action = actionFor(token.text);
  if (action === undefined) return;
  const rule = ruleAt(document, token, `capabilities.allow[${index}]`);
  const witness = on.witness(document, action);
  if (!isSeen(on, document, action)) {
    const message = `${at(rule)} (\`${token.text}\`) is never looked up: the document governs ` +
      "actions of its own tool only";
    return on.report(
      { kind: "dead", rule, message },
      witness,
      ({ rule: by }) => by === undefined || !sameDocument(by, rule),
    );
  }
  const decision = on.decide(witness);
  if (decision.stage !== "capability" || decision.rule === undefined) return;
  const because = decision.rule;
  const kind = sameDocument(rule, because) ? "contradictory" : "shadowed";
  const message = `${at(rule)} grants \`${token.text}\`, which ${at(because)} refuses`;
  on.report({ kind, rule, because, message }, witness, ({ rule: by }) => sameRule(by, because));
}

function analyzeDenial(
  on: Workbench,
  document: PolicyDocument,
  token: Capability,
  index: number,
): void {
  const action = actionFor(token.text);
  if (action === undefined || !isSeen(on, document, action)) return;
  const rule = ruleAt(document, token, `capabilities.deny[${index}]`);
  const edited = on.edited(document, (one) => ({
    ...one,
    ...(one.capabilities && {
      capabilities: {
        ...one.capabilities,
        deny: one.capabilities.deny.filter((other) => other !== token),
      },
    }),
  }));
  // Denying `file_write` denies deleting, too: a token is idle only if it is so for each.
  const actions: Action[] = token.text === "file_write"
    ? [action, { kind: "file_access", mode: "delete", path: "/probe" }]
    : token.text.startsWith("mcp_tool:") && action.kind === "tool_call"
    ? [action, { kind: "tool_result", tool: action.tool, result: "" }]
    : [action];
  const idle = actions.every((one) => {
    const decision = on.decide(on.witness(document, one), edited);
    return decision.stage === "capability" && decision.outcome === "deny";
  });
  if (!idle) return;
  const without = on.decide(on.witness(document, action), edited).rule;
  if (without === undefined) return;
  const message = `${at(rule)} denies \`${token.text}\`, which ${at(without)} refuses anyway`;
  on.report(
    { kind: "shadowed", rule, because: without, message },
    on.witness(document, action),
    ({ stage, outcome }) => stage === "capability" && outcome === "deny",
  );
}

/** Sections whose every rule needs a capability that nobody has. */
function analyzeSections(on: Workbench, document: PolicyDocument): void {
  const { network, filesystem, scope } = document;
  if (on.mode === "directory" && scope.tier === "tool") return;
  if (network !== undefined && network.allowlist.length > 0) {
    // The list is looked at before the capability: only a host that it has comes so far.
    const hosts = network.allowlist.map(({ value }) => requestOf(hostOf(value.trim())));
    forbidden(on, document, ruleAt(document, network.at, "network"), hosts);
  }
  if (filesystem?.read !== undefined && filesystem.read.allow.length > 0) {
    const rule = ruleAt(document, filesystem.read.at, "filesystem.read");
    forbidden(on, document, rule, [{ kind: "file_access", mode: "read", path: "/probe" }]);
  }
  if (filesystem?.write !== undefined && filesystem.write.allow.length > 0) {
    const rule = ruleAt(document, filesystem.write.at, "filesystem.write");
    forbidden(on, document, rule, [
      { kind: "file_access", mode: "write", path: "/probe" },
      { kind: "file_access", mode: "delete", path: "/probe" },
    ]);
  }
}

/** @param actions What the section would permit; each must be refused for want of a capability. */
function forbidden(
  on: Workbench,
  document: PolicyDocument,
  rule: ReturnType<typeof ruleAt>,
  actions: readonly Action[],
): void {
  // What another rule of the same section refuses says nothing of capabilities.
  const tried = actions.map((action) => on.witness(document, action))
    .map((witness) => ({ witness, decision: on.decide(witness) }))
    .filter(({ decision }) => decision.stage !== "network");
  const [first] = tried;
  const because = first?.decision.rule;
  if (first === undefined || because === undefined) return;
  if (!tried.every(({ decision }) => decision.stage === "capability")) return;
  const message = `${at(rule)} opens something that ${at(because)} forbids entirely`;
  on.report(
    { kind: "unsatisfiable", rule, because, message },
    first.witness,
    ({ stage }) => stage === "capability",
  );
}
