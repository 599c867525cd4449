/**
 * `capabilities`: kinds of action (contract `policy-and-gateway` §1.5).
 *
 * @module
 */
import type { Capability, PolicyDocument } from "../document.ts";
import { type BODY, CAPABILITIES, NAMED_CAPABILITIES } from "../language.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText } from "../read.ts";
import { nearest, received } from "../suggest.ts";

type Section = Read<typeof BODY.keys.capabilities>;

const ENFORCED: ReadonlyMap<string, boolean> = new Map(Object.entries(CAPABILITIES));
const NAMED_ENFORCED: ReadonlyMap<string, boolean> = new Map(Object.entries(NAMED_CAPABILITIES));
const FORMS = [...ENFORCED.keys(), ...[...NAMED_ENFORCED.keys()].map((kind) => `${kind}:<name>`)];

/** The capability lists of a document. */
export function readCapabilities(
  section: Section,
  problems: Problems,
): NonNullable<PolicyDocument["capabilities"]> {
  const { allow, deny } = section.value;
  return {
    at: section.key_at,
    allow: readTokens(allow?.value ?? [], problems),
    deny: readTokens(deny?.value ?? [], problems),
  };
}

function readTokens(tokens: readonly ReadText[], problems: Problems): Capability[] {
  const capabilities: Capability[] = [];
  for (const token of tokens) {
    const enforced = isEnforced(token.value);
    if (typeof enforced === "string") {
      problems.error(token.path, enforced, token);
      continue;
    }
    if (!enforced) {
      problems.warn(
        token.path,
        `capability ${received(token.value)} is declared but NOT enforced: no decision consults it`,
        token,
      );
    }
    capabilities.push({ text: token.value, line: token.line, column: token.column });
  }
  return capabilities;
}

/** Whether a decision consults the token, or why it is none. */
function isEnforced(token: string): boolean | string {
  const enforced = ENFORCED.get(token);
  if (enforced !== undefined) return enforced;
  const colon = token.indexOf(":");
  const kind = colon === -1 ? token : token.slice(0, colon);
  const named = NAMED_ENFORCED.get(kind);
  if (named !== undefined && colon !== -1) {
    return token.slice(colon + 1).trim() === "" ? `${kind}: name must not be empty` : named;
  }
  return `unknown capability: '${received(token).slice(1, -1)}': ${hint(token, kind, colon)}` +
    `valid capabilities: ${FORMS.join(", ")}`;
}

function hint(token: string, kind: string, colon: number): string {
  const near = colon === -1
    ? nearest(token, [...ENFORCED.keys(), ...NAMED_ENFORCED.keys()])
    : nearest(kind, NAMED_ENFORCED.keys());
  if (near === undefined) return "";
  return NAMED_ENFORCED.has(near)
    ? `did you mean \`${near}:${colon === -1 ? "<name>" : token.slice(colon + 1).slice(0, 80)}\`? `
    : `did you mean \`${near}\`? `;
}
