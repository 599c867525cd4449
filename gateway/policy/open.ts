/**
 * Policy and its history, opened together: every set that takes effect is on record and kept before
 * it does, and a change that a stop interrupted is finished first.
 *
 * @module
 */
import { digestOfTexts, type PolicyText } from "../../core/policy/history/policy_set.ts";
import type { Scope } from "../../core/policy/document.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { GatewayConfig } from "../config.ts";
import { governanceEntry } from "../engine/governance.ts";
import { type LoadedPolicy, loadPolicyTexts, readPolicyFiles } from "../engine/policy_files.ts";
import { type AppliedEvent, PolicyStore, type ReloadEvent } from "../engine/policy_store.ts";
import { type PolicyWriter, policyWriter } from "./files_writer.ts";
import { type NewVersion, PolicyHistory } from "./history.ts";
import type { PolicyVersion } from "./version.ts";

/** What it stands on. */
export interface PolicyGround {
  readonly config: Pick<GatewayConfig, "policy" | "four_eyes_policy">;
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly audit: Pick<AuditLog, "append">;
  readonly clock: Clock;
  /** @default the machine's files */
  readonly writerFor?: (path: string, directory: boolean) => PolicyWriter;
}

/** The policy in force, and all before it. */
export interface OpenPolicy {
  readonly policy: PolicyStore;
  readonly history: PolicyHistory;
}

/**
 * Opens both.
 *
 * @throws {PolicyLoadError} when the policy cannot be read or is invalid.
 * @throws {HistoryError} when `--policy history` or four eyes need a version that is damaged.
 * @throws {Error} when an interrupted change cannot be finished, with the next step.
 */
export async function openPolicy(ground: PolicyGround): Promise<OpenPolicy> {
  const { config, store, clock } = ground;
  const history = await PolicyHistory.open(store);
  const writer = await writerOf(ground);
  await finishInterrupted(ground, history, writer);
  const policy = await PolicyStore.open(config.policy, {
    now_ms: clock.now_ms,
    record: (event) => recordEvent(ground, history, event),
    settle: (outcome) => settle(ground, history, outcome),
    ...(writer === undefined ? {} : { writer }),
    ...await newestOf(config, history),
    four_eyes: config.four_eyes_policy ?? false,
  });
  await keepFirst(ground, history, policy);
  return { policy, history };
}

