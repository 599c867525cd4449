/**
 * What is usual for one agent, and whether an action is not. One pure state machine: time comes in
 * with each observation; nothing here knows a policy or changes an answer.
 *
 * @module
 */
import type { DetectorName } from "./detectors.ts";
import { ANOMALY_LIMITS } from "./limits.ts";
import { Novelty, type NoveltyBurst, type NoveltyState } from "./novelty.ts";
import type { Observation } from "./observation.ts";
import { Repetition } from "./repetition.ts";
import { Rhythm, type RhythmState } from "./rhythm.ts";
import { ONE_IN_100_000, ONE_IN_A_MILLION, plainNumber, surprise } from "./statistics.ts";
import { UsualLevel, type UsualLevelState } from "./usual_level.ts";
import { UsualShare, type UsualShareState } from "./usual_share.ts";

const WINDOW_MS = 300_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Factor over the usual from which counts and hourly sums are judged. */
const FACTOR = 3;
const CALL_COST_FACTOR = 5;
const SPIKE_ACTIONS_MIN = 20;
const REPEATS_MIN = 50;
const SECRETS_MIN = 3;
const REFUSALS_MIN = 10;
const BURST_MIN = 4;
const SHAPE_BURST_MIN = 8;
const CALL_COST_MIN_MICRO_USD = 50_000;
const HOUR_COST_MIN_MICRO_USD = 1_000_000;

/** One detector's word about one action. */
export interface Sign {
  readonly detector: DetectorName;
  readonly seen: number;
  readonly usual: number;
  /** What was seen against what is usual, with both numbers; no text of the agent. */
  readonly explanation: string;
}

/** A baseline as it is kept. Windows that run are not: a restart begins new ones. */
export interface BaselineState {
  readonly seed: number;
  readonly actions: number;
  /** Watched time, pauses counted for at most the gap credit. */
  readonly age_ms: number;
  readonly last_ms: number;
  readonly rate: UsualLevelState;
  readonly repeats: UsualLevelState;
  readonly secrets: UsualLevelState;
  readonly call_cost: UsualLevelState;
  readonly hour_cost: UsualLevelState;
  readonly refusals: UsualShareState;
  readonly tools: NoveltyState;
  readonly hosts: NoveltyState;
  readonly programs: NoveltyState;
  readonly shapes: NoveltyState;
  readonly rhythm: RhythmState;
}

/** What is usual for an agent, for people. Absent numbers are not settled yet. */
export interface BaselineSummary {
  readonly actions: number;
  readonly watched_hours: number;
  readonly warm: boolean;
  readonly actions_per_window?: number;
  readonly identical_calls_per_window?: number;
  readonly secrets_per_hour?: number;
  readonly micro_usd_per_call?: number;
  readonly micro_usd_per_hour?: number;
  readonly refused_share?: number;
  readonly tools: number;
  readonly hosts: number;
  readonly programs: number;
  readonly shapes: number;
  /** Share of known days with work, by hour of the day (UTC). */
  readonly active_hours: readonly number[];
}

const NO_SIGNS: readonly Sign[] = Object.freeze([]);

/** The baseline of one agent. */
export class Baseline {
  readonly #seed: number;
  #actions: number;
  #age_ms: number;
  #last_ms: number;
  readonly #rate: UsualLevel;
  readonly #repeats: UsualLevel;
  readonly #secrets: UsualLevel;
  readonly #call_cost: UsualLevel;
  readonly #hour_cost: UsualLevel;
  readonly #refusals: UsualShare;
  readonly #tools: Novelty;
  readonly #hosts: Novelty;
  readonly #programs: Novelty;
  readonly #shapes: Novelty;
  readonly #rhythm: Rhythm;
  readonly #repetition = new Repetition();
  #window = { index: 0, actions: 0, repeats: 0 };
  #hour = { index: 0, actions: 0, refusals: 0, secrets: 0, micro_usd: 0 };

