/**
 * Every bound of policy history and of policy changes, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const POLICY_CHANGE_LIMITS = {
  /** Versions kept (contract `policy-and-gateway` §1.10); at it the oldest is forgotten, never the present one. */
  versions: 50,
  /** Bytes of all files of one version that are kept; of a larger set only the digests are. */
  version_bytes: 64 * 1024 * 1024,
  /** Files that one change may put or remove; more are refused. */
  changed_files: 1_000,
  /** Length of the reason of a change in characters; longer ones are refused. */
  reason_chars: 1_024,
  /** Proposals that wait for a second person; one more is refused. */
  proposals: 100,
  /** Proposals kept, ended ones included; at it the oldest ended one is forgotten. */
  proposals_kept: 500,
  /** Bytes of the files that one proposal puts; larger ones are refused. */
  proposal_bytes: 2 * 1024 * 1024,
  /** Life of a proposal when none is asked for, in seconds (a day). */
  proposal_ttl_default_seconds: 86_400,
  /** Longest life of a proposal, in seconds (a week); longer ones are refused. */
  proposal_ttl_seconds: 7 * 86_400,
  /** Characters of the text diff in one answer; the rest is cut and said to be. */
  diff_chars: 1024 * 1024,
  /** Changed rules in one answer; further ones are counted. */
  diff_rules: 5_000,
  /** Trusted signers of bundles in one file; more are refused at start. */
  signers: 100,
} as const;
