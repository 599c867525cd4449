/**
 * Runs sessions in a thread of its own, so that one that never ends can be stopped from outside.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Random } from "../random.ts";
import { ClientSessions } from "./client_sessions.ts";
import { runClientSession } from "./client_target.ts";
import { settle } from "./clock.ts";
import { CodeCoverage, Corpus } from "./corpus.ts";
import { describe, Harness } from "./harness.ts";
import { kindOf, minimize } from "./minimize.ts";
import { mutate, noise } from "./mutate.ts";
import { runServerSession } from "./server_target.ts";
import { ServerSessions } from "./server_sessions.ts";
import { type Half, type Session, sessionFromText, sessionToText } from "./session.ts";

/** What a thread is asked to do. */
export interface Task {
  readonly half: Half;
  readonly seed: number;
  readonly runs: number;
  /** A session to run alone instead. */
  readonly replay?: string;
  /** The session under way: a counter, its length, its text. */
  readonly current: SharedArrayBuffer;
}

/** A broken promise, with the input that shows it. */
export interface Failure {
  readonly run: number;
  readonly text: string;
  readonly session: string;
}

/** What a thread has done. */
export interface Progress {
  readonly runs: number;
  readonly seconds: number;
  readonly corpus: number;
  readonly features: number;
  readonly blocks: number;
  /** Live heap after a collection. */
  readonly heap_bytes: number;
  readonly failures: readonly Failure[];
  readonly done: boolean;
}

/** Different failures after which a thread gives up. */
const FAILURES_MAX = 5;
/** Inputs between two looks at the code's coverage, while that is still looked at. */
const COVERAGE_BATCH = 64;
/** Coverage by code slows it ninefold: it is looked at for an eighth of a run, and at most so long. */
const COVERAGE_RUNS_MAX = 5000;
const REPORT_EVERY = 2000;

class Fuzzer {
  readonly #task: Task;
  readonly #harness = new Harness();
  readonly #random: Random;
  readonly #corpus: Corpus;
  readonly #failures: Failure[] = [];
  readonly #kinds = new Set<string>();
  readonly #collect: () => void;
  readonly #counter: Int32Array;
  readonly #text: Uint8Array;
  #coverage: CodeCoverage | undefined;
  #batch: Session[] = [];
  #blocks = 0;
  #started_ms = 0;
  #runs = 0;

  constructor(task: Task) {
    this.#task = task;
    this.#random = new Random(task.seed);
    this.#corpus = new Corpus(this.#random);
    this.#counter = new Int32Array(task.current, 0, 2);
    this.#text = new Uint8Array(task.current, 8);
    setFlagsFromString("--expose-gc");
    this.#collect = runInNewContext("gc");
  }

  async run(): Promise<void> {
    this.#harness.install();
    this.#started_ms = this.#harness.clock.wall_ms();
    const { replay, runs } = this.#task;
    if (replay !== undefined) {
      await this.#runOne(sessionFromText(replay));
      return this.#report(true);
    }
    this.#coverage = await CodeCoverage.start();
    while (this.#runs < runs && this.#failures.length < FAILURES_MAX) {
      const session = this.#next();
      await this.#runOne(session);
      await this.#lookAtCoverage(session);
      this.#runs++;
      if (this.#runs % REPORT_EVERY === 0) this.#report(false);
    }
    this.#report(true);
  }

  #fresh(): Session {
    const draw = this.#task.half === "server" ? ClientSessions : ServerSessions;
    return new draw(this.#random).draw();
  }

  #next(): Session {
    const random = this.#random;
    const kept = random.chance(0.85) ? this.#corpus.pick() : undefined;
    if (kept === undefined) {
      const session = this.#fresh();
      return random.chance(0.5) ? session : mutate(random, session, this.#corpus.pick() ?? session);
    }
    if (random.chance(0.05)) return noise(random, kept);
    return mutate(random, kept, this.#corpus.pick() ?? kept);
  }

  async #runOne(session: Session): Promise<void> {
    this.#publish(session);
    const failure = await this.#judge(session, (features) => {
      this.#corpus.consider(session, features);
    });
    if (failure === undefined) return;
    const kind = kindOf(failure);
    if (this.#kinds.has(kind)) return;
    this.#kinds.add(kind);
    const smaller = await minimize(session, async (candidate) => {
      const text = await this.#judge(candidate);
      return text !== undefined && kindOf(text) === kind;
    });
    this.#failures.push({ run: this.#runs, text: failure, session: sessionToText(smaller, 1) });
  }

  /** Runs a session; what promise it broke, if it broke one. */
  async #judge(
    session: Session,
    onFeatures: (features: Set<string>) => void = () => {},
  ): Promise<string | undefined> {
    const run = session.half === "server" ? runServerSession : runClientSession;
    try {
      onFeatures(await run(this.#harness, session));
      return undefined;
    } catch (reason) {
      // What the broken session left behind must not be taken for the next one's doing.
      for (const { socket } of this.#harness.wires) socket.break();
      await settle();
      return reason instanceof Error && reason.name === "InvariantError"
        ? reason.message
        : describe(reason);
    }
  }

  /** Keeps sessions that entered code nobody entered before. */
  async #lookAtCoverage(session: Session): Promise<void> {
    if (this.#coverage === undefined) return;
    this.#batch.push(session);
    if (this.#batch.length < COVERAGE_BATCH) return;
    const batch = this.#batch;
    this.#batch = [];
    if (await this.#coverage.look() > 0) {
      for (const each of batch) {
        await this.#judge(each);
        if (await this.#coverage.look() > 0) this.#corpus.keep(each);
      }
    }
    this.#blocks = this.#coverage.blocks;
    if (this.#runs < Math.min(COVERAGE_RUNS_MAX, this.#task.runs / 8)) return;
    await this.#coverage.stop();
    this.#coverage = undefined;
  }

  /** Writes the session where it can be read should it never end. */
  #publish(session: Session): void {
    const text = sessionToText(session);
    const fits = text.length <= this.#text.length;
    if (fits) new TextEncoder().encodeInto(text, this.#scratch(text.length));
    if (fits) this.#text.set(this.#scratch(text.length).subarray(0, text.length));
    Atomics.store(this.#counter, 1, fits ? text.length : 0);
    Atomics.add(this.#counter, 0, 1);
  }

  #bytes = new Uint8Array(0);

  #scratch(length: number): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(2 * length);
    return this.#bytes;
  }

  #report(done: boolean): void {
    this.#collect();
    const progress: Progress = {
      runs: this.#runs,
      seconds: (this.#harness.clock.wall_ms() - this.#started_ms) / 1000,
      corpus: this.#corpus.size,
      features: this.#corpus.features,
      blocks: this.#blocks,
      heap_bytes: Deno.memoryUsage().heapUsed,
      failures: this.#failures,
      done,
    };
    self.postMessage(progress);
  }
}

self.onmessage = ({ data }: MessageEvent<Task>) => {
  new Fuzzer(data).run().catch((reason: unknown) => {
    self.postMessage({ broken: describe(reason) });
  });
};
