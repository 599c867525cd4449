/**
 * `assembly.admin.v1.PolicyAdminService`: the policy as operators change it, and every version
 * before. Not part of the reference.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Scope } from "../../core/policy/document.ts";
import { parseScope } from "../../core/policy/sections/scope.ts";
import { type RuleChange, semanticDiff } from "../../core/policy/history/semantic_diff.ts";
import { unifiedDiff } from "../../core/policy/history/unified_diff.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type ChangeResponse,
  ChangeResponseSchema,
  DiffResponseSchema,
  ExportBundleResponseSchema,
  GetVersionResponseSchema,
  ListProposalsResponseSchema,
  ListVersionsResponseSchema,
  type PolicyAdminService,
  type PolicyVersionSchema,
  type ProposalSchema,
  RejectProposalResponseSchema,
  type RuleChangeSchema,
  VerifyBundleResponseSchema,
} from "../../proto/gen/assembly/admin/v1/policy_admin_pb.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { governanceEntry } from "../engine/governance.ts";
import { type LoadedPolicy, loadPolicyTexts, PolicyLoadError } from "../engine/policy_files.ts";
import { PolicyChangeError, type PolicyStore } from "../engine/policy_store.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import { type Bundles, signerName } from "../policy/bundles.ts";
import { type ChangeOutcome, ChangeRefused, type PolicyChanges } from "../policy/changes.ts";
import { HistoryError, type PolicyHistory } from "../policy/history.ts";
import { POLICY_CHANGE_LIMITS } from "../policy/limits.ts";
import { named, PlanError } from "../policy/plan.ts";
import { type Proposal, ProposalError, type Proposals } from "../policy/proposals.ts";
import type { PolicyVersion } from "../policy/version.ts";
import { invalid } from "./admin.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

/** What the service shows and changes. */
export interface PolicyAdminDependencies {
  readonly policy: PolicyStore;
  readonly history: PolicyHistory;
  readonly proposals: Proposals;
  readonly changes: PolicyChanges;
  readonly bundles: Bundles;
  readonly operators: Operators;
  readonly audit: Pick<AuditLog, "append">;
  readonly counters: Counters;
  readonly clock: Clock;
}

type Handlers = ServiceHandlers<typeof PolicyAdminService>;

/** Handlers; every one needs a known credential, and every refusal of a change is on record. */
export function policyAdminHandlers(on: PolicyAdminDependencies): Handlers {
  return { ...historyHandlers(on), ...changeHandlers(on), ...proposalHandlers(on) };
}

