/**
 * What a verification says.
 *
 * @module
 */
import type { SignatureState } from "./note.ts";

/** What kind of damage a problem is evidence of. */
export type ProblemKind =
  /** The entry is not the one that was recorded. */
  | "edit"
  /** The line is no audit entry at all. */
  | "unreadable"
  /** The entry is there, in another place. */
  | "reorder"
  /** The entry is gone, later ones are there. */
  | "omission"
  /** An entry stands here that was not recorded, or was recorded elsewhere. */
  | "insertion"
  /** Entries are gone from here to the end. */
  | "truncation"
  /** A tile is missing or does not hold what the entries hash to. */
  | "tile"
  /** An entry bundle is missing or does not hold the entries. */
  | "bundle"
  /** The checkpoint is missing, unreadable, or signs another tree. */
  | "checkpoint"
  /** The checkpoint is not signed by the given key. */
  | "signature"
  /** There is nothing to verify. */
  | "no_entries";

/** One thing that is wrong. */
export interface Problem {
  readonly kind: ProblemKind;
  /** Entry, from 0; absent when the problem is not about one entry. */
  readonly index?: number;
  /** Line of the log file, from 1. */
  readonly line?: number;
  /** Resource it was found in. */
  readonly resource: string;
  /** A sentence for a person. */
  readonly message: string;
}

/** Result of verifying a whole log. */
export interface VerifyReport {
  /** Nothing is wrong, there are entries, and the checkpoint's signature was checked. */
  readonly ok: boolean;
  readonly entries: number;
  /** Entries under the checkpoint; later ones are protected by the chain alone. */
  readonly covered: number;
  readonly checkpoint?: {
    readonly origin: string;
    readonly size: number;
    readonly root_hex: string;
    readonly signature: SignatureState;
  };
  /** The first bad entry when one can be named, else the first problem. */
  readonly first?: Problem;
  /** At most 100; `first` is among them. */
  readonly problems: readonly Problem[];
  /** One line for a person. */
  readonly summary: string;
}

/** Result of checking the linear chain alone. */
export interface ChainReport {
  /** Strict: seq from 0 without gaps, genesis of zeros, at least one entry. */
  readonly ok: boolean;
  /** What the reference's `verify-chain` would say of these lines (wire §5.5). */
  readonly reference_ok: boolean;
  readonly entries: number;
  readonly first?: Problem;
  readonly problems: readonly Problem[];
  /** `OK — N entries verified`, or what is wrong. */
  readonly summary: string;
}

/** Problems kept in a report. */
export const PROBLEMS_MAX = 100;
