/**
 * What a policy test file says, typed.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import type { Located, Position } from "../../core/policy/position.ts";
import type { Principal } from "../../core/principal.ts";
import type { Explanation } from "../../core/verdict.ts";

/** What a decision comes to; redaction is an outcome of its own here. */
export type TestOutcome = Explanation["outcome"];

/** One question with the answer it must get. */
export interface PolicyTestCase {
  readonly name: string;
  readonly at: Position;
  readonly principal: Principal;
  /** Moment of the decision, epoch milliseconds. */
  readonly now_ms: number;
  readonly action: Action;
  /** The same question this many times in that moment; the last answer counts. */
  readonly repeat: number;
  readonly expect: TestOutcome;
  /** Path of the rule that must decide, e.g. `tools.bash.allow`. */
  readonly rule?: string;
  /** Exact reason text. */
  readonly reason?: string;
}

/** One policy test file. */
export interface PolicyTestFile {
  /** Policies under test, relative to the test file; several are a cascade, one is a single file. */
  readonly policies: readonly Located<string>[];
  readonly cases: readonly PolicyTestCase[];
}

/**
 * Moment of a case that names none, so that a result never depends on the day it is run: a
 * Wednesday, noon UTC.
 */
export const DEFAULT_NOW_MS = Date.UTC(2026, 0, 7, 12);

/** Cases in one file. */
export const CASES_MAX = 10_000;
/** Repetitions of one case. */
export const REPEAT_MAX = 100_000;
