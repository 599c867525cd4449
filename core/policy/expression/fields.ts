/**
 * Every field an expression may name, with its kind: the kind decides how it compares
 * (contract `policy-and-gateway` §2.4-2.5).
 *
 * @module
 */

/**
 * How a field's value compares and what its absence means; each is a row of the contract's table.
 *
 * | Kind | Example |
 * |---|---|
 * | `plain` | `tool`: a text, empty when the action has none |
 * | `number` | `agent.depth`: absence fires |
 * | `tier`, `level` | ordered words |
 * | `context` | `agent.team_id`: a text that may be absent |
 * | `flag` | `agent.is_root` |
 * | `set` | `child.tool` |
 * | `message` | `source.team_id`: a text that may be absent |
 * | `json` | `args.amount` |
 * | `body` | `tool_result` |
 */
export type FieldKind =
  | "plain"
  | "number"
  | "tier"
  | "level"
  | "context"
  | "flag"
  | "set"
  | "message"
  | "json"
  | "body";

/** A field with a fixed name. */
export interface NamedField {
  readonly name: string;
  readonly kind: FieldKind;
  readonly doc: string;
  /** Reads registry or budget state, which may change between two equal requests. */
  readonly live: boolean;
}

function field(name: string, kind: FieldKind, doc: string): NamedField {
  return { name, kind, doc, live: !["plain", "message", "json", "body"].includes(kind) };
}

/** The fields with fixed names, in the order in which messages list them. */
export const EXPRESSION_FIELDS = [
  field("tool", "plain", "Name of the called tool."),
  field("path", "plain", "Path of a file access, or `args.path` of a tool call."),
  field("url", "plain", "URL of a network request, or `args.url` of a tool call."),
  field("method", "plain", "Method of a network request, or `args.method` of a tool call."),
  field("command", "plain", "Command of a process start, or `args.command` of a tool call."),
  field("governance_level", "level", "The agent's governance level, L0 to L3."),
  field("agent.depth", "number", "Delegation depth; a root is 0."),
  field("agent.age", "number", "Time since registration, in seconds."),
  field("agent.children_count", "number", "Direct children."),
  field("agent.risk_tier", "tier", "The agent's risk tier."),
  field("agent.parent_agent_id", "context", "Id of the parent agent."),
  field("agent.team_id", "context", "Id of the agent's team."),
  field("agent.is_root", "flag", "Whether the agent has no parent."),
  field("agent.is_leaf", "flag", "Whether the agent has no children."),
  field("parent.risk_tier", "tier", "The parent's risk tier."),
  field("child.risk_tier", "tier", "The children's highest risk tier."),
  field("child.tool", "set", "Tool names of the children."),
  field("team.active_agents", "number", "Active agents of the team."),
  field("team.parallel_agents", "number", "The same as `team.active_agents`."),
  field("team.budget_remaining", "number", "Monthly team limit minus spend, in US dollars."),
  field("source.team_id", "message", "Sending team of a message."),
  field("target.team_id", "message", "Receiving team of a message."),
  field("target.channel_id", "message", "Channel of a message."),
  field("tool_result", "body", "What a tool answered, as one text."),
] as const;

/** Prefixes that lead into JSON: `args.<path>` and `tool_result.<path>`. */
export const EXPRESSION_PREFIXES = [
  { prefix: "args.", doc: "A value in the arguments of a tool call, e.g. `args.amount`." },
  { prefix: "tool_result.", doc: "A value in the answer of a tool, e.g. `tool_result.status`." },
] as const;

/** A field as a clause names it; `pointer` is the way into the JSON document. */
export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly live: boolean;
  readonly pointer?: readonly string[];
}

const NAMED: ReadonlyMap<string, NamedField> = new Map(
  EXPRESSION_FIELDS.map((named) => [named.name, named]),
);

/** Every valid name, for messages. */
export const FIELD_NAMES: readonly string[] = [
  ...NAMED.keys(),
  ...EXPRESSION_PREFIXES.map(({ prefix }) => `${prefix}<path>`),
];

/** The field a word names, if any. A bare `args` is none. */
export function fieldNamed(word: string): Field | undefined {
  const named = NAMED.get(word);
  if (named !== undefined) return { name: word, kind: named.kind, live: named.live };
  for (const { prefix } of EXPRESSION_PREFIXES) {
    if (word.startsWith(prefix) && word.length > prefix.length) {
      const pointer = word.slice(prefix.length).split(".");
      return { name: word, kind: "json", live: false, pointer };
    }
  }
  return undefined;
}
