/**
 * An audit directory on this machine, as the verifier reads it.
 *
 * @module
 */
import type { LogReader } from "../core/audit/verify/mod.ts";
import { unreadable } from "./files.ts";

/** Reads the files of a directory; a missing one is `undefined`. */
export function directoryReader(directory: string): LogReader {
  return {
    async read(name) {
      try {
        return await Deno.readFile(`${directory}/${name}`);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw unreadable(`${directory}/${name}`, "log file", error);
      }
    },
    async stream(name) {
      try {
        return (await Deno.open(`${directory}/${name}`)).readable;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw unreadable(`${directory}/${name}`, "log file", error);
      }
    },
  };
}
