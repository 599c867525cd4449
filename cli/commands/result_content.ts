/**
 * What a tool answered: text from the command line, or a file.
 *
 * @module
 */
import type { ActionWords } from "../arguments/action.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { readFile } from "../files.ts";

/** Leaves room for the rest of a request within the gateway's 4 MiB (contract `wire` §1.0). */
export const RESULT_BYTES_MAX = 4 * 1024 * 1024 - 64 * 1024;

/** The bytes of a `result` action; empty for every other kind. */
export async function resultContent(action: ActionWords): Promise<Uint8Array> {
  if (action.kind !== "result") return new Uint8Array();
  const { content } = action;
  const bytes = content.from === "text"
    ? new TextEncoder().encode(content.text)
    : await readFile(content.path, RESULT_BYTES_MAX, "tool result");
  if (bytes.byteLength > RESULT_BYTES_MAX) {
    throw new CommandError(
      `cannot check a tool result larger than ${RESULT_BYTES_MAX} bytes`,
      ExitCode.USAGE,
      "check it in parts",
    );
  }
  return bytes;
}
