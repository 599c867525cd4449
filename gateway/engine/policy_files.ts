/**
 * Reads the policy from a file or a directory: which files, in which order, each bounded and
 * validated. Everything is refused together or loaded together (contract `policy-and-gateway` §1.8).
 *
 * @module
 */
import { basename } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import type { PolicyText, SetMode } from "../../core/policy/history/policy_set.ts";
import { choosePolicyFiles } from "../../core/policy/directory.ts";
import { loadPolicy } from "../../core/policy/load.ts";
import type { PolicyDocument } from "../../core/policy/document.ts";
import { formatProblem, formatProblems } from "../../core/policy/position.ts";

/** A complete, valid set of policy files. */
export interface LoadedPolicy {
  readonly mode: SetMode;
  /** Exact bytes, in the order of the documents; names without a directory. */
  readonly texts: readonly PolicyText[];
  readonly documents: readonly PolicyDocument[];
  /** `file:line:column: field — message` lines. */
  readonly warnings: readonly string[];
}

/** A complete, valid read of the source. */
export interface PolicyFiles extends LoadedPolicy {
  /** Changes whenever a file is added, removed or written; compared by the watcher. */
  readonly signature: string;
}

/** Why the source could not be loaded; `message` has one located line for each problem. */
export class PolicyLoadError extends Error {
  override readonly name = "PolicyLoadError";
}

/**
 * Loads every document of the source.
 *
 * A directory contributes the files that `choosePolicyFiles` names, not recursively.
 *
 * @param path File or directory.
 * @throws {PolicyLoadError} when the path cannot be read or any file is invalid.
 */
export async function readPolicyFiles(path: string): Promise<PolicyFiles> {
  const listing = await listPolicyFiles(path);
  if (listing.files.length > LIMITS.policy_documents) {
    throw new PolicyLoadError(
      `cannot load policies from \`${path}\`: ${listing.files.length} files, at most ${LIMITS.policy_documents}`,
    );
  }
  const texts: PolicyText[] = [];
  for (const file of listing.files) {
    texts.push({ name: basename(file.path), content: await readBounded(file) });
  }
  const shown = listing.mode === "single_file" ? path : undefined;
  const loaded = loadPolicyTexts(listing.mode, texts, shown);
  return {
    ...loaded,
    warnings: [...listing.warnings, ...loaded.warnings],
    signature: listing.signature,
  };
}

/**
 * Loads a set whose bytes are at hand: all of it, or nothing.
 *
 * @param texts In the order in which they apply.
 * @param shown Name of a single file in explanations; its own name otherwise.
 * @throws {PolicyLoadError} when any file is invalid, with one located line for each problem.
 */
export function loadPolicyTexts(
  mode: SetMode,
  texts: readonly PolicyText[],
  shown?: string,
): LoadedPolicy {
  const documents: PolicyDocument[] = [];
  const warnings: string[] = [];
  const errors: string[] = [];
  for (const { name, content } of texts) {
    const file = shown ?? name;
    const result = loadPolicy(file, content, { reject_blank: true });
    if (result.ok) {
      documents.push(result.document);
      warnings.push(...result.warnings.map((warning) => formatProblem(file, warning)));
    } else {
      errors.push(...formatProblems(file, result.problems, result.omitted));
    }
  }
  if (errors.length > 0) throw new PolicyLoadError(errors.join("\n"));
  return { mode, texts, documents, warnings };
}

/** The part of {@linkcode readPolicyFiles} that only looks: cheap enough to repeat. */
export async function policySignature(path: string): Promise<string> {
  return (await listPolicyFiles(path)).signature;
}

interface PolicyFile {
  readonly path: string;
  readonly name: string;
  readonly size_bytes: number;
}

interface Listing {
  readonly mode: "single_file" | "directory";
  readonly files: readonly PolicyFile[];
  readonly warnings: readonly string[];
  readonly signature: string;
}

async function listPolicyFiles(path: string): Promise<Listing> {
  const info = await statOf(path);
  if (!info.isDirectory) {
    const file = { path, name: path, size_bytes: info.size };
    return { mode: "single_file", files: [file], warnings: [], signature: stampOf(path, info) };
  }
  const found: string[] = [];
  for await (const entry of Deno.readDir(path)) if (!entry.isDirectory) found.push(entry.name);
  const { names, warnings } = choosePolicyFiles(path, found);
  const files: PolicyFile[] = [];
  const stamps: string[] = [];
  for (const name of names) {
    const full = `${path}/${name}`;
    const stat = await statOf(full);
    files.push({ path: full, name: basename(full), size_bytes: stat.size });
    stamps.push(stampOf(name, stat));
  }
  return { mode: "directory", files, warnings, signature: stamps.join("\n") };
}

async function statOf(path: string): Promise<Deno.FileInfo> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    throw new PolicyLoadError(`cannot read policy \`${path}\`: ${causeOf(error)}`);
  }
}

async function readBounded(file: PolicyFile): Promise<Uint8Array> {
  // A larger file is handed over cut at the bound plus one byte: the loader then names the limit.
  const length_max = LIMITS.policy_file_bytes + 1;
  if (file.size_bytes > length_max) return new Uint8Array(length_max);
  try {
    return await Deno.readFile(file.path);
  } catch (error) {
    throw new PolicyLoadError(`cannot read policy \`${file.path}\`: ${causeOf(error)}`);
  }
}

function stampOf(name: string, info: Deno.FileInfo): string {
  return `${name}:${info.ino}:${info.size}:${info.mtime?.getTime()}:${info.ctime?.getTime()}`;
}

function causeOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file or directory";
  if (error instanceof Deno.errors.NotCapable) {
    return "this process was not granted read access to it; start it with `deno task gateway --policy PATH`";
  }
  return error instanceof Error ? error.message : String(error);
}
