/**
 * The grammar of `aasm topology`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { EDGE_KINDS } from "../../core/topology/edge.ts";
import { integer, name, oneOf } from "./values.ts";

const EDGES_MAX = 1_000;

const agent_argument = argument(name("AGENT"), {
  description: message`Registry key, or the agent's own id when only one agent has it.`,
});

const tree = command(
  "tree",
  object({
    command: constant("topology tree"),
    agent: optional(agent_argument),
    max_depth: withDefault(
      option("--max-depth", integer("N", 1, 9), { description: message`Generations shown.` }),
      0,
    ),
  }),
  {
    brief: message`Who spawned whom; without AGENT everybody.`,
    footer: message`Example: aasm topology tree researcher-1 --max-depth 2`,
  },
);

const lineage = command(
  "lineage",
  object({ command: constant("topology lineage"), agent: agent_argument }),
  {
    brief: message`The way from the root down to an agent.`,
    footer: message`Example: aasm topology lineage researcher-1`,
  },
);

const team = command(
  "team",
  object({
    command: constant("topology team"),
    team: argument(name("TEAM"), { description: message`Name of the team.` }),
    org: optional(option("--org", name("NAME"), { description: message`Organisation.` })),
  }),
  {
    brief: message`The agents of a team.`,
    footer: message`Example: aasm topology team ops --org acme`,
  },
);

const edges = command(
  "edges",
  object({
    command: constant("topology edges"),
    agent: optional(option("--agent", name("AGENT"), { description: message`One end.` })),
    direction: withDefault(
      option("--direction", oneOf("DIRECTION", ["outgoing", "incoming", "both"]), {
        description: message`Which end the agent is at.`,
      }),
      "outgoing",
    ),
    kind: optional(option("--kind", oneOf("KIND", EDGE_KINDS))),
    cross_team: withDefault(
      flag("--cross-team", { description: message`Only those between teams.` }),
      false,
    ),
    limit: withDefault(
      option("--limit", integer("N", 1, EDGES_MAX), { description: message`Most edges shown.` }),
      50,
    ),
  }),
  {
    brief: message`Relations that agents and operators reported, newest first.`,
    footer: message`Example: aasm topology edges --agent researcher-1 --direction both`,
  },
);

const cycles = command(
  "cycles",
  object({
    command: constant("topology cycles"),
    kinds: multiple(option("--kind", oneOf("KIND", EDGE_KINDS), {
      description: message`Only relations of this kind; may be given again.`,
    })),
  }),
  {
    brief: message`Agents that relate to themselves through others.`,
    footer: message`Example: aasm topology cycles --kind delegates_to --kind calls`,
  },
);

/** The `topology` group. */
export const topology = command("topology", or(tree, lineage, team, edges, cycles), {
  brief: message`Lineage and relations of agents.`,
});
