/**
 * Reads `grpc/known_failing.md`: conformance cases that cannot pass, each with its reason. A suite
 * counts them as skipped while they fail, and as failed once they pass: the list stays true.
 *
 * @module
 */

const LIST = new URL("../known_failing.md", import.meta.url);
const ENTRY = /^- `([^`\s]+)`: (\S.*)$/;

/**
 * Reasons by case id, for the cases of one suite.
 *
 * @throws Error for a line that looks like an entry and is none
 */
export async function knownFailing(suite: string): Promise<Map<string, string>> {
  const reasons = new Map<string, string>();
  for (const line of (await Deno.readTextFile(LIST)).split("\n")) {
    if (!line.startsWith("- ")) continue;
    const [, id, reason] = ENTRY.exec(line) ?? [];
    if (id === undefined || reason === undefined) {
      throw new Error(`known_failing.md has a line that is no entry: \`${line}\``);
    }
    if (id.startsWith(`${suite}/`)) reasons.set(id, reason);
  }
  return reasons;
}
