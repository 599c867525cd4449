/**
 * Every bound of decision facts and their replay, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const REPLAY_LIMITS = {
  /** Text of one recorded action, in UTF-16 units. Longer: the text is not kept, and what needs it is undecidable. */
  fact_text_chars: 16_384,
  /** Places of one recorded action that redaction touched. More: the whole text counts as hidden. */
  fact_pointers: 64,
  /** Facts in one encrypted frame; a batch with more becomes several frames. */
  frame_facts: 512,
  /** One frame of a segment in bytes; a longer one is damage, and the segment is not read. */
  frame_bytes: 32 * 1024 * 1024,
  /** One segment file in bytes; past it a new one is begun, so that old ones can be dropped whole. */
  segment_bytes: 8 * 1024 * 1024,
  /** Time one segment covers at most, in milliseconds; past it a new one is begun. */
  segment_ms: 60 * 60 * 1000,
  /** Facts one replay decides. More: the replay stops there and says so. */
  replay_facts: 50_000_000,
  /** Kinds of flips (old outcome and rule, new outcome and rule) told apart; further ones are counted together. */
  flip_groups: 1_000,
  /** Agents counted by name in one kind of flip; further ones are not counted. */
  flip_agents: 10_000,
  /** Accounts carried by one side of a replay. More: calls of further ones are undecidable under a budget. */
  spend_accounts: 200_000,
  /** Rules of one learned policy (tools, hosts, paths). More: what was seen least is left out, and said. */
  learned_rules: 5_000,
  /** Lines of what a learned policy leaves out; further ones are counted. */
  learned_left_out: 1_000,
} as const;