function historyHandlers(
  on: PolicyAdminDependencies,
): Pick<Handlers, "listVersions" | "getVersion" | "diff" | "exportBundle" | "verifyBundle"> {
  const { history, bundles } = on;
  return {
    listVersions: ({ limit }, context) => {
      const actor = reader(on, context);
      const versions = history.list(limit === 0 ? undefined : limit);
      const damaged = [...history.damaged].map(([version, problem]) => ({
        version: BigInt(version),
        problem,
      }));
      return create(ListVersionsResponseSchema, {
        versions: [...versions.map((version) => versionMessage(on, version, actor)), ...damaged],
      });
    },
    getVersion: ({ version: name }, context) =>
      translated(on, undefined, async () => {
        const actor = reader(on, context);
        const version = inForceOr(on, name);
        const texts = version === undefined ? on.policy.loaded.texts : await history.texts(version);
        const scopes = version === undefined
          ? named(on.policy.loaded).map(({ document }) => document.scope)
          : version.files.map(({ scope }) => scopeOf(scope));
        return create(GetVersionResponseSchema, {
          ...(version === undefined ? {} : { version: versionMessage(on, version, actor) }),
          files: texts.filter((_, at) => {
            const scope = scopes[at];
            return scope !== undefined && on.changes.sees(actor, scope);
          }),
        });
      }),
    diff: ({ from, to, proposal: id }, context) =>
      translated(on, undefined, async () => {
        const actor = reader(on, context);
        const [before, after] = id === ""
          ? [await setOf(on, from), await setOf(on, to)]
          : [on.policy.loaded, on.changes.planOfProposal(proposalOf(on, id)).next];
        return create(DiffResponseSchema, diffMessage(on, actor, before, after));
      }),
    exportBundle: ({ version: name }, context) =>
      translated(on, undefined, async () => {
        const actor = requirePermission(context, on.operators, on.counters, "policy.read", {
          kind: "gateway",
        });
        const version = inForceOr(on, name) ?? fail("no policy is in force that was kept");
        const bundle = bundles.export(version, await history.texts(version));
        await on.audit.append(governanceEntry("policy_bundle_exported", {
          actor: `operator:${actor.name}`,
          version: version.version,
          digest: version.digest,
        }, on.clock));
        return create(ExportBundleResponseSchema, { bundle, verifierKey: bundles.verifier_key });
      }),
    verifyBundle: ({ bundle: text }, context) => {
      const actor = reader(on, context);
      const verdict = bundles.check(text);
      const { bundle } = verdict;
      const changes = bundle === undefined
        ? []
        : bundleChanges(on, actor, bundle.texts, bundle.mode);
      return create(VerifyBundleResponseSchema, {
        valid: verdict.ok,
        ...(verdict.ok ? {} : { because: verdict.because, message: verdict.message }),
        ...(bundle === undefined ? {} : {
          signer: signerName(bundle.signer),
          version: BigInt(bundle.version),
          digest: bundle.digest,
          parent: bundle.parent,
        }),
        ...changesMessage(changes),
      });
    },
  };
}

function changeHandlers(
  on: PolicyAdminDependencies,
): Pick<Handlers, "apply" | "rollback" | "importBundle"> {
  return {
    apply: (request, context) =>
      changed(on, context, "apply", async (actor) => {
        const plan = on.changes.plan({
          put: request.files.map(({ name, content, scope }) => ({
            name,
            content,
            ...(scope === "" ? {} : { stated_scope: scope }),
          })),
          remove: request.remove,
          replace_all: request.replaceAll,
        });
        return await on.changes.submit(actor, plan, {
          kind: "apply",
          reason: request.reason,
          expected_digest: request.expectedDigest,
          dry_run: request.dryRun,
          ttl_seconds: Number(request.proposalTtlSeconds),
        });
      }),
    rollback: (request, context) =>
      changed(on, context, "rollback", async (actor) => {
        if (request.version === "") throw invalid("version: is missing: say which to return to");
        const version = on.history.find(request.version);
        const plan = on.changes.planWhole(await loadedOf(on, version));
        return await on.changes.submit(actor, plan, {
          kind: "rollback",
          rollback_of: version.version,
          reason: request.reason,
          expected_digest: request.expectedDigest,
          dry_run: request.dryRun,
          ttl_seconds: Number(request.proposalTtlSeconds),
        });
      }),
    importBundle: (request, context) =>
      changed(on, context, "import", async (actor) => {
        const verdict = on.bundles.check(request.bundle);
        const forced = !verdict.ok && verdict.because === "downgrade" && request.force;
        const { bundle } = verdict;
        if (bundle === undefined || (!verdict.ok && !forced)) {
          const [because, message] = verdict.ok ? ["", ""] : [verdict.because, verdict.message];
          throw new GrpcError(
            `bundle refused (${because}): ${message}`,
            because === "downgrade" ? Code.FAILED_PRECONDITION : Code.INVALID_ARGUMENT,
          );
        }
        const plan = on.changes.planWhole(loadPolicyTexts(bundle.mode, bundle.texts));
        return await on.changes.submit(actor, plan, {
          kind: "import",
          bundle: { signer: signerName(bundle.signer), version: bundle.version, forced },
          reason: request.reason,
          expected_digest: "",
          dry_run: request.dryRun,
          ttl_seconds: Number(request.proposalTtlSeconds),
        });
      }),
  };
}

