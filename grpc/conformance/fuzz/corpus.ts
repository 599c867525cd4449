/**
 * Sessions that showed something new, to be mutated again, and what counts as new: kinds of
 * behaviour seen from outside, and blocks of the module's code entered.
 *
 * @module
 */

import type { Session as InspectorSession } from "node:inspector";
import type { Random } from "../random.ts";
import type { Session } from "./session.ts";

const ENTRIES_MAX = 3000;

/** Keeps sessions by what they showed. */
export class Corpus {
  readonly #random: Random;
  readonly #sessions: Session[] = [];
  readonly #features = new Set<string>();

  constructor(random: Random) {
    this.#random = random;
  }

  get size(): number {
    return this.#sessions.length;
  }

  get features(): number {
    return this.#features.size;
  }

  /** A session kept before, or undefined while there is none. */
  pick(): Session | undefined {
    return this.#sessions.length === 0 ? undefined : this.#random.pick(this.#sessions);
  }

  /** Keeps the session when it showed something new. */
  consider(session: Session, features: Iterable<string>): void {
    const before = this.#features.size;
    for (const feature of features) this.#features.add(feature);
    if (this.#features.size > before) this.keep(session);
  }

  keep(session: Session): void {
    if (this.#sessions.length < ENTRIES_MAX) this.#sessions.push(session);
    else this.#sessions[this.#random.below(ENTRIES_MAX)] = session;
  }
}

interface CoverageResult {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly functionName: string;
      readonly ranges: readonly { startOffset: number; endOffset: number; count: number }[];
    }[];
  }[];
}

/** Which blocks of the module V8 has seen entered. */
export class CodeCoverage {
  readonly #inspector: InspectorSession;
  readonly #room: string;
  readonly #blocks = new Set<string>();

  private constructor(inspector: InspectorSession) {
    this.#inspector = inspector;
    this.#room = new URL("../../", import.meta.url).href;
  }

  static async start(): Promise<CodeCoverage> {
    const { Session } = await import("node:inspector");
    const coverage = new CodeCoverage(new Session());
    coverage.#inspector.connect();
    await coverage.#post("Profiler.enable");
    await coverage.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    return coverage;
  }

  get blocks(): number {
    return this.#blocks.size;
  }

  /** How many blocks were entered for the first time since the last look. */
  async look(): Promise<number> {
    const before = this.#blocks.size;
    const { result } = await this.#post("Profiler.takePreciseCoverage") as CoverageResult;
    for (const { url, functions } of result) {
      if (!url.startsWith(this.#room) || url.includes("/conformance/")) continue;
      const file = url.slice(this.#room.length);
      for (const { functionName, ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) this.#blocks.add(`${file} ${functionName} ${startOffset}-${endOffset}`);
        }
      }
    }
    return this.#blocks.size - before;
  }

  async stop(): Promise<void> {
    await this.#post("Profiler.stopPreciseCoverage");
    this.#inspector.disconnect();
  }

  #post(method: string, parameters?: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#inspector.post(method, parameters, (failure: Error | null, result: unknown) => {
        if (failure) reject(failure);
        else resolve(result);
      });
    });
  }
}
