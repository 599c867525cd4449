/**
 * A policy as Deno's own permission flags.
 *
 * @module
 */
export * from "./compile.ts";
export * from "./permission_set.ts";
export * from "./proxy_variables.ts";
export * from "./semantics.ts";