function proposalHandlers(
  on: PolicyAdminDependencies,
): Pick<Handlers, "listProposals" | "confirmProposal" | "rejectProposal"> {
  const { proposals } = on;
  return {
    listProposals: ({ includeEnded }, context) => {
      const actor = requirePermission(context, on.operators, on.counters, "policy.read");
      const shown = proposals.list().filter((one) =>
        includeEnded || proposals.statusOf(one, on.policy.digest) === "pending"
      );
      const damaged = [...proposals.damaged].map(([id, problem]) => ({ id, problem }));
      return create(ListProposalsResponseSchema, {
        proposals: [
          ...shown.map((one) => proposalMessage(on, one)),
          ...(actor.role === "viewer" ? [] : damaged),
        ],
      });
    },
    confirmProposal: ({ id, expectedDigest }, context) =>
      changed(
        on,
        context,
        "confirm",
        (actor) => on.changes.confirm(actor, id, expectedDigest),
      ),
    rejectProposal: ({ id, reason }, context) =>
      translated(on, undefined, async () => {
        const actor = requirePermission(context, on.operators, on.counters, "policy.mutate");
        if (proposals.damaged.has(id)) {
          assertPermitted(actor, on.counters, "policy.mutate", { kind: "gateway" });
          await on.audit.append(governanceEntry("policy_proposal_rejected", {
            actor: `operator:${actor.name}`,
            proposal_id: id,
            damaged: true,
          }, on.clock));
          await proposals.drop(id);
          return create(RejectProposalResponseSchema, {});
        }
        const proposal = await on.changes.reject(actor, id, reason);
        return create(RejectProposalResponseSchema, { proposal: proposalMessage(on, proposal) });
      }),
  };
}

function reader(on: PolicyAdminDependencies, context: CallContext): AuthenticatedOperator {
  return requirePermission(context, on.operators, on.counters, "policy.read");
}

/** Makes a change and answers what became of it. */
async function changed(
  on: PolicyAdminDependencies,
  context: CallContext,
  what: string,
  change: (actor: AuthenticatedOperator) => Promise<ChangeOutcome>,
): Promise<ChangeResponse> {
  const actor = requirePermission(context, on.operators, on.counters, "policy.mutate");
  return await translated(on, { actor, what }, async () => {
    const result = await change(actor);
    const visible = result.plan.changes.filter(({ file }) => seesFile(on, actor, result, file));
    return create(ChangeResponseSchema, {
      outcome: result.outcome,
      ...changesMessage(visible),
      warnings: result.plan.next.warnings.slice(0, WARNINGS_MAX),
      ...(result.outcome === "applied"
        ? { version: versionMessage(on, result.version, actor) }
        : {}),
      ...(result.outcome === "proposed" ? { proposal: proposalMessage(on, result.proposal) } : {}),
    });
  });
}

/** Warnings of one answer. */
const WARNINGS_MAX = 100;

function seesFile(
  on: PolicyAdminDependencies,
  actor: AuthenticatedOperator,
  { plan }: ChangeOutcome,
  file: string,
): boolean {
  const touched = plan.touched.find(({ name }) => name === file);
  const document = touched?.after ?? touched?.before;
  return document !== undefined && on.changes.sees(actor, document.scope);
}

/** The version that is named, or the one in force for no name; `undefined` when that is none. */
function inForceOr(on: PolicyAdminDependencies, name: string): PolicyVersion | undefined {
  if (name !== "") return on.history.find(name);
  return on.history.list().find(({ digest }) => digest === on.policy.digest);
}

async function setOf(on: PolicyAdminDependencies, name: string): Promise<LoadedPolicy> {
  return name === "" ? on.policy.loaded : await loadedOf(on, on.history.find(name));
}

/** A version as a policy. One that an older program took can be invalid now; it is refused then. */
async function loadedOf(
  on: PolicyAdminDependencies,
  version: PolicyVersion,
): Promise<LoadedPolicy> {
  const { source } = on.policy;
  const shown = version.mode === "single_file" && source.kind === "path" ? source.path : undefined;
  return loadPolicyTexts(version.mode, await on.history.texts(version), shown);
}

