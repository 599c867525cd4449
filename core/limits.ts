/**
 * Every bound of the domain in one place. `docs/limits.md` lists them with what happens at each;
 * a test keeps the two equal.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const LIMITS = {
  /** A policy file. Larger: refused unread, the last good policy stays. */
  policy_file_bytes: 8 * 1024 * 1024,
  /** Nodes of a parsed policy text (alias bombs, hostile nesting). More: a located error. */
  policy_nodes: 2_000_000,
  /** Nesting depth of a policy text. Deeper: a located error. */
  policy_depth: 64,
  /** Problems reported for one file; the rest are counted. */
  policy_problems: 1_000,
  /** Tool entries, list items and other rules of one document together. More: a located error. */
  policy_rules: 50_000,
  /** YAML aliases in one file. More: a located error. */
  policy_aliases: 100,
  /** Length of one expression, in UTF-16 units. Longer: a located error. */
  expression_chars: 16_384,
  /** Nesting depth of one expression (parentheses and NOT). Deeper: a located error. */
  expression_depth: 64,
  /** Length of one sensitive pattern, in UTF-16 units. Longer: a located error. */
  pattern_chars: 4_096,
  /** Compiled size of one sensitive pattern, in automaton instructions. Larger: a located error. */
  pattern_program_instructions: 20_000,
  /** Compiled size of all sensitive patterns of one document together. Larger: a located error. */
  pattern_total_instructions: 500_000,
  /** Documents in one policy directory. More: refused, the last good policy stays. */
  policy_documents: 10_000,
  /** Findings kept for one text; at the bound the whole text is redacted. */
  scan_findings: 10_000,
  /** Steps listed in one explanation; further ones are counted. */
  explanation_steps: 32,
  /** Rules in `rate_limits` of one document. More: a located error. */
  policy_rate_limits: 256,
  /** Rate-limit buckets kept; full ones are dropped for room, else a new bucket has no tokens. */
  rate_buckets: 100_000,
  /** Of these, buckets of one team or agent. At it a new bucket of that scope has no tokens. */
  rate_buckets_per_scope: 10_000,
  /** Payload of one audit entry in bytes; what does not fit is left out and named. */
  audit_payload_bytes: 32_768,
  /** One encoded audit entry (tlog-tiles bundles carry a 16-bit length). Larger: not recorded, so not answered. */
  audit_entry_bytes: 65_535,
  /** Identifiers of a request (org, team, agent, trace, span), bytes each. Longer: INVALID_ARGUMENT. */
  identifier_bytes: 1_024,
} as const;