  /** @param from A fresh agent's seed (32 bits), or a state of {@linkcode state}. */
  constructor(from: { readonly seed: number } | BaselineState) {
    const state = "rate" in from ? from : undefined;
    const { tools, hosts, programs, shapes, warm_up_actions } = ANOMALY_LIMITS;
    this.#seed = from.seed;
    this.#actions = state?.actions ?? 0;
    this.#age_ms = state?.age_ms ?? 0;
    this.#last_ms = state?.last_ms ?? 0;
    this.#rate = new UsualLevel(36, state?.rate);
    this.#repeats = new UsualLevel(36, state?.repeats);
    this.#secrets = new UsualLevel(3, state?.secrets);
    this.#call_cost = new UsualLevel(50, state?.call_cost);
    this.#hour_cost = new UsualLevel(12, state?.hour_cost);
    this.#refusals = new UsualShare(warm_up_actions, state?.refusals);
    this.#tools = new Novelty(tools, BURST_MIN, state?.tools);
    this.#hosts = new Novelty(hosts, BURST_MIN, state?.hosts);
    this.#programs = new Novelty(programs, BURST_MIN, state?.programs);
    this.#shapes = new Novelty(shapes, SHAPE_BURST_MIN, state?.shapes);
    this.#rhythm = new Rhythm(state?.rhythm);
  }

  /** Seed of the agent's hashes. */
  get seed(): number {
    return this.#seed;
  }

  /** Whether comparing with the past is allowed: enough actions and enough time. */
  get warm(): boolean {
    const { warm_up_actions, warm_up_hours } = ANOMALY_LIMITS;
    return this.#actions >= warm_up_actions && this.#age_ms >= warm_up_hours * HOUR_MS;
  }

  /** Takes one action in and says what is unusual about it; usually nothing. */
  observe(seen: Observation): readonly Sign[] {
    this.#advance(seen.at_ms);
    const signs: Sign[] = [];
    // A result is the second half of a call: it is looked at for secrets and counted once.
    if (seen.kind !== "tool_result") {
      this.#actions++;
      this.#seeRate(signs);
      this.#seeRefusal(seen, signs);
      this.#seeHour(seen.at_ms, signs);
    }
    if (seen.secret) this.#seeSecret(seen, signs);
    if (seen.micro_usd > 0 && !seen.denied) this.#seeCost(seen.micro_usd, signs);
    this.#seeThings(seen, signs);
    return signs.length === 0 ? NO_SIGNS : signs;
  }

  /** What has to be kept of it. */
  state(): BaselineState {
    return {
      seed: this.#seed,
      actions: this.#actions,
      age_ms: this.#age_ms,
      last_ms: this.#last_ms,
      rate: this.#rate.state(),
      repeats: this.#repeats.state(),
      secrets: this.#secrets.state(),
      call_cost: this.#call_cost.state(),
      hour_cost: this.#hour_cost.state(),
      refusals: this.#refusals.state(),
      tools: this.#tools.state(),
      hosts: this.#hosts.state(),
      programs: this.#programs.state(),
      shapes: this.#shapes.state(),
      rhythm: this.#rhythm.state(),
    };
  }

