/**
 * Variables of the process, where it may read them (contract `wire` §7.3).
 *
 * @module
 */
import process from "node:process";

/** A variable that is set and not empty; one that may not be read counts as not set. */
export function variable(name: string): string | undefined {
  try {
    const value = process.env[name];
    return value === undefined || value.trim() === "" ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Whether this is Deno, which has the sockets that gRPC needs. */
export function isDeno(): boolean {
  return typeof Reflect.get(globalThis, "Deno") === "object";
}
