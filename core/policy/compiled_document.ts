/**
 * One policy document made ready to be asked: allowlists as sets, paths as tries.
 *
 * @module
 */
import { isKnownLocalePack } from "../scanner/mod.ts";
import type { PathRules, PolicyDocument, ToolRule } from "./document.ts";
import type { Located } from "./position.ts";
import { Subtrees } from "./filesystem.ts";
import { HostAllowlist } from "./network.ts";

/** A document with its look-up structures. Immutable. */
export interface CompiledDocument {
  readonly document: PolicyDocument;
  /** Place in file-name order; ties inside a tier are settled by it. */
  readonly index: number;
  readonly hosts?: HostAllowlist;
  readonly read?: Subtrees;
  readonly write?: Subtrees;
  /** Present only when the allow list is in force, that is, not empty (contract §1.5). */
  readonly allowed_capabilities?: ReadonlySet<string>;
  /** First locale pack this build lacks: denies every action under the document (contract §4.7). */
  readonly unknown_locale_pack?: Located<string> & { readonly at: number };
}

/**
 * Compiled sections by the section they came from. Sections are immutable, so a set that shares
 * them with another, as an edited copy does while a change is tried, need not compile them again.
 */
const hosts_of = new WeakMap<object, HostAllowlist>();
const subtrees_of = new WeakMap<object, Subtrees>();

function kept<K extends object, V>(memo: WeakMap<object, V>, key: K, compile: (key: K) => V): V {
  const known = memo.get(key);
  if (known !== undefined) return known;
  const compiled = compile(key);
  memo.set(key, compiled);
  return compiled;
}

function compileHosts(network: NonNullable<PolicyDocument["network"]>): HostAllowlist {
  return new HostAllowlist(network.allowlist.map((entry) => entry.value));
}

function compilePaths(rules: PathRules): Subtrees {
  return new Subtrees(rules.allow.map((entry) => entry.value));
}

/** Compiles one document. */
export function compileDocument(document: PolicyDocument, index: number): CompiledDocument {
  const { network, filesystem, capabilities, data } = document;
  const read = filesystem?.read;
  const write = filesystem?.write;
  const packs = data?.locale_packs ?? [];
  const unknown = packs.findIndex((pack) => !isKnownLocalePack(pack.value));
  const unknown_pack = packs[unknown];
  const allow = capabilities?.allow ?? [];
  return {
    document,
    index,
    ...(network && { hosts: kept(hosts_of, network, compileHosts) }),
    ...(read && { read: kept(subtrees_of, read, compilePaths) }),
    ...(write && { write: kept(subtrees_of, write, compilePaths) }),
    ...(allow.length > 0 && { allowed_capabilities: new Set(allow.map((token) => token.text)) }),
    ...(unknown_pack && { unknown_locale_pack: { ...unknown_pack, at: unknown } }),
  };
}

/** Entry of `tools` whose condition governs messages between agents (contract §1.5). */
export const MESSAGE_TOOL = "message";

/**
 * The entry that governs a tool: its own, which replaces `*` wholesale, else `*`.
 *
 * @returns The entry's name in the file and the rule.
 */
export function toolEntry(
  document: PolicyDocument,
  tool: string,
): { readonly name: string; readonly rule: ToolRule } | undefined {
  const own = document.tools.get(tool);
  if (own !== undefined) return { name: tool, rule: own };
  const fallback = document.tools.get("*");
  return fallback === undefined ? undefined : { name: "*", rule: fallback };
}