  /** What is usual, for people. */
  summary(): BaselineSummary {
    const { hours, days } = this.#rhythm.state();
    const known = <K extends string>(key: K, value: number | undefined) =>
      (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: number };
    return {
      actions: this.#actions,
      watched_hours: Math.floor(this.#age_ms / HOUR_MS),
      warm: this.warm,
      ...known("actions_per_window", this.#rate.level),
      ...known("identical_calls_per_window", this.#repeats.level),
      ...known("secrets_per_hour", this.#secrets.level),
      ...known("micro_usd_per_call", this.#call_cost.level),
      ...known("micro_usd_per_hour", this.#hour_cost.level),
      ...known("refused_share", this.#refusals.share),
      tools: this.#tools.size,
      hosts: this.#hosts.size,
      programs: this.#programs.size,
      shapes: this.#shapes.size,
      active_hours: hours.map((worked) => days === 0 ? 0 : Math.min(1, worked / days)),
    };
  }

  /** Ends windows, hours and days that are over. */
  #advance(at_ms: number): void {
    if (this.#last_ms === 0) {
      this.#last_ms = at_ms;
      this.#restartWindows(at_ms);
    }
    const gap_ms = at_ms - this.#last_ms;
    if (gap_ms < 0) {
      if (gap_ms < -ANOMALY_LIMITS.step_back_ms) {
        // The clock was set back: what ran is not judged, and no time has passed.
        this.#last_ms = at_ms;
        this.#restartWindows(at_ms);
      }
      return;
    }
    this.#last_ms = at_ms;
    const window = Math.floor(at_ms / WINDOW_MS);
    if (window !== this.#window.index) this.#endWindow(window);
    const hour = Math.floor(at_ms / HOUR_MS);
    if (hour !== this.#hour.index) this.#endHour(hour);
    const days_before = Math.floor(this.#age_ms / DAY_MS);
    this.#age_ms += Math.min(gap_ms, ANOMALY_LIMITS.gap_credit_hours * HOUR_MS);
    const day = Math.floor(this.#age_ms / DAY_MS);
    if (day !== days_before) this.#endDay(day);
  }

  #restartWindows(at_ms: number): void {
    this.#window = { index: Math.floor(at_ms / WINDOW_MS), actions: 0, repeats: 0 };
    this.#hour = {
      index: Math.floor(at_ms / HOUR_MS),
      actions: 0,
      refusals: 0,
      secrets: 0,
      micro_usd: 0,
    };
  }

  #endWindow(next: number): void {
    const { actions, repeats } = this.#window;
    // What goes beyond the threshold counts as the threshold: a spike teaches no more than that.
    this.#rate.learn(Math.min(actions, teachable(SPIKE_ACTIONS_MIN, this.#rate.level)));
    this.#repeats.learn(Math.min(repeats, teachable(REPEATS_MIN, this.#repeats.level)));
    this.#window = { index: next, actions: 0, repeats: 0 };
  }

  #endHour(next: number): void {
    const { index, actions, refusals, secrets, micro_usd } = this.#hour;
    this.#secrets.learn(Math.min(secrets, teachable(SECRETS_MIN, this.#secrets.level)));
    this.#hour_cost.learn(
      Math.min(micro_usd, teachable(HOUR_COST_MIN_MICRO_USD, this.#hour_cost.level)),
    );
    this.#refusals.learn(refusals, actions);
    for (const things of [this.#tools, this.#hosts, this.#programs, this.#shapes]) things.endHour();
    this.#rhythm.endHour(index * HOUR_MS);
    this.#hour = { index: next, actions: 0, refusals: 0, secrets: 0, micro_usd: 0 };
  }

  #endDay(day: number): void {
    const levels = [
      this.#rate,
      this.#repeats,
      this.#secrets,
      this.#call_cost,
      this.#hour_cost,
      this.#refusals,
    ];
    for (const level of levels) level.endDay();
    for (const things of [this.#tools, this.#hosts, this.#programs, this.#shapes]) {
      things.endDay(day);
    }
  }

  #seeRate(signs: Sign[]): void {
    const seen = ++this.#window.actions;
    const usual = this.#rate.level;
    if (usual === undefined || seen < SPIKE_ACTIONS_MIN || !this.warm) return;
    if (seen < FACTOR * usual || surprise(seen, usual) < ONE_IN_A_MILLION) return;
    const text = `${plainNumber(seen)} actions in 5 minutes, usually at most ${plainNumber(usual)}`;
    signs.push({ detector: "behavior_spike", seen, usual, explanation: text });
  }

  #seeRefusal({ denied }: Observation, signs: Sign[]): void {
    const { actions } = this.#hour;
    this.#hour.actions = actions + 1;
    if (!denied) return;
    const seen = ++this.#hour.refusals;
    const share = this.#refusals.share;
    if (share === undefined || seen < REFUSALS_MIN || !this.warm) return;
    const usual = share * this.#hour.actions;
    if (seen < FACTOR * usual || surprise(seen, usual) < ONE_IN_100_000) return;
    const text = `${plainNumber(seen)} of ${plainNumber(this.#hour.actions)} actions refused in ` +
      `this hour, usually ${plainNumber(usual)}`;
    signs.push({ detector: "denial_surge", seen, usual, explanation: text });
  }

  #seeHour(at_ms: number, signs: Sign[]): void {
    const off = this.#rhythm.see(at_ms);
    if (off === undefined) return;
    const text = `active between ${off.hour}:00 and ${off.hour}:59 UTC, where it was on ` +
      `${plainNumber(off.worked_days)} of ${plainNumber(off.days)} days`;
    const [seen, usual] = [off.hour, off.worked_days / off.days];
    signs.push({ detector: "off_hours", seen, usual, explanation: text });
  }

  #seeSecret({ kind }: Observation, signs: Sign[]): void {
    const seen = ++this.#hour.secrets;
    const usual = this.#secrets.level ?? 0;
    if (seen >= limitFrom(SECRETS_MIN, this.#secrets.level)) {
      const text = `${plainNumber(seen)} calls with a secret in this hour, ${
        atMost(this.#secrets.level)
      }`;
      signs.push({ detector: "credential_leak_attempt", seen, usual, explanation: text });
    }
    if (kind !== "network_request") return;
    const text = `a secret in an outbound request (${plainNumber(seen)} in this hour, usually 0)`;
    signs.push({ detector: "data_exfiltration_attempt", seen, usual: 0, explanation: text });
  }

  #seeCost(micro_usd: number, signs: Sign[]): void {
    const call = this.#call_cost.level;
    const hour = this.#hour_cost.level;
    const call_limit = call === undefined
      ? Infinity
      : Math.max(CALL_COST_MIN_MICRO_USD, CALL_COST_FACTOR * call);
    this.#call_cost.learn(Math.min(micro_usd, call_limit));
    this.#hour.micro_usd += micro_usd;
    if (!this.warm) return;
    if (call !== undefined && micro_usd >= call_limit) {
      const text = `a call of up to ${usd(micro_usd)} USD, usually at most ${usd(call)}`;
      signs.push({ detector: "spend_spike", seen: micro_usd, usual: call, explanation: text });
      return;
    }
    const sum = this.#hour.micro_usd;
    if (hour === undefined || sum < limitFrom(HOUR_COST_MIN_MICRO_USD, hour)) return;
    const text = `${usd(sum)} USD in this hour, usually at most ${usd(hour)}`;
    signs.push({ detector: "spend_spike", seen: sum, usual: hour, explanation: text });
  }

  #seeThings(seen: Observation, signs: Sign[]): void {
    const day = Math.floor(this.#age_ms / DAY_MS);
    const learns = !seen.denied;
    if (seen.tool !== undefined && this.#tools.see(seen.tool, learns, day)) {
      this.#sayBurst("unusual_tools", "new tools", this.#tools.burst(), signs);
    }
    if (seen.shape !== undefined && this.#shapes.see(seen.shape, learns, day)) {
      this.#sayBurst("argument_shape", "new argument shapes", this.#shapes.burst(), signs);
    }
    if (seen.host !== undefined && this.#hosts.see(seen.host, learns, day)) {
      this.#sayBurst("unknown_external_connection", "new hosts", this.#hosts.burst(), signs);
    }
    if (seen.program !== undefined) this.#seeProgram(seen.program, learns, day, signs);
    if (seen.call !== undefined) this.#seeRepeat(seen.call, seen.at_ms, signs);
  }

  #seeProgram(program: number, learns: boolean, day: number, signs: Sign[]): void {
    const first = this.#programs.size === 0;
    if (!this.#programs.see(program, learns, day)) return;
    if (first && this.warm) {
      const text = `a program start, the first after ${plainNumber(this.#actions)} actions without`;
      signs.push({ detector: "child_process_execution", seen: 1, usual: 0, explanation: text });
      return;
    }
    this.#sayBurst("child_process_execution", "new programs", this.#programs.burst(), signs);
  }

  #seeRepeat(call: number, at_ms: number, signs: Sign[]): void {
    const seen = this.#repetition.see(call, at_ms);
    if (seen > this.#window.repeats) this.#window.repeats = seen;
    if (seen < limitFrom(REPEATS_MIN, this.#repeats.level)) return;
    const usual = this.#repeats.level ?? 1;
    const text = `${plainNumber(seen)} identical calls within 5 minutes, ${
      atMost(this.#repeats.level)
    }`;
    signs.push({ detector: "loop_runaway", seen, usual, explanation: text });
  }

  #sayBurst(
    detector: DetectorName,
    things: string,
    burst: NoveltyBurst | undefined,
    signs: Sign[],
  ): void {
    if (burst === undefined || !this.warm) return;
    const { seen, usual, sightings } = burst;
    const explanation = `${plainNumber(seen)} ${things} among ${plainNumber(sightings)} in this ` +
      `hour, usually ${plainNumber(usual)}`;
    signs.push({ detector, seen, usual, explanation });
  }
}

/** From which count an agent with this usual level is judged; never below the absolute count. */
function limitFrom(least: number, usual: number | undefined): number {
  return Math.max(least, FACTOR * (usual ?? 0));
}

/** As much of a window as may teach: before anything is settled, all of it. */
function teachable(least: number, usual: number | undefined): number {
  return usual === undefined ? Infinity : limitFrom(least, usual);
}

function atMost(usual: number | undefined): string {
  return usual === undefined
    ? "what is usual is not known yet"
    : `usually at most ${plainNumber(usual)}`;
}

function usd(micro_usd: number): string {
  return (micro_usd / 1_000_000).toFixed(2);
}
