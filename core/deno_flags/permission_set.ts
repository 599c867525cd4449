/**
 * A set of Deno's own permissions, as command-line flags and as `deno.json` holds it.
 *
 * @module
 */

/** Deno's kinds of permission. */
export const DENO_KINDS = ["read", "write", "net", "import", "run", "env", "sys", "ffi"] as const;

/** One kind. */
export type DenoKind = typeof DENO_KINDS[number];

/** One kind's lists; `all` is the flag without a value. A denial wins over an allowance. */
export interface DenoGrant {
  readonly allow: "all" | readonly string[];
  readonly deny: "all" | readonly string[];
}

/** Every kind's lists. What is in no list Deno refuses, `import` excepted: see {@linkcode NO_IMPORT}. */
export type DenoPermissionSet = Readonly<Record<DenoKind, DenoGrant>>;

/** Nothing allowed, nothing denied. */
export const NOTHING: DenoGrant = { allow: [], deny: [] };

/** Everything of a kind denied, whatever other flags allow. */
export const NEVER: DenoGrant = { allow: [], deny: "all" };

/**
 * Deno lets programs import from a handful of hosts when no flag speaks of imports, and goes on
 * doing so under `--deny-import` (seen with 2.9.6); only a list of its own replaces them. RFC 2606
 * keeps `.invalid` free of hosts.
 */
export const NO_IMPORT = "none.invalid";

/**
 * The set as flags for `deno run`; never empty, because without `--no-prompt` a person at a
 * terminal is asked for what is missing.
 */
export function toFlags(set: DenoPermissionSet): string[] {
  const flags = ["--no-prompt"];
  for (const kind of DENO_KINDS) {
    const { allow, deny } = set[kind];
    flags.push(...flagOf(`--allow-${kind}`, allow), ...flagOf(`--deny-${kind}`, deny));
  }
  return flags;
}

function flagOf(name: string, list: DenoGrant["allow"]): string[] {
  if (list === "all") return [name];
  return list.length === 0 ? [] : [`${name}=${list.join(",")}`];
}

/** One kind as `deno.json` holds it. */
interface JsonGrant {
  readonly allow?: true | readonly string[];
  readonly deny?: true | readonly string[];
}

/** The set as the member `permissions` of a `deno.json`, used by `deno run -P`. */
export function toDenoJson(
  set: DenoPermissionSet,
): { readonly permissions: { readonly default: Readonly<Record<string, JsonGrant>> } } {
  const kinds: Record<string, JsonGrant> = {};
  for (const kind of DENO_KINDS) {
    const { allow, deny } = set[kind];
    kinds[kind] = { ...jsonOf("allow", allow), ...jsonOf("deny", deny) };
  }
  return { permissions: { default: kinds } };
}

function jsonOf(key: "allow" | "deny", list: DenoGrant["allow"]): JsonGrant {
  if (list === "all") return { [key]: true };
  return list.length === 0 ? {} : { [key]: list };
}
