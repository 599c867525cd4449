/**
 * A replay for a person: what differs, most frequent first, then the sum of it.
 *
 * @module
 */
import type { replay } from "../../proto/mod.ts";
import type { Terminal } from "../terminal.ts";
import { painter } from "./color.ts";
import { fields } from "./fields.ts";
import { printable } from "./printable.ts";
import type { Data } from "./report.ts";

/** Everything that a replay told. */
export interface ReplayTold {
  readonly flips: readonly replay.ReplayDifference[];
  readonly undecidable: readonly replay.ReplayDifference[];
  readonly notes: readonly string[];
  readonly summary: replay.ReplaySummary;
}

/** The text form. */
export function replayText(told: ReplayTold, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const { summary } = told;
  const parts = [
    ...told.notes.map((note) => paint("caution", `note: ${printable(note)}\n`)),
    ...told.flips.map((one) => differenceText(one, terminal)),
    ...told.undecidable.map((one) => differenceText(one, terminal)),
    fields([
      { name: "actions", value: `${summary.facts} replayed, ${summary.warmUp} before the window` },
      { name: "same", value: String(summary.same) },
      { name: "flips", value: String(summary.flipped) },
      { name: "undecidable", value: String(summary.undecided) },
      ...(summary.unlisted === 0n
        ? []
        : [{ name: "unlisted", value: `${summary.unlisted} of further kinds` }]),
      { name: "agents", value: String(summary.agents) },
      { name: "newly allowed", value: `${usdText(summary.newlyAllowedMicroUsd)} USD` },
      { name: "newly refused", value: `${usdText(summary.newlyRefusedMicroUsd)} USD` },
      {
        name: "drift",
        value: `${summary.drifted} decided otherwise by the base policy than was recorded`,
      },
      { name: "speed", value: `${summary.decisionsPerSecond} decisions/s` },
      { name: "digest", value: summary.digest },
    ], terminal),
  ];
  return parts.join("");
}

function differenceText(difference: replay.ReplayDifference, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const { before, after, count, microUsd, agents } = difference;
  const money = microUsd === 0n ? "" : `, ${usdText(microUsd)} USD`;
  const head = `${count} × ${before?.outcome ?? ""} → ${after?.outcome ?? ""}`;
  const who = `${agents} ${agents === 1n ? "agent" : "agents"}${money}`;
  return `${paint("strong", printable(head))}  ${who}\n` +
    fields([
      { name: "  before", value: verdictText(before) },
      { name: "  after", value: verdictText(after) },
      { name: "  example", value: difference.exampleJson },
    ], terminal);
}

function verdictText(verdict: replay.SideVerdict | undefined): string {
  if (verdict === undefined) return "";
  const { outcome, reason, rule } = verdict;
  const why = reason === "" ? "" : `: ${reason}`;
  const where = rule === undefined ? "" : `  ${rule.path} at ${rule.file}:${rule.line}`;
  return `${outcome}${why}${where}`;
}

/** Micro-dollars as a decimal of dollars. */
export function usdText(micro_usd: bigint): string {
  const whole = micro_usd / 1_000_000n;
  const rest = String(micro_usd % 1_000_000n).padStart(6, "0").replace(/0{0,4}$/, "");
  return `${whole}.${rest}`;
}

/** The data of `--output json`. */
export function replayData({ flips, undecidable, notes, summary }: ReplayTold): Data {
  return {
    flips: flips.map(differenceData),
    undecidable: undecidable.map(differenceData),
    notes,
    facts: summary.facts,
    warm_up: summary.warmUp,
    same: summary.same,
    flipped: summary.flipped,
    undecided: summary.undecided,
    unlisted: summary.unlisted,
    agents: summary.agents,
    newly_allowed_micro_usd: summary.newlyAllowedMicroUsd,
    newly_refused_micro_usd: summary.newlyRefusedMicroUsd,
    drifted: summary.drifted,
    truncated: summary.truncated,
    decisions_per_second: summary.decisionsPerSecond,
    digest: summary.digest,
  };
}

function differenceData(difference: replay.ReplayDifference): Data {
  return {
    before: verdictData(difference.before),
    after: verdictData(difference.after),
    count: difference.count,
    micro_usd: difference.microUsd,
    agents: difference.agents,
    agent_ids: difference.agentIds,
    first_unix_ms: difference.firstUnixMs,
    last_unix_ms: difference.lastUnixMs,
    example: exampleData(difference.exampleJson),
  };
}

function verdictData(verdict: replay.SideVerdict | undefined): Data {
  if (verdict === undefined) return null;
  const { outcome, reason, rule } = verdict;
  const { file = "", line = 0, column = 0, path = "" } = rule ?? {};
  return { outcome, reason, rule: rule === undefined ? null : { file, line, column, path } };
}

/** A gateway of another version may send anything; what is no JSON is shown as the text it is. */
function exampleData(json: string): Data {
  try {
    return JSON.parse(json) as Data;
  } catch {
    return json;
  }
}
