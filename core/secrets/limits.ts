/**
 * Every bound of secrets, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const SECRET_LIMITS = {
  /** Length of a secret's name in characters; a longer one is refused, and is no placeholder. */
  name_chars: 128,
  /** Size of a secret's value; a larger or empty one is refused. */
  value_bytes: 64 * 1024,
  /** Shortest value that outbound bytes are scanned for; a shorter one is kept, and listed as not scanned. */
  scanned_bytes_min: 8,
  /** Secrets of one tenant; one more is refused. */
  secrets_per_tenant: 1_000,
  /** Secrets of one gateway; one more is refused. */
  secrets: 10_000,
  /** Values ever issued that outbound bytes are scanned for; one more value is refused, none is forgotten. */
  issued_values: 20_000,
  /** Tools that one secret may be limited to. */
  tools_per_secret: 64,
  /** Name of such a tool, in UTF-16 units. */
  tool_chars: 256,
  /** Arguments of one dispatch; larger: INVALID_ARGUMENT. */
  args_bytes: 1024 * 1024,
  /** Arguments after substitution (clients accept answers of 4 MiB); larger: refused. */
  resolved_bytes: 3 * 1024 * 1024,
  /** Nesting of arguments; deeper: INVALID_ARGUMENT. */
  args_depth: 64,
  /** Placeholders in the arguments of one dispatch; more: INVALID_ARGUMENT. */
  placeholders: 1_000,
  /** Outbound bytes of one scan; more: refused, to be scanned in overlapping parts. */
  outbound_bytes: 3 * 1024 * 1024,
  /**
   * Bytes that one scan may hash to tell real finds from chance; at it the scan says it is
   * incomplete, which is to be treated as a find.
   */
  confirmed_bytes: 32 * 1024 * 1024,
  /** Finds reported by one scan; further ones are not told apart. */
  hits: 100,
  /** Keys in a key source: the present one and those it replaced. More: refused at start. */
  master_keys: 8,
  /** Size of a key source; larger: refused at start. */
  key_source_bytes: 16 * 1024,
  /** How long a program may take to print the key; longer: refused at start. */
  key_command_ms: 30_000,
  /** Records wrapped anew in one write while the master key is replaced. */
  rewrap_batch_records: 100,
  /** How long an allowed decision may be followed by the dispatch it allowed. */
  decision_ms: 5 * 60 * 1000,
  /** Allowed decisions remembered for that; the oldest is forgotten, and its dispatch is decided anew. */
  decisions: 10_000,
  /** One-call credentials that are neither used nor expired; one more is refused. */
  one_call_credentials: 10_000,
  /** Life of a one-call credential: longest, and when none is asked for. */
  one_call_ms_max: 15 * 60 * 1000,
  one_call_ms_default: 60 * 1000,
  /** How old the allowed decision may be that a one-call credential is issued for. */
  one_call_decision_ms: 15 * 60 * 1000,
  /** How long a used or expired one-call credential is still recognised in outbound bytes. */
  one_call_remembered_ms: 24 * 60 * 60 * 1000,
  /** Secrets that one one-call credential may stand for. */
  one_call_names: 16,
} as const;