function proposalOf(on: PolicyAdminDependencies, id: string): Proposal {
  const proposal = on.proposals.get(id);
  if (proposal !== undefined) return proposal;
  throw new ProposalError("not_found", `there is no proposal \`${id.slice(0, 40)}\``);
}

function bundleChanges(
  on: PolicyAdminDependencies,
  actor: AuthenticatedOperator,
  texts: LoadedPolicy["texts"],
  mode: LoadedPolicy["mode"],
): readonly RuleChange[] {
  try {
    return visibleDiff(on, actor, on.policy.loaded, loadPolicyTexts(mode, texts));
  } catch (error) {
    // A signed set can still be one that this program does not take; importing it says why.
    if (error instanceof PolicyLoadError) return [];
    throw error;
  }
}

function visibleDiff(
  on: PolicyAdminDependencies,
  actor: AuthenticatedOperator,
  before: LoadedPolicy,
  after: LoadedPolicy,
): readonly RuleChange[] {
  const seen = (set: LoadedPolicy) =>
    named(set).filter(({ document }) => on.changes.sees(actor, document.scope));
  return semanticDiff(seen(before), seen(after));
}

function diffMessage(
  on: PolicyAdminDependencies,
  actor: AuthenticatedOperator,
  before: LoadedPolicy,
  after: LoadedPolicy,
): MessageInitShape<typeof DiffResponseSchema> {
  const texts = (set: LoadedPolicy) =>
    new Map(
      named(set).flatMap(({ name, document }, at) => {
        const content = set.texts[at]?.content;
        if (content === undefined || !on.changes.sees(actor, document.scope)) return [];
        return [[name, new TextDecoder().decode(content)] as const];
      }),
    );
  const [old, now] = [texts(before), texts(after)];
  let text = "";
  for (const name of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    if (text.length > POLICY_CHANGE_LIMITS.diff_chars) break;
    text += unifiedDiff(name, old.get(name), now.get(name));
  }
  return {
    ...changesMessage(visibleDiff(on, actor, before, after)),
    text: text.slice(0, POLICY_CHANGE_LIMITS.diff_chars).toWellFormed(),
    textCut: text.length > POLICY_CHANGE_LIMITS.diff_chars,
  };
}

function changesMessage(changes: readonly RuleChange[]): {
  changes: MessageInitShape<typeof RuleChangeSchema>[];
  changesOmitted: bigint;
} {
  const shown = changes.slice(0, POLICY_CHANGE_LIMITS.diff_rules);
  return {
    changes: shown.map(({ file, path, before, after }) => ({
      file,
      path,
      before: before ?? "",
      after: after ?? "",
      added: before === undefined,
      removed: after === undefined,
    })),
    changesOmitted: BigInt(changes.length - shown.length),
  };
}

function versionMessage(
  on: PolicyAdminDependencies,
  version: PolicyVersion,
  actor: AuthenticatedOperator,
): MessageInitShape<typeof PolicyVersionSchema> {
  return {
    version: BigInt(version.version),
    digest: version.digest,
    parent: version.parent ?? "",
    mode: version.mode,
    origin: version.origin,
    author: version.author,
    confirmedBy: version.confirmed_by ?? "",
    proposalId: version.proposal_id ?? "",
    reason: version.reason ?? "",
    source: version.source,
    createdAtUnixMs: BigInt(version.created_at_ms),
    auditIndex: BigInt(version.audit_index),
    rollbackOf: BigInt(version.rollback_of ?? 0),
    bundleSigner: version.bundle?.signer ?? "",
    bundleVersion: BigInt(version.bundle?.version ?? 0),
    forced: version.bundle?.forced ?? false,
    current: inForceOr(on, "")?.version === version.version,
    kept: version.kept,
    documents: version.files.length,
    files: version.files.filter(({ scope }) => on.changes.sees(actor, scopeOf(scope)))
      .slice(0, FILES_MAX)
      .map((file) => ({
        name: file.name,
        sha256: file.sha256,
        bytes: BigInt(file.bytes),
        scope: file.scope,
        documentId: file.document_id,
      })),
  };
}

