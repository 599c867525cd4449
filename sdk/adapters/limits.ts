/**
 * The bounds of the framework adapters.
 *
 * @module
 */

/** Named limits of the adapters; units are the last word of each name. */
export const ADAPTER_LIMITS = {
  /** MCP tasks of one connection whose tool is remembered. More: the oldest result is asked about as `tasks/result`. */
  mcp_tasks_remembered: 1_024,
  /** MCP calls of one connection that were given up while they ran and whose late answers are dropped. More: the oldest is forgotten; the protocol's own library sends no such answer. */
  mcp_calls_given_up: 1_024,
  /** Failed tool calls of one Claude agent whose batch has not ended. More: the hook blocks. */
  claude_failures_unread: 1_024,
  /** Time before the end of a Claude hook's own at which it denies, in milliseconds; a tenth of that time where it is shorter. */
  claude_hook_margin_ms: 5_000,
} as const;
