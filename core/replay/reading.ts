/**
 * Reads segments of decision facts in time order. A segment that is damaged is left out as a whole
 * and named; what was cut by a crash is named and the rest is read.
 *
 * @module
 */
import { BadFrame, decodeFacts } from "./frame.ts";
import type { FactBatch } from "./replay.ts";
import { SegmentDamaged, SegmentReader } from "./segment.ts";

/** Where segments are read from. */
export interface FactsSource {
  /** Names of the segments, in any order; others are not touched. */
  readonly names: readonly string[];
  /** The bytes of one; rejects when they cannot be had. */
  readonly read: (name: string) => Promise<Uint8Array>;
}

/** A segment that was not read, or not to its end. */
export interface ReadProblem {
  readonly segment: string;
  /** What is wrong, and what was done about it. */
  readonly problem: string;
}

/** How facts are read. */
export interface FactsReading {
  readonly source: FactsSource;
  readonly key: Uint8Array;
  /** Facts answered before it may be left out, whole segments at a time. */
  readonly from_ms: number;
  /** Called after each piece of work: lets other work have its turn. */
  readonly breathe: () => Promise<void>;
  readonly onProblem: (problem: ReadProblem) => void;
}

const NAME = /^facts-(\d{15})-(\d{6})\.segment$/;

/** The name of the segment that begins at that time; names sort in time order. */
export function segmentName(start_ms: number, serial: number): string {
  const start = String(Math.max(0, Math.floor(start_ms))).padStart(15, "0");
  return `facts-${start}-${String(serial).padStart(6, "0")}.segment`;
}

/** When a segment of that name began; `undefined` when it is none. */
export function segmentStart(name: string): number | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** Every fact, batch by batch, in the order in which it was answered. */
export async function* readFacts(reading: FactsReading): AsyncGenerator<FactBatch> {
  const { source, from_ms } = reading;
  const names = source.names.filter((name) => segmentStart(name) !== undefined).sort();
  for (const [at, name] of names.entries()) {
    const next = names[at + 1];
    const next_start_ms = next === undefined ? Infinity : segmentStart(next) ?? Infinity;
    if (next_start_ms < from_ms) continue;
    yield* readSegment(reading, name);
  }
}

async function* readSegment(reading: FactsReading, name: string): AsyncGenerator<FactBatch> {
  const { source, key, breathe, onProblem } = reading;
  const frames: Uint8Array[] = [];
  try {
    const reader = new SegmentReader(key, await source.read(name));
    // All of it is authenticated before any of it counts.
    for (const frame of reader.plaintexts()) {
      frames.push(frame);
      await breathe();
    }
    if (reader.end.state === "torn") {
      onProblem({
        segment: name,
        problem: `its last ${reader.end.bytes} bytes are an unfinished write and were left out`,
      });
    }
  } catch (error) {
    const why = error instanceof SegmentDamaged ? error.message : "it cannot be read";
    onProblem({ segment: name, problem: `${why}; the whole segment was left out` });
    return;
  }
  for (const bytes of frames) {
    try {
      yield { facts: decodeFacts(bytes), bytes };
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      onProblem({ segment: name, problem: `${error.message}; it was left out from there on` });
      return;
    }
    await breathe();
  }
}