/** Files of one version that are listed; `documents` counts them all. */
const FILES_MAX = 100;

function proposalMessage(
  on: PolicyAdminDependencies,
  proposal: Proposal,
): MessageInitShape<typeof ProposalSchema> {
  const { decided } = proposal;
  return {
    id: proposal.id,
    kind: proposal.kind,
    proposer: proposal.proposer,
    createdAtUnixMs: BigInt(proposal.created_at_ms),
    expiresAtUnixMs: BigInt(proposal.expires_at_ms),
    parent: proposal.parent,
    digest: proposal.digest,
    status: on.proposals.statusOf(proposal, on.policy.digest),
    reason: proposal.reason ?? "",
    decidedBy: decided?.by ?? "",
    decidedAtUnixMs: BigInt(decided?.at_ms ?? 0),
    decisionReason: decided?.reason ?? "",
    puts: proposal.put.map(({ name }) => name),
    removes: [...proposal.remove],
  };
}

/** The scope of a kept file; a text that is none is seen by nobody who is bound. */
function scopeOf(text: string): Scope {
  const scope = parseScope(text);
  return typeof scope === "string" ? { tier: "org", id: "" } : scope;
}

function fail(message: string): never {
  throw new GrpcError(message, Code.FAILED_PRECONDITION);
}

const HISTORY_CODES = {
  not_found: Code.NOT_FOUND,
  ambiguous: Code.INVALID_ARGUMENT,
  damaged: Code.DATA_LOSS,
  not_kept: Code.FAILED_PRECONDITION,
} as const;
const CHANGE_CODES = {
  not_permitted: Code.PERMISSION_DENIED,
  conflict: Code.FAILED_PRECONDITION,
  invalid_field: Code.INVALID_ARGUMENT,
} as const;
const PROPOSAL_CODES = {
  not_found: Code.NOT_FOUND,
  ended: Code.FAILED_PRECONDITION,
  limit_reached: Code.RESOURCE_EXHAUSTED,
  too_large: Code.INVALID_ARGUMENT,
  invalid_field: Code.INVALID_ARGUMENT,
} as const;
const STORE_CODES = {
  conflict: Code.ABORTED,
  not_writable: Code.FAILED_PRECONDITION,
  write_failed: Code.UNAVAILABLE,
} as const;

/** The code of a failure that the service names; `undefined` for any other. */
function codeOf(error: unknown): Code | undefined {
  if (error instanceof HistoryError) return HISTORY_CODES[error.code];
  if (error instanceof ChangeRefused) return CHANGE_CODES[error.code];
  if (error instanceof ProposalError) return PROPOSAL_CODES[error.code];
  if (error instanceof PolicyChangeError) return STORE_CODES[error.code];
  if (error instanceof PlanError || error instanceof PolicyLoadError) return Code.INVALID_ARGUMENT;
  if (error instanceof RangeError) return Code.FAILED_PRECONDITION;
  return undefined;
}

/** Names a failure, and puts a refused attempt to change something on record. */
async function translated<T>(
  on: PolicyAdminDependencies,
  attempt: { readonly actor: AuthenticatedOperator; readonly what: string } | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof GrpcError ? error.code : codeOf(error);
    if (code === undefined || !(error instanceof Error)) throw error;
    if (attempt !== undefined) {
      const { actor, what } = attempt;
      await on.audit.append(governanceEntry("policy_change_refused", {
        actor: `operator:${actor.name}`,
        key_id: actor.key_id,
        attempt: what,
        // A document's own text may stand in a located problem; the code and first line say enough.
        because: error.message.split("\n", 1)[0]?.slice(0, 300),
      }, on.clock));
    }
    if (error instanceof GrpcError) throw error;
    throw new GrpcError(error.message, code, { cause: error });
  }
}
