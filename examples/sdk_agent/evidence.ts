/**
 * What the log says afterwards, read from its files alone.
 *
 * @module
 */
import { parseLine } from "../../core/audit/line.ts";
import { ActionType } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { verifyDirectory } from "../coding_agent/tamper.ts";
import type { Answered } from "./governance.ts";
import type { Check, Told } from "./story.ts";
import { SECRETS } from "./tools.ts";

const CHAPTER = "what the log says";

/** Time for what was kept on the way while the gateway was away to arrive in its log. */
const ARRIVAL_MS_MAX = 30_000;
const LOOK_MS = 100;

/** Waits until everything that the agent knows of is in the log, or for as long as it may take. */
export async function untilArrived(state_dir: string, told: Told): Promise<void> {
  const until_ms = performance.now() + ARRIVAL_MS_MAX;
  while (performance.now() < until_ms) {
    const { missing, reported } = await readLog(state_dir, told);
    if (missing.length === 0 && reported.length >= told.reported) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * Checks the log of a finished run against what the agent knows.
 *
 * @param kept_in Directories of the programs, which must not hold a secret.
 * @param verifier_key Got from the gateway while it ran: the directory cannot vouch for itself.
 */
export async function checkTheLog(
  state_dir: string,
  verifier_key: string,
  told: Told,
  kept_in: readonly string[],
): Promise<Check[]> {
  const log = await verifyDirectory(`${state_dir}/audit`, verifier_key);
  const { missing, reported } = await readLog(state_dir, told);
  const leaked = (await Promise.all(kept_in.map(leaks))).flat();
  const { length } = told.answered;
  return [
    check(
      "it verifies to its last entry, across the kill",
      log.ok && log.covered === log.entries,
      `${log.entries} entries, ${log.covered} under the signed checkpoint: ${log.summary}`,
    ),
    check(
      "every answer that the agent got is in it, with the decision that the agent got",
      missing.length === 0 && length > 0,
      `${length - missing.length} of ${length}${missing.map((one) => ` ${one.span_id}`).join("")}`,
    ),
    check(
      "every event that the agent reported is in it once, also those of the outage",
      reported.length === told.reported && new Set(reported).size === told.reported,
      `${reported.length} entries of ${new Set(reported).size} events, ${told.reported} reported`,
    ),
    check(
      "no secret is in any file that the gateway or the runtime keeps",
      leaked.length === 0,
      leaked.join(", ") || "none found",
    ),
  ];
}

interface LogRead {
  /** Answers that are in the log not at all, or otherwise than the agent got them. */
  readonly missing: readonly Answered[];
  /** Ids of the agent's own events, one an entry. */
  readonly reported: readonly string[];
}

async function readLog(state_dir: string, { answered }: Told): Promise<LogRead> {
  const text = await Deno.readTextFile(`${state_dir}/audit/gateway-default.jsonl`);
  const whole = text.slice(0, text.lastIndexOf("\n") + 1).trimEnd();
  const payloads = whole.split("\n").map((line) => JSON.parse(parseLine(line).payload));
  const decisions = new Map<string, number[]>();
  const reported: string[] = [];
  for (const { span_id, decision, source, event_id, action_type } of payloads) {
    if (source === "reported") {
      // The runtime reports as well: each denial it made.
      if (action_type === ActionType.TOOL_RESULT) reported.push(String(event_id));
    } else if (typeof decision === "number") {
      decisions.set(span_id, [...decisions.get(span_id) ?? [], decision]);
    }
  }
  const missing = answered.filter(({ span_id, allowed }) => {
    // A held call has two entries: that it was held, and what became of it.
    const last = decisions.get(span_id)?.at(-1);
    return last === undefined || ALLOWING.has(last) !== allowed;
  });
  return { missing, reported };
}

/** ALLOW and REDACT (contract `wire` §1.3). */
const ALLOWING: ReadonlySet<number> = new Set([1, 4]);

function check(claim: string, held: boolean, seen: string): Check {
  return { chapter: CHAPTER, claim, held, seen };
}

async function leaks(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of filesBelow(directory)) {
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
