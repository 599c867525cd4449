/**
 * Reads policies for a local decision: which files, in which order, each bounded. The same choice
 * of files as the gateway makes (contract `policy-and-gateway` §1.8).
 *
 * @module
 */
import { LIMITS } from "../core/limits.ts";
import { choosePolicyFiles } from "../core/policy/directory.ts";
import type { PolicyDocument } from "../core/policy/document.ts";
import { loadPolicy } from "../core/policy/load.ts";
import { formatProblem, formatProblems, type PolicyProblem } from "../core/policy/position.ts";
import { CommandError, ExitCode } from "./exit_code.ts";
import { readFile } from "./files.ts";

/** Policy files that were found. */
export interface PolicyListing {
  readonly mode: "single_file" | "directory";
  /** Paths in the order of the cascade. */
  readonly paths: readonly string[];
  readonly warnings: readonly string[];
}

/** A complete, valid policy. */
export interface LoadedPolicy {
  readonly mode: "single_file" | "directory";
  readonly documents: readonly PolicyDocument[];
  readonly warnings: readonly string[];
}

/** One policy file, loaded or refused. Lines are `file:line:column: field — message`. */
export type CheckedPolicy =
  | {
    readonly path: string;
    readonly valid: true;
    readonly document: PolicyDocument;
    readonly warnings: readonly string[];
  }
  | { readonly path: string; readonly valid: false; readonly problems: readonly string[] };

/**
 * The policy files a path stands for: itself, or the chosen ones of a directory, not recursively.
 *
 * @throws {CommandError} when the path cannot be read or holds too many files.
 */
export async function listPolicyFiles(path: string): Promise<PolicyListing> {
  if (!await isDirectory(path)) return { mode: "single_file", paths: [path], warnings: [] };
  const found: string[] = [];
  for await (const entry of Deno.readDir(path)) if (!entry.isDirectory) found.push(entry.name);
  const { names, warnings } = choosePolicyFiles(path, found);
  if (names.length > LIMITS.policy_documents) {
    throw new CommandError(
      `cannot load \`${path}\`: ${names.length} policy files, at most ${LIMITS.policy_documents}`,
    );
  }
  return { mode: "directory", paths: names.map((name) => `${path}/${name}`), warnings };
}

/** Loads one policy file, collecting what is wrong with it. */
export async function checkPolicyFile(path: string): Promise<CheckedPolicy> {
  const bytes = await readFile(path, LIMITS.policy_file_bytes, "policy");
  const result = loadPolicy(path, bytes, { reject_blank: true });
  const line = (problem: PolicyProblem) => formatProblem(path, problem);
  if (result.ok) {
    return { path, valid: true, document: result.document, warnings: result.warnings.map(line) };
  }
  return { path, valid: false, problems: formatProblems(path, result.problems, result.omitted) };
}

/**
 * Loads everything a path stands for.
 *
 * @throws {CommandError} with one located line for each problem.
 */
export async function loadPolicyPath(path: string): Promise<LoadedPolicy> {
  const listing = await listPolicyFiles(path);
  const { documents, warnings } = await loadPolicyFiles(listing.paths);
  return { mode: listing.mode, documents, warnings: [...listing.warnings, ...warnings] };
}

/** Loads the named files, in that order. */
export async function loadPolicyFiles(
  paths: readonly string[],
): Promise<Pick<LoadedPolicy, "documents" | "warnings">> {
  const documents: PolicyDocument[] = [];
  const warnings: string[] = [];
  const problems: string[] = [];
  for (const path of paths) {
    const checked = await checkPolicyFile(path);
    if (checked.valid) {
      documents.push(checked.document);
      warnings.push(...checked.warnings);
    } else {
      problems.push(...checked.problems);
    }
  }
  if (problems.length > 0) {
    throw new CommandError(
      `invalid policy\n${problems.join("\n")}`,
      ExitCode.FAILURE,
      "mend the lines above; `aasm policy schema` prints what a policy may say",
    );
  }
  return { documents, warnings };
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    // Reading the file says why it cannot be read.
    return false;
  }
}
