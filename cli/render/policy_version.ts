/**
 * Policy versions and changed rules, as data and as tables.
 *
 * @module
 */
import type { policy_admin } from "../../proto/mod.ts";
import type { Terminal } from "../terminal.ts";
import type { Data } from "./report.ts";
import { table } from "./table.ts";

/** A version as data. */
export function versionData(version: policy_admin.PolicyVersion): Data {
  return {
    version: version.version,
    digest: version.digest,
    parent: version.parent === "" ? null : version.parent,
    mode: version.mode,
    origin: version.origin,
    author: version.author,
    confirmed_by: version.confirmedBy === "" ? null : version.confirmedBy,
    proposal_id: version.proposalId === "" ? null : version.proposalId,
    reason: version.reason,
    source: version.source,
    created_at_unix_ms: version.createdAtUnixMs,
    audit_index: version.auditIndex,
    rollback_of: version.rollbackOf === 0n ? null : version.rollbackOf,
    bundle: version.bundleSigner === "" ? null : {
      signer: version.bundleSigner,
      version: version.bundleVersion,
      forced: version.forced,
    },
    current: version.current,
    kept: version.kept,
    documents: version.documents,
    files: version.files.map((file) => ({
      name: file.name,
      sha256: file.sha256,
      bytes: file.bytes,
      scope: file.scope,
      document_id: file.documentId,
    })),
    problem: version.problem === "" ? null : version.problem,
  };
}

/** Changed rules as data. */
export function changesData(changes: readonly policy_admin.RuleChange[]): Data {
  return changes.map(({ file, path, before, after, added, removed }) => ({
    file,
    path,
    before: added ? null : before,
    after: removed ? null : after,
  }));
}

/** Changed rules as a table. */
export function changesTable(
  changes: readonly policy_admin.RuleChange[],
  omitted: bigint,
  terminal: Terminal,
): string {
  const rows = changes.map(({ file, path, before, after }) => [file, path, before, after]);
  const more = omitted === 0n ? "" : `and ${omitted} more\n`;
  return table(
    [{ title: "FILE" }, { title: "RULE" }, { title: "BEFORE" }, { title: "AFTER" }],
    rows,
    terminal,
  ) + more;
}
