/**
 * `scope`: whom a document governs (contract `policy-and-gateway` §1.4).
 *
 * @module
 */
import type { Scope } from "../document.ts";
import type { Problems } from "../problems.ts";
import type { ReadText } from "../read.ts";
import { didYouMean, received } from "../suggest.ts";

const KINDS = ["org", "team", "agent", "tool"] as const;

/** The scope of a document; `global` when it states none, or a wrong one (then with a problem). */
export function readScope(text: ReadText | undefined, problems: Problems): Scope {
  if (text === undefined) return { tier: "global" };
  const scope = parseScope(text.value);
  if (typeof scope !== "string") return scope;
  problems.error(
    text.path,
    `invalid policy scope ${received(text.value)}: ${scope}`,
    text,
  );
  return { tier: "global" };
}

/**
 * Parses a scope text. Split at the first colon only, so an id may contain colons; case counts.
 *
 * @returns The scope, or the reason why the text is none.
 */
export function parseScope(text: string): Scope | string {
  if (text === "global") return { tier: "global" };
  const colon = text.indexOf(":");
  if (colon === -1) {
    const hint = didYouMean(text, ["global"]);
    return `${hint}expected \`global\` or \`<kind>:<id>\` with kind ${KINDS.join(", ")}`;
  }
  const kind = text.slice(0, colon);
  const id = text.slice(colon + 1);
  const tier = KINDS.find((known) => known === kind);
  if (tier === undefined) {
    return `unknown scope kind "${kind.slice(0, 80)}": ${didYouMean(kind, KINDS)}` +
      `valid kinds: ${KINDS.join(", ")}`;
  }
  if (id === "") return "identifier after ':' must not be empty";
  if (tier !== "agent") return { tier, id };
  const uuid = parseUuid(id);
  return uuid === undefined
    ? "agent id is not a valid UUID: expected 32 hexadecimal digits, " +
      "e.g. `agent:0f8fad5b-d9cb-469f-a165-70867728950e`"
    : { tier, id: uuid };
}

/** Hyphenated, plain, braced and URN forms of a UUID, to lower-case hyphenated text (RFC 9562 §4). */
function parseUuid(text: string): string | undefined {
  const bare = /^\{(.*)\}$/.exec(text)?.[1] ?? /^urn:uuid:(.*)$/i.exec(text)?.[1] ?? text;
  const digits = /^[\da-f]{8}(-?)[\da-f]{4}\1[\da-f]{4}\1[\da-f]{4}\1[\da-f]{12}$/i.test(bare)
    ? bare.replaceAll("-", "").toLowerCase()
    : undefined;
  return digits?.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
