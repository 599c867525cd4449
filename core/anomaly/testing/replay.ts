/**
 * Replays benign days, alone and with attacks seeded into them, and counts what the detectors say.
 *
 * @module
 */
import { Baseline, type BaselineState, type Sign } from "../baseline.ts";
import { DETECTOR_NAMES, type DetectorName } from "../detectors.ts";
import { observationOf, type Sighted } from "../observation.ts";
import { type Attack, ATTACKS } from "./attacks.ts";
import { BenignDays, FLEET_START_MS, type FleetAgent, fleetOf } from "./benign_fleet.ts";

const DAY_MS = 86_400_000;
/** A detector that speaks again within this time adds to the open alert instead of opening one. */
const SAME_ALERT_MS = DAY_MS;

/** How much is replayed. */
export interface ReplaySize {
  readonly seed: number;
  readonly agents: number;
  /** Days of benign work; attacks come on the day after. */
  readonly days: number;
}

/** How one attack fared over the agents it fits. */
export interface AttackResult {
  readonly name: string;
  readonly expected: DetectorName;
  readonly tried: number;
  readonly caught: number;
}

/** What a replay found. */
export interface ReplayResult {
  readonly actions: number;
  readonly agent_weeks: number;
  /** False alerts by detector, over all benign days. */
  readonly alerts: Readonly<Record<DetectorName, number>>;
  readonly alerts_per_agent_week: number;
  readonly attacks: readonly AttackResult[];
  /** The false alerts themselves, for a look at what went wrong. */
  readonly false_alerts: readonly string[];
}

/** Runs a replay. Deterministic: the same size gives the same result. */
export function replay(size: ReplaySize): ReplayResult {
  const alerts = Object.fromEntries(DETECTOR_NAMES.map((name) => [name, 0])) as Record<
    DetectorName,
    number
  >;
  const false_alerts: string[] = [];
  const caught = new Map<string, { tried: number; caught: number }>();
  let actions = 0;
  for (const [at, agent] of fleetOf(size.agents).entries()) {
    const one = benign(agent, size, at);
    actions += one.actions;
    for (const { detector, explanation, at_ms } of one.alerts) {
      alerts[detector]++;
      const when = new Date(at_ms).toISOString().slice(0, 16);
      false_alerts.push(`${agent.id} ${when} ${detector}: ${explanation}`);
    }
    for (const attack of ATTACKS) {
      if (!attack.fits(agent.trade)) continue;
      const score = caught.get(attack.name) ?? { tried: 0, caught: 0 };
      score.tried++;
      if (attacked(one.state, attack, agent, size, at)) score.caught++;
      caught.set(attack.name, score);
    }
  }
  const agent_weeks = size.agents * size.days / 7;
  return {
    actions,
    agent_weeks,
    alerts,
    alerts_per_agent_week: false_alerts.length / agent_weeks,
    attacks: ATTACKS.map(({ name, expected }) => ({
      name,
      expected,
      ...caught.get(name) ?? { tried: 0, caught: 0 },
    })),
    false_alerts,
  };
}

interface Benign {
  readonly actions: number;
  readonly alerts: readonly (Sign & { readonly at_ms: number })[];
  readonly state: BaselineState;
}

function benign(agent: FleetAgent, size: ReplaySize, at: number): Benign {
  const baseline = new Baseline({ seed: seedOf(size, at) });
  const days = new BenignDays(agent.trade, seedOf(size, at));
  const spoke = new Map<DetectorName, number>();
  const alerts: (Sign & { at_ms: number })[] = [];
  let actions = 0;
  for (let day = 0; day < size.days; day++) {
    for (const seen of days.day(day)) {
      actions++;
      for (const sign of baseline.observe(observationOf(seen, baseline.seed))) {
        const last_ms = spoke.get(sign.detector) ?? -Infinity;
        if (seen.at_ms - last_ms >= SAME_ALERT_MS) alerts.push({ ...sign, at_ms: seen.at_ms });
        spoke.set(sign.detector, seen.at_ms);
      }
    }
  }
  return { actions, alerts, state: baseline.state() };
}

/** Whether the expected detector speaks while an agent, besides its daily work, attacks. */
function attacked(
  state: BaselineState,
  attack: Attack,
  { trade }: FleetAgent,
  size: ReplaySize,
  at: number,
): boolean {
  const baseline = new Baseline(state);
  const own = new BenignDays(trade, seedOf(size, at) ^ 0x5eed);
  // A working day: the next Monday.
  const day = Math.ceil(size.days / 7) * 7;
  const acts = attack.acts(FLEET_START_MS + day * DAY_MS, trade);
  const attacking = new Set<Sighted>(acts);
  const all = [...own.day(day), ...acts].sort((a, b) => a.at_ms - b.at_ms);
  for (const seen of all) {
    const signs = baseline.observe(observationOf(seen, baseline.seed));
    if (attacking.has(seen) && signs.some((sign) => sign.detector === attack.expected)) return true;
  }
  return false;
}

function seedOf({ seed }: ReplaySize, at: number): number {
  return (Math.imul(seed, 0x9e3779b1) ^ Math.imul(at + 1, 0x85ebca77)) >>> 0;
}
