/**
 * A fleet of agents that do nothing wrong: several trades, a daily rhythm, weekends, bursts after a
 * deployment, a new tool or host now and then, late work, refusals and prices. The false-positive
 * budget of the detectors is measured on it.
 *
 * @module
 */
import { type Action, llmCall } from "../../action.ts";
import type { Decision } from "../../verdict.ts";
import type { Sighted } from "../observation.ts";
import { Random } from "./random.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Monday. */
export const FLEET_START_MS = Date.UTC(2026, 0, 5);

/** How agents of one trade work. */
export interface Trade {
  readonly name: string;
  /** Mean actions a minute, by hour of the day (UTC), on a working day. */
  readonly pace: readonly number[];
  /** Share of the pace that is left at weekends. */
  readonly weekend: number;
  readonly tools: number;
  readonly hosts: number;
  /** Share of actions that are requests, program starts, and model calls; the rest calls tools. */
  readonly requests: number;
  readonly programs: number;
  readonly model_calls: number;
  /** Share of requests that go to a host never contacted before. */
  readonly roams: number;
  /** Share of actions that policy refuses. */
  readonly refused: number;
  /** Work that comes at once: calls, at the start of which minutes of the hour. */
  readonly batch?: { readonly calls: number; readonly every_minutes: number };
  /** Share of calls that repeat the one before, as polling does. */
  readonly repeats: number;
}

function hours(from: number, to: number, pace: number, else_pace = 0): number[] {
  return Array.from({ length: 24 }, (_, hour) => hour >= from && hour < to ? pace : else_pace);
}

/** The trades of the fleet. */
export const TRADES: readonly Trade[] = [
  {
    name: "coder",
    pace: hours(8, 18, 1.5),
    weekend: 0.02,
    tools: 14,
    hosts: 8,
    requests: 0.1,
    programs: 0.25,
    model_calls: 0.25,
    roams: 0.02,
    refused: 0.03,
    repeats: 0.05,
  },
  {
    name: "support",
    pace: hours(6, 22, 0.8, 0.15),
    weekend: 0.5,
    tools: 7,
    hosts: 3,
    requests: 0.1,
    programs: 0,
    model_calls: 0.4,
    roams: 0,
    refused: 0.01,
    repeats: 0.02,
  },
  {
    name: "nightly batch",
    pace: hours(1, 4, 0.2),
    weekend: 1,
    tools: 5,
    hosts: 4,
    requests: 0.2,
    programs: 0,
    model_calls: 0,
    roams: 0,
    refused: 0.005,
    batch: { calls: 120, every_minutes: 30 },
    repeats: 0.1,
  },
  {
    name: "researcher",
    pace: hours(7, 19, 0.7),
    weekend: 0.1,
    tools: 6,
    hosts: 60,
    requests: 0.5,
    programs: 0,
    model_calls: 0.3,
    roams: 0.3,
    refused: 0.05,
    repeats: 0.02,
  },
  {
    name: "poller",
    pace: hours(0, 24, 0.5),
    weekend: 1,
    tools: 3,
    hosts: 1,
    requests: 0.02,
    programs: 0,
    model_calls: 0,
    roams: 0,
    refused: 0.002,
    batch: { calls: 70, every_minutes: 60 },
    repeats: 0.9,
  },
];

/** One agent of the fleet. */
export interface FleetAgent {
  readonly id: string;
  readonly trade: Trade;
}

/** The first agents of a fleet, trades in turn. */
export function fleetOf(count: number): readonly FleetAgent[] {
  return Array.from({ length: count }, (_, at) => {
    const trade = TRADES[at % TRADES.length];
    if (trade === undefined) throw new RangeError("no trades");
    return { id: `${trade.name} ${Math.floor(at / TRADES.length) + 1}`, trade };
  });
}

const ALLOWED: Decision = Object.freeze({
  outcome: "allow",
  reason: "",
  findings: [],
  narrowed: false,
  deny_action: "none",
  evidence: [],
});
const REFUSED: Decision = Object.freeze({ ...ALLOWED, outcome: "deny", reason: "denied" });

/** A sighting of one action, allowed unless said otherwise. */
export function sighted(at_ms: number, action: Action, more: Partial<Sighted> = {}): Sighted {
  return { at_ms, action, decision: ALLOWED, micro_usd: 0, cascade: undefined, ...more };
}

/** A refused one. */
export function refusedSighting(at_ms: number, action: Action): Sighted {
  return sighted(at_ms, action, { decision: REFUSED });
}