/** Puts an event on record, and an applied set into the history; nothing takes effect before that. */
async function recordEvent(
  ground: PolicyGround,
  history: PolicyHistory,
  event: ReloadEvent,
): Promise<void> {
  const { audit, clock } = ground;
  if (event.outcome === "refused") {
    await audit.append(governanceEntry("policy_reload_refused", { ...event }, clock));
    return;
  }
  const { set, by, writes_files, parent, before, after, epoch, source } = event;
  const digest = digestOfTexts(set.mode, set.texts);
  const action = by.origin === "file" ? "policy_reload_applied" : `policy_${by.origin}`;
  const { seq } = await audit.append(governanceEntry(action, {
    actor: by.author === "file" ? "gateway" : by.author,
    outcome: "applied",
    source,
    before: listed(before),
    after: listed(after),
    epoch,
    digest,
    parent,
    reason: by.reason,
    confirmed_by: by.confirmed_by,
    proposal_id: by.proposal_id,
    rollback_of: by.rollback_of,
    bundle: by.bundle,
  }, clock));
  try {
    await history.save(versionOf(event, seq, clock.now_ms()), set.texts, {
      pending: writes_files,
      ...(by.bundle === undefined ? {} : { seen: by.bundle.signer }),
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    await audit.append(governanceEntry("policy_change_failed", { digest, cause }, clock));
    throw error;
  }
}

/** Digests listed in one entry; a directory of thousands would not fit. */
const LISTED_MAX = 100;

function listed(digests: readonly string[]): readonly string[] {
  if (digests.length <= LISTED_MAX) return digests;
  return [...digests.slice(0, LISTED_MAX), `and ${digests.length - LISTED_MAX} more`];
}

function versionOf(
  { set, by, parent, source }: Pick<AppliedEvent, "set" | "by" | "parent" | "source">,
  audit_index: bigint,
  created_at_ms: number,
): NewVersion {
  return {
    ...by,
    ...(parent === undefined ? {} : { parent }),
    mode: set.mode,
    files: set.texts.map(({ name }, at) => {
      const document = set.documents[at];
      return {
        name,
        scope: document === undefined ? "" : scopeText(document.scope),
        document_id: document?.digest ?? "",
      };
    }),
    source,
    created_at_ms,
    audit_index: String(audit_index),
  };
}

async function settle(
  { audit, clock }: PolicyGround,
  history: PolicyHistory,
  outcome: "done" | "undone" | "stuck",
): Promise<void> {
  if (outcome === "done") return await history.settle();
  const version = history.pending;
  await audit.append(governanceEntry("policy_change_failed", { version, outcome }, clock));
  if (outcome === "undone" && version !== undefined) await history.takeBack(version);
}

/** The set that was put in force last, for those who do not start from files. */
async function newestOf(
  { policy, four_eyes_policy }: PolicyGround["config"],
  history: PolicyHistory,
): Promise<{ newest?: LoadedPolicy }> {
  const wanted = policy.kind === "history" || (policy.kind === "path" && four_eyes_policy === true);
  if (!wanted) return {};
  const [lost] = [...history.damaged].toSorted(([a], [b]) => b - a);
  const { newest } = history;
  if (lost !== undefined && lost[0] > (newest?.version ?? 0)) {
    throw new Error(
      `cannot start on the newest version \`${lost[0]}\` of the policy history: ${lost[1]}; ` +
        "restore a backup of the state directory, or start with `--policy FILE|DIR`",
    );
  }
  if (newest === undefined) return {};
  const shown = policy.kind === "path" && newest.mode === "single_file" ? policy.path : undefined;
  return { newest: loadPolicyTexts(newest.mode, await history.texts(newest), shown) };
}

/** The set that a gateway starts on is a version, too, unless it is the newest one already. */
async function keepFirst(
  { audit, clock }: PolicyGround,
  history: PolicyHistory,
  policy: PolicyStore,
): Promise<void> {
  const { loaded, digest } = policy;
  const parent = history.newest?.digest;
  if (loaded.texts.length === 0 || parent === digest) return;
  const { source } = policy.status();
  const after = loaded.documents.map((document) => document.digest);
  const { seq } = await audit.append(
    governanceEntry("policy_loaded", { source, digest, parent, after: listed(after) }, clock),
  );
  const event = { set: loaded, source, by: { origin: "start", author: "file" } as const };
  await history.save(
    versionOf({ ...event, ...(parent === undefined ? {} : { parent }) }, seq, clock.now_ms()),
    loaded.texts,
  );
}

async function writerOf({ config, writerFor }: PolicyGround): Promise<PolicyWriter | undefined> {
  const { policy } = config;
  if (policy.kind !== "path" || policy.writable !== true) return undefined;
  const directory = await Deno.stat(policy.path).then((info) => info.isDirectory, () => false);
  return (writerFor ?? policyWriter)(policy.path, directory);
}

/**
 * Finishes a change whose files were being written when the process ended: forward, because it is
 * on record and kept. Files that are neither the old nor the new ones are nobody's to guess about.
 */
async function finishInterrupted(
  ground: PolicyGround,
  history: PolicyHistory,
  writer: PolicyWriter | undefined,
): Promise<void> {
  const { audit, clock } = ground;
  const { policy } = ground.config;
  const { pending } = history;
  if (pending === undefined) return;
  if (policy.kind !== "path") {
    await audit.append(governanceEntry("policy_change_dropped", { version: pending }, clock));
    return await history.takeBack(pending);
  }
  const version = history.find(String(pending));
  const files = await readPolicyFiles(policy.path);
  const before = await parentTexts(history, version);
  const after = await history.texts(version);
  const problem = version.source !== policy.path
    ? `it was for \`${version.source}\``
    : foreignFile(files.texts, before, after);
  if (problem !== undefined || writer === undefined) {
    throw new Error(
      `version \`${pending}\` of the policy was being written to \`${version.source}\` when the ` +
        `gateway ended: ${problem ?? "start with `--policy-writable` to finish it"}; to drop it, ` +
        "put the files right and start once with `--policy none`",
    );
  }
  await audit.append(governanceEntry("policy_change_finished", { version: pending }, clock));
  await writer.write(files.texts, after);
  await history.settle();
}

async function parentTexts(
  history: PolicyHistory,
  { parent, version }: PolicyVersion,
): Promise<readonly PolicyText[]> {
  const found = history.list().find((one) => one.digest === parent && one.version < version);
  return found === undefined ? [] : await history.texts(found);
}

/** A file that neither the old nor the new set has just so. */
function foreignFile(
  found: readonly PolicyText[],
  before: readonly PolicyText[],
  after: readonly PolicyText[],
): string | undefined {
  const known = new Set([...before, ...after].map(identity));
  const foreign = found.find((text) => !known.has(identity(text)));
  if (foreign !== undefined) return `\`${foreign.name}\` was changed since`;
  const names = new Set(found.map(({ name }) => name));
  const kept = after.filter(({ name }) => before.some((old) => old.name === name));
  const lost = kept.find(({ name }) => !names.has(name));
  return lost === undefined ? undefined : `\`${lost.name}\` was removed since`;
}

function identity({ name, content }: PolicyText): string {
  return digestOfTexts("single_file", [{ name, content }]);
}

/** A scope as a document writes it. */
export function scopeText(scope: Scope): string {
  return scope.tier === "global" ? "global" : `${scope.tier}:${scope.id}`;
}
