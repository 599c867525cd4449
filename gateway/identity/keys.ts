/**
 * The forms of an agent's id that are hashes (contract `wire` §6.1). They are different values and
 * are kept apart by name.
 *
 * @module
 */
import { hash } from "node:crypto";

/** An agent as it names itself: organisation, team, own id. Parts may be empty. */
export interface AgentTriple {
  readonly org_id: string;
  readonly team_id: string;
  readonly agent_id: string;
}

/**
 * The registry key: first 16 bytes of SHA-256 over `<org>/<team>/<agent>`, 32 lower-case hex.
 *
 * The text is not injective (`a/b` + `c` against `a` + `b/c`), so a record found by its key must
 * still be compared with the triple asked for.
 */
export function registryKeyOf({ org_id, team_id, agent_id }: AgentTriple): string {
  return hash16Hex(`${org_id}/${team_id}/${agent_id}`);
}

/** First 16 bytes of SHA-256 of a text, 32 lower-case hex: the engine's and the audit log's form. */
export function hash16Hex(text: string): string {
  const known = remembered.get(text);
  if (known !== undefined) return known;
  const made = hash("sha256", text, "hex").slice(0, 32);
  if (remembered.size >= REMEMBERED_MAX) remembered.clear();
  if (text.length <= REMEMBERED_CHARS_MAX) remembered.set(text, made);
  return made;
}

/** Texts whose hash is remembered, since agents ask again and again; at the bound all are forgotten. */
const REMEMBERED_MAX = 10_000;
/** Longer texts are hashed every time. */
const REMEMBERED_CHARS_MAX = 256;
const remembered = new Map<string, string>();

/** The engine key when no agent id was given: zeros, as in the audit log. */
export const UNATTRIBUTED_KEY: string = "0".repeat(32);
