/**
 * What the detectors see of one decided action: numbers and hashes, no text of the agent.
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { Cascade } from "../policy/cascade.ts";
import { understandHost } from "../policy/network.ts";
import { assess } from "../scanner/classification.ts";
import type { Finding } from "../scanner/finding.ts";
import type { Decision } from "../verdict.ts";
import { hashPair, hashText } from "./hash.ts";
import { ANOMALY_LIMITS } from "./limits.ts";
import { shapeOf } from "./shape.ts";

/** One decided action. */
export interface Observation {
  readonly at_ms: number;
  readonly kind: Action["kind"];
  readonly denied: boolean;
  /** A secret was found, by a detector that is not a guess. */
  readonly secret: boolean;
  /** Worst case the call costs; 0 for what has no price. */
  readonly micro_usd: number;
  readonly tool?: number;
  /** Tool and the shape of its arguments. */
  readonly shape?: number;
  /** Tool and its arguments, for telling identical calls. */
  readonly call?: number;
  /** Absent when policy names the host, or there is none. */
  readonly host?: number;
  readonly program?: number;
}

/** What an observation is made from. */
export interface Sighted {
  readonly at_ms: number;
  readonly action: Action;
  readonly decision: Decision;
  readonly micro_usd: number;
  /** The documents that governed the action; absent when none did. */
  readonly cascade: Cascade | undefined;
}

/**
 * The observation of one decided action.
 *
 * @param seed Of the agent: the same text hashes differently for another.
 */
export function observationOf(sighted: Sighted, seed: number): Observation {
  const { at_ms, action, decision, micro_usd } = sighted;
  const base = {
    at_ms,
    kind: action.kind,
    denied: decision.outcome === "deny",
    secret: decision.findings.some(isCertain),
    micro_usd,
  };
  switch (action.kind) {
    case "tool_call": {
      const tool = hashText(action.tool, seed);
      return {
        ...base,
        tool,
        shape: hashPair(tool, shapeOf(action.args, seed)),
        call: hashPair(tool, identityOf(action.args, seed)),
      };
    }
    case "network_request": {
      const host = unnamedHost(action.url, sighted.cascade);
      return host === undefined ? base : { ...base, host: hashText(host, seed) };
    }
    case "process_exec":
      return { ...base, program: hashText(programOf(action.command), seed) };
    default:
      return base;
  }
}

/**
 * Not a guess: an identifier looks random, and many data hold mail addresses. A vendor's token has
 * the frozen kind of a guess and a detector of its own; of those only the sure ones count, because
 * cookies and bearer headers are ordinary in requests.
 */
function isCertain(finding: Finding): boolean {
  const { method, confidence } = assess(finding);
  if (finding.source === "builtin" && finding.detector !== undefined) return confidence === "high";
  return method !== "heuristic";
}

/** Hash of arguments by both ends and their length: hostile megabytes cost no more than a page. */
function identityOf(args: string, seed: number): number {
  const { identity_chars } = ANOMALY_LIMITS;
  if (args.length <= 2 * identity_chars) return hashText(args, seed);
  const ends = args.slice(0, identity_chars) + args.slice(-identity_chars);
  return hashPair(hashText(ends, seed), args.length);
}

/**
 * The host, unless policy names it. The engine's own matcher over the same merged documents
 * (contract §13.1 #3): a host that an entry such as `api.example` or `*.example` lets in is known;
 * one that passes by `*`, or because no document speaks of hosts, is the agent's own choice.
 */
function unnamedHost(url: string, cascade: Cascade | undefined): string | undefined {
  const understood = understandHost(url);
  if (understood.kind !== "host") return undefined;
  const lists = cascade?.networks.flatMap((by) => by.hosts ?? []) ?? [];
  const named = lists.some((list) => list.names(understood));
  return named ? undefined : understood.host;
}

function programOf(command: string): string {
  const end = command.indexOf(" ");
  return end < 0 ? command : command.slice(0, end);
}
