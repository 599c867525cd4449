/**
 * What the log says afterwards, read from its files alone.
 *
 * @module
 */
import { parseLine } from "../../core/audit/line.ts";
import { verifyDirectory } from "../coding_agent/tamper.ts";
import type { Check, Told } from "./story.ts";
import { SECRETS } from "./tools.ts";

const CHAPTER = "what the log says";

/**
 * Checks the log of a finished run against what the agent knows.
 *
 * @param verifier_key Got from the gateway while it ran: the directory cannot vouch for itself.
 */
export async function checkTheLog(
  state_dir: string,
  verifier_key: string,
  { answered, reported }: Told,
): Promise<Check[]> {
  const log = await verifyDirectory(`${state_dir}/audit`, verifier_key);
  const text = await Deno.readTextFile(`${state_dir}/audit/gateway-default.jsonl`);
  const entries = text.trimEnd().split("\n").map((line) => parseLine(line));
  const unproven = answered.filter(({ audit_index, allowed }) => {
    if (audit_index === undefined) return true;
    const entry = entries[Number(audit_index)];
    return entry === undefined || decisionIn(entry.payload) === "deny" === allowed;
  });
  const events = entries.flatMap(({ payload }) => reportedId(payload));
  const leaked = await leaks(state_dir);
  return [
    check(
      "it verifies to its last entry, across the kill",
      log.ok && log.covered === log.entries,
      `${log.entries} entries, ${log.covered} under the signed checkpoint: ${log.summary}`,
    ),
    check(
      "every answer that the agent got is in it, where the answer said",
      unproven.length === 0 && answered.length > 0,
      `${answered.length - unproven.length} of ${answered.length}`,
    ),
    check(
      "every event that the agent reported is in it once, also those of the outage",
      events.length === reported && new Set(events).size === reported,
      `${events.length} entries of ${new Set(events).size} events, ${reported} were reported`,
    ),
    check(
      "no secret is in any file the gateway keeps",
      leaked.length === 0,
      leaked.join(", ") || "none found",
    ),
  ];
}

function check(claim: string, held: boolean, seen: string): Check {
  return { chapter: CHAPTER, claim, held, seen };
}

function decisionIn(payload: string): string {
  const { verdict } = JSON.parse(payload);
  return String(verdict);
}

/** The id of an event that the agent reported; other entries have none. */
function reportedId(payload: string): string[] {
  const { source, event_id } = JSON.parse(payload);
  return source === "reported" ? [String(event_id)] : [];
}

async function leaks(state_dir: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of filesBelow(state_dir)) {
    const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
    for (const [name, secret] of Object.entries(SECRETS)) {
      if (text.includes(secret)) found.push(`${name} in ${path}`);
    }
  }
  return found;
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(path);
    else if (entry.isFile) yield path;
  }
}
