/**
 * `filesystem`: which subtrees may be read and written (contract `policy-and-gateway` §1.5).
 *
 * @module
 */
import type { PathRules, PolicyDocument } from "../document.ts";
import type { BODY } from "../language.ts";
import type { Located } from "../position.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText } from "../read.ts";
import { received } from "../suggest.ts";

type Section = Read<typeof BODY.keys.filesystem>;
type Verb = NonNullable<Section["value"]["read"]>;

/** Longest path a kernel takes, in bytes; one UTF-16 unit is at least one byte. */
const PATH_CHARS_MAX = 4_096;

/** The path rules of a document; `filesystem: {}` states nothing and counts as absent. */
export function readFilesystem(
  section: Section,
  problems: Problems,
): NonNullable<PolicyDocument["filesystem"]> | undefined {
  const { read, write } = section.value;
  if (read === undefined && write === undefined) return undefined;
  return {
    at: section.key_at,
    ...(read === undefined ? {} : { read: readVerb(read, problems) }),
    ...(write === undefined ? {} : { write: readVerb(write, problems) }),
  };
}

function readVerb(verb: Verb, problems: Problems): PathRules {
  const paths: Located<string>[] = [];
  for (const text of verb.value.allow?.value ?? []) {
    const path = readPath(text, problems);
    if (path !== undefined) paths.push({ value: path, line: text.line, column: text.column });
  }
  return { at: verb.key_at, allow: withoutCovered(paths) };
}

/** Lexical normal form of an absolute path: no `.`, no empty components, no trailing slash. */
function readPath(text: ReadText, problems: Problems): string | undefined {
  if (text.value.length > PATH_CHARS_MAX) {
    problems.error(
      text.path,
      `path has \`${text.value.length}\` characters, more than the limit of ${PATH_CHARS_MAX}`,
      text,
    );
    return undefined;
  }
  const trimmed = text.value.trim();
  const components = trimmed.split("/").filter((part) => part !== "" && part !== ".");
  const fault = trimmed === ""
    ? "path must not be empty"
    : trimmed.includes("\0")
    ? "path must not contain NUL"
    : !trimmed.startsWith("/")
    ? "path must be absolute (start with `/`)"
    : components.includes("..")
    ? "path must not contain `..`: write the directory it leads to"
    : undefined;
  if (fault === undefined) return `/${components.join("/")}`;
  problems.error(text.path, `${fault}, received ${received(text.value)}`, text);
  return undefined;
}

/** Drops entries inside another entry's subtree, and repetitions; the order stays. */
function withoutCovered(paths: readonly Located<string>[]): Located<string>[] {
  const stated = new Set(paths.map((path) => path.value));
  const kept = new Set<string>();
  return paths.filter(({ value }) => {
    if (kept.has(value) || ancestors(value).some((ancestor) => stated.has(ancestor))) return false;
    kept.add(value);
    return true;
  });
}

/** Every directory above a normalised path, nearest first. */
function ancestors(path: string): string[] {
  const above: string[] = [];
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
    above.push(path.slice(0, at));
  }
  if (path !== "/") above.push("/");
  return above;
}
