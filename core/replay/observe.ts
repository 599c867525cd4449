/**
 * What was seen in a window of decision facts, added up: the material a policy is learned from.
 *
 * @module
 */
import { dayOf } from "../ledger/calendar.ts";
import { pathProblem, type PathVerb, verbOf } from "../policy/filesystem.ts";
import { understandHost } from "../policy/network.ts";
import type { DecisionFact } from "./facts.ts";

/** How often, and when first and last. */
export interface Sighting {
  count: number;
  first_ms: number;
  last_ms: number;
}

/** One tool's calls. */
export interface ToolSighting extends Sighting {
  /** Most calls in any hour, by whose bucket they draw from. */
  peak_per_hour: number;
}

const HOUR_MS = 3_600_000;

/** Everything allowed in a window, by what rules speak of. */
export class Observations {
  readonly tools = new Map<string, ToolSighting>();
  readonly hosts = new Map<string, Sighting>();
  readonly paths: { readonly [verb in PathVerb]: Map<string, Sighting> } = {
    read: new Map(),
    write: new Map(),
  };
  readonly capabilities = new Map<string, Sighting>();
  /** Denied or waiting then, and what cannot be put into a policy: text to count. */
  readonly left_out = new Map<string, { readonly why: string; count: number }>();
  agent_day_micro_usd = 0;
  priced = 0;
  /** Allowed facts in which a scan found something. */
  secrets = 0;

  readonly #hours = new Map<string, number[]>();
  readonly #days = new Map<string, { day: string; micro_usd: number }>();

  /** Adds a fact that was allowed. */
  add(fact: DecisionFact): void {
    const { action, at_ms, hidden } = fact;
    if (hidden?.builtin === true || hidden?.custom === true) this.secrets += 1;
    this.#spend(fact);
    switch (action.kind) {
      case "tool_call":
      case "tool_result":
        if (hidden?.tool === true) return this.leaveOut(`a ${action.kind}`, "its name is redacted");
        see(this.capabilities, `mcp_tool:${action.tool}`, at_ms);
        if (action.kind === "tool_call") this.#tool(fact, action.tool);
        return;
      case "file_access": {
        see(this.capabilities, CAPABILITY[action.mode], at_ms);
        if (hidden !== undefined) {
          return this.leaveOut(`a file ${action.mode}`, "its path is redacted");
        }
        if (pathProblem(action.path) !== undefined) {
          return this.leaveOut(
            `file ${action.mode} ${action.path}`,
            `the path is one that no rule can name: ${pathProblem(action.path)}`,
          );
        }
        see(this.paths[verbOf(action.mode)], action.path, at_ms);
        return;
      }
      case "network_request": {
        see(this.capabilities, "network_outbound", at_ms);
        const host = understandHost(action.url);
        if (hidden?.host === true || host.kind !== "host") {
          const why = hidden?.host === true ? "its host is redacted" : "it names no host";
          return this.leaveOut("a network request", why);
        }
        see(this.hosts, host.host, at_ms);
        return;
      }
      case "process_exec":
        see(this.capabilities, "terminal_exec", at_ms);
        return;
      case "send_message":
        return;
    }
  }

  /** Counts something that the policy will not let through. */
  leaveOut(what: string, why: string): void {
    const key = `${what}\0${why}`;
    const known = this.left_out.get(key);
    if (known === undefined) this.left_out.set(key, { why, count: 1 });
    else known.count += 1;
  }

  #tool(fact: DecisionFact, tool: string): void {
    const { at_ms, principal } = fact;
    const seen = this.tools.get(tool);
    const whose = principal.team_id ?? principal.registry_key ?? "anon";
    const peak = this.#peak(JSON.stringify([whose, tool]), at_ms);
    if (seen === undefined) {
      this.tools.set(tool, { count: 1, first_ms: at_ms, last_ms: at_ms, peak_per_hour: peak });
      return;
    }
    seen.count += 1;
    seen.last_ms = Math.max(seen.last_ms, at_ms);
    seen.first_ms = Math.min(seen.first_ms, at_ms);
    seen.peak_per_hour = Math.max(seen.peak_per_hour, peak);
  }

  /** Calls in the two hours that an hour ending now can touch: never fewer than in any one hour. */
  #peak(key: string, at_ms: number): number {
    const hour = Math.floor(at_ms / HOUR_MS);
    let counts = this.#hours.get(key);
    if (counts === undefined || hour > (counts[0] ?? 0) + 1) counts = [hour, 0, 0];
    else if (hour > (counts[0] ?? 0)) counts = [hour, 0, counts[1] ?? 0];
    counts[1] = (counts[1] ?? 0) + 1;
    this.#hours.set(key, counts);
    return (counts[1] ?? 0) + (counts[2] ?? 0);
  }

  #spend({ principal, at_ms, micro_usd }: DecisionFact): void {
    if (micro_usd <= 0) return;
    this.priced += 1;
    const key = principal.registry_key ?? principal.engine_key;
    const { date: day } = dayOf("UTC", at_ms);
    const known = this.#days.get(key);
    const spent = known?.day === day ? known.micro_usd + micro_usd : micro_usd;
    this.#days.set(key, { day, micro_usd: spent });
    this.agent_day_micro_usd = Math.max(this.agent_day_micro_usd, spent);
  }
}

const CAPABILITY = {
  read: "file_read",
  write: "file_write",
  append: "file_write",
  delete: "file_delete",
} as const;

function see(map: Map<string, Sighting>, name: string, at_ms: number): void {
  const seen = map.get(name);
  if (seen === undefined) {
    map.set(name, { count: 1, first_ms: at_ms, last_ms: at_ms });
    return;
  }
  seen.count += 1;
  seen.first_ms = Math.min(seen.first_ms, at_ms);
  seen.last_ms = Math.max(seen.last_ms, at_ms);
}
