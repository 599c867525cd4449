/**
 * What Deno allows under a set of permissions: the model that the compiler's law is tested with.
 * A test holds it to what Deno itself answers.
 *
 * @module
 */
import type { DenoGrant, DenoPermissionSet } from "./permission_set.ts";

/** One access, as Deno checks it. */
export type DenoAccess =
  /** Absolute, without `..`: Deno takes both away before it looks. */
  | { readonly kind: "read" | "write" | "ffi"; readonly path: string }
  /** Lower case, without a trailing dot; an IPv6 address without brackets. */
  | { readonly kind: "net" | "import"; readonly host: string; readonly port: number }
  | { readonly kind: "run" | "env" | "sys"; readonly name: string };

/** Whether Deno lets the access happen, without asking anyone. */
export function denoAllows(set: DenoPermissionSet, access: DenoAccess): boolean {
  const grant = set[access.kind];
  return !listed(grant.deny, access) && listed(grant.allow, access);
}

function listed(list: DenoGrant["allow"], access: DenoAccess): boolean {
  if (list === "all") return true;
  switch (access.kind) {
    case "read":
    case "write":
    case "ffi":
      return list.some((entry) => isWithin(access.path, entry));
    case "net":
    case "import":
      return list.some((entry) => namesHost(entry, access.host));
    case "run":
    case "env":
    case "sys":
      return list.includes(access.name);
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** An entry without a port names the host on every port; `*.x` names `x` too. */
function namesHost(entry: string, host: string): boolean {
  if (entry.startsWith("*.")) {
    return host === entry.slice(2) || host.endsWith(entry.slice(1));
  }
  return entry === (host.includes(":") ? `[${host}]` : host);
}
