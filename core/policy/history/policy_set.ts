/**
 * A policy set as its exact bytes: what is kept, compared, signed and rolled back to.
 *
 * A document's digest says what it means (`digest.ts`); a set's digest says how it is written, file
 * by file, so that two sets with one digest are the same to the byte.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** One policy file. */
export interface PolicyText {
  /** File name without a directory, e.g. `20-team.yaml`. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** How the files of a set apply; in a single file the document's scope is ignored (contract §3.3). */
export type SetMode = "single_file" | "directory";

const DOMAIN_TAG = "aasm-policy-set\x01";

/** SHA-256 of a file's bytes, 64 lower-case hex. */
export function contentHash(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/**
 * The digest of a set, `sha256:<64 hex>`, over the mode and, in the order of the names' code
 * units, each name with its length and the hash of its content.
 */
export function setDigest(
  mode: SetMode,
  files: Iterable<{ readonly name: string; readonly sha256: string }>,
): string {
  const hash = createHash("sha256").update(DOMAIN_TAG).update(`${mode}\n`);
  const sorted = [...files].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  for (const { name, sha256 } of sorted) {
    hash.update(`${new TextEncoder().encode(name).length}:${name}${sha256}`);
  }
  return `sha256:${hash.digest("hex")}`;
}

/** The digest of a set whose bytes are at hand. */
export function digestOfTexts(mode: SetMode, texts: Iterable<PolicyText>): string {
  return setDigest(
    mode,
    [...texts].map(({ name, content }) => ({ name, sha256: contentHash(content) })),
  );
}

/** Longest name of a policy file, in characters; a longer one is refused. */
export const POLICY_NAME_CHARS_MAX = 128;

/**
 * Why a text cannot be the name of a policy file that is to be written, or `undefined` when it can.
 * Names are plain: no directory, nothing hidden, nothing that a loader would pass over.
 */
export function nameProblem(name: string): string | undefined {
  if (name.length > POLICY_NAME_CHARS_MAX) return `longer than ${POLICY_NAME_CHARS_MAX} characters`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*\.yaml$/.test(name)) {
    return "expected letters, digits, `.`, `_` and `-`, ending in `.yaml`";
  }
  return name.endsWith(".test.yaml") ? "`.test.yaml` names policy tests" : undefined;
}
