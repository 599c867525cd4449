/**
 * The room of decision facts: records them, keeps them for a while, and asks them again.
 *
 * @module
 */
import { ReplayService } from "../../proto/gen/assembly/admin/v1/replay_pb.ts";
import { governanceEntry } from "../engine/governance.ts";
import { loadFactsKey } from "../facts/key.ts";
import { FACTS_LIMITS } from "../facts/limits.ts";
import { FactRecorder } from "../facts/recorder.ts";
import { breather } from "../facts/replaying.ts";
import { type FactsDisk, FactSegments } from "../facts/segments.ts";
import type { EngineParts } from "../engine/parts.ts";
import { type OpenFacts, replayHandlers } from "../services/replay.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type FactsHouse = Pick<
  House,
  "config" | "clock" | "audit" | "registry" | "operators" | "policy" | "counters" | "engine"
>;

/** How a test or a simulation opens the room. */
export interface FactsOptions {
  /** What calls cost, for those that reserved nothing. @default nothing costs anything */
  readonly price?: NonNullable<EngineParts["ledger"]>["price"];
  /** @default the machine's */
  readonly disk?: FactsDisk;
  /** @default `crypto.getRandomValues` */
  readonly randomBytes?: (length: number) => Uint8Array;
}

/** The open room. */
export interface FactsRoom extends Room {
  /** Writes what is noted, and drops what is kept no longer. Never rejects. */
  tick(now_ms: number): Promise<void>;
}

/**
 * Opens the facts of a gateway.
 *
 * @throws {FactsKeyError} when the key cannot be used; any error of the directory.
 */
export async function openFacts(house: FactsHouse, options: FactsOptions = {}): Promise<FactsRoom> {
  const { config, clock } = house;
  const opened = config.facts === undefined
    ? undefined
    : await openRecording(house, config.facts, options);
  const tick = async (now_ms: number) => {
    if (opened !== undefined) await opened.tick(now_ms);
  };
  const timer = setInterval(() => tick(clock.now_ms()), FACTS_LIMITS.flush_ms);
  Deno.unrefTimer(timer);
  const facts = opened?.facts;
  return {
    ...(facts && { parts: { observers: [facts.recorder.observe] } }),
    tick,
    serve: (server) => {
      server.addService(ReplayService, replayHandlers({ ...house, ...(facts && { facts }) }));
      return [];
    },
    components: () => [componentOf(facts)],
    close: async () => {
      clearInterval(timer);
      if (facts === undefined) return;
      await facts.recorder.flush();
      await facts.segments.closeSegment();
    },
  };
}

interface Recording {
  readonly facts: OpenFacts;
  readonly tick: (now_ms: number) => Promise<void>;
}

async function openRecording(
  house: FactsHouse,
  kept: NonNullable<House["config"]["facts"]>,
  options: FactsOptions,
): Promise<Recording> {
  const { config, clock, audit, counters } = house;
  const named = kept.key_file !== undefined;
  const key = await loadFactsKey(kept.key_file ?? `${config.state_dir}/facts.key`, !named);
  const segments = await FactSegments.open({
    directory: `${config.state_dir}/facts`,
    key,
    retention_ms: kept.retention_ms,
    ...(options.disk && { disk: options.disk }),
    ...(options.randomBytes && { randomBytes: options.randomBytes }),
    onDrop: async (dropped) => {
      await audit.append(governanceEntry("decision_facts_dropped", { ...dropped }, clock));
    },
  });
  const recorder = new FactRecorder({
    segments,
    policy: () => house.policy.current,
    price: options.price ?? (() => 0),
    now_ms: clock.now_ms,
    breathe: breather(clock.monotonic_us),
  });
  let checked_ms = -Infinity;
  let ticking: Promise<void> | undefined;
  const work = async (now_ms: number) => {
    await recorder.flush();
    if (Math.abs(now_ms - checked_ms) < FACTS_LIMITS.retention_check_ms) return;
    checked_ms = now_ms;
    await segments.drop(now_ms).catch(() => counters.add("decision_facts.drop_failed"));
  };
  return {
    facts: { recorder, segments, key, retention_ms: kept.retention_ms },
    tick: async (now_ms) => {
      // A slow disk must not gather rounds: the one under way writes what is noted meanwhile, too.
      ticking ??= work(now_ms).finally(() => ticking = undefined);
      await ticking;
    },
  };
}

function componentOf(facts: OpenFacts | undefined): ComponentState {
  const name = "decision_facts";
  if (facts === undefined) {
    const detail = "not recorded: `aasm policy replay` and `policy learn` have nothing to read";
    return { name, state: "unconfigured", detail };
  }
  const { recorded, dropped, lost, last_error } = facts.recorder.counts;
  if (last_error !== "") {
    const detail =
      `${lost} facts were lost: ${last_error}; decisions and evidence are not affected`;
    return { name, state: "degraded", detail };
  }
  const missed = dropped + lost === 0 ? "" : `, ${dropped + lost} missed`;
  return {
    name,
    state: "enforcing",
    detail: `${recorded} recorded${missed}, ${facts.segments.count} segments kept, encrypted`,
  };
}