/** The benign days of one agent. */
export class BenignDays {
  readonly #random: Random;
  readonly #trade: Trade;
  /** The pace differs from agent to agent of one trade. */
  readonly #vigour: number;
  #tools: number;
  #hosts: number;
  #programs = 12;
  #fresh_hosts = 0;
  #last: Action | undefined;

  constructor(trade: Trade, seed: number) {
    this.#trade = trade;
    this.#random = new Random(seed);
    this.#vigour = 0.6 + this.#random.next() * 0.8;
    this.#tools = trade.tools;
    this.#hosts = trade.hosts;
  }

  /** Everything the agent does on one day, in order of time. */
  *day(number: number): Generator<Sighted> {
    const random = this.#random;
    const trade = this.#trade;
    const start_ms = FLEET_START_MS + number * DAY_MS;
    const weekend = number % 7 >= 5 ? trade.weekend : 1;
    // A deployment every two weeks or so: new tools, and an hour of four times the work.
    const deploys = random.chance(1 / 14);
    const busy_hour = deploys ? random.between(9, 16) : -1;
    if (deploys) this.#tools += random.between(0, 2);
    if (random.chance(1 / 20)) this.#hosts++;
    if (trade.programs > 0 && random.chance(1 / 5)) this.#programs++;
    // Late work on one day in twenty.
    const late = random.chance(0.05) && weekend === 1;
    const daily = 0.7 + random.next() * 0.6;
    for (let minute = 0; minute < 24 * 60; minute++) {
      const hour = Math.floor(minute / 60);
      const planned = trade.pace[hour] ?? 0;
      const pace = late && hour === 20 ? Math.max(planned, 0.3) : planned;
      const burst = hour === busy_hour ? 4 : 1;
      let count = random.poisson(pace * weekend * daily * this.#vigour * burst);
      if (pace > 0 && trade.batch !== undefined && minute % trade.batch.every_minutes === 0) {
        count += random.poisson(trade.batch.calls * weekend * daily);
      }
      yield* this.#minute(start_ms + minute * MINUTE_MS, count);
    }
  }

  *#minute(start_ms: number, count: number): Generator<Sighted> {
    const times = Array.from({ length: count }, () => this.#random.between(0, MINUTE_MS - 1));
    for (const offset of times.sort((a, b) => a - b)) yield this.#act(start_ms + offset);
  }

  #act(at_ms: number): Sighted {
    const action = this.#action();
    this.#last = action;
    if (this.#random.chance(this.#trade.refused)) return refusedSighting(at_ms, action);
    const tokens = action.kind === "tool_call" ? action.llm?.prompt_tokens ?? 0 : 0;
    return sighted(at_ms, action, { micro_usd: tokens * 5 });
  }

  #action(): Action {
    const random = this.#random;
    const { requests, programs, model_calls, repeats } = this.#trade;
    if (this.#last !== undefined && random.chance(repeats)) return this.#last;
    const kind = random.next();
    if (kind < requests) {
      return { kind: "network_request", url: `https://${this.#host()}/v1`, method: "GET" };
    }
    if (kind < requests + programs) {
      const program = random.oneOf(Array.from({ length: this.#programs }, (_, at) => `bin${at}`));
      return { kind: "process_exec", command: `${program} --run` };
    }
    if (kind < requests + programs + model_calls) {
      // Prompt sizes have a long tail.
      const tokens = Math.round(200 * Math.exp(random.next() * 3.5));
      return llmCall("gpt-4o", tokens, false);
    }
    const tool = random.oneOf(Array.from({ length: this.#tools }, (_, at) => `tool${at}`));
    return { kind: "tool_call", tool, args: this.#args() };
  }

  #host(): string {
    if (this.#random.chance(this.#trade.roams)) return `site${++this.#fresh_hosts}.example`;
    return this.#random.oneOf(Array.from({ length: this.#hosts }, (_, at) => `h${at}.example`));
  }

  #args(): string {
    const random = this.#random;
    const args: Record<string, unknown> = {
      query: "x".repeat(Math.round(4 * Math.exp(random.next() * 4))),
      id: random.between(1, 1_000_000),
    };
    if (random.chance(0.2)) args.limit = 10;
    if (random.chance(0.1)) args.tags = ["a", "b"];
    if (random.chance(0.02)) args[`option${random.between(1, 5)}`] = true;
    return JSON.stringify(args);
  }
}
