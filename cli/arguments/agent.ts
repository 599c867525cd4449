/**
 * The grammar of `aasm agent`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { duration, integer, name, oneOf, text } from "./values.ts";

const agent_argument = argument(name("AGENT"), {
  description: message`Registry key, or the agent's own id when only one agent has it.`,
});

const reason = option("--reason", name("TEXT"), { description: message`Why; kept in the record.` });

function tierValue() {
  return oneOf("TIER", ["low", "medium", "high", "critical"]);
}

const list = command(
  "list",
  object({
    command: constant("agent list"),
    status: optional(
      option("--status", oneOf("STATUS", ["active", "suspended", "deregistered", "stale"])),
    ),
    framework: optional(option("--framework", name("NAME"))),
  }),
  {
    brief: message`Every registered agent.`,
    footer: message`Example: aasm agent list --status suspended`,
  },
);

const inspect = command(
  "inspect",
  object({ command: constant("agent inspect"), agent: agent_argument }),
  {
    brief: message`One agent and its latest entries.`,
    footer: message`Example: aasm agent inspect researcher-1`,
  },
);

const suspend = command(
  "suspend",
  object({ command: constant("agent suspend"), agent: agent_argument, reason }),
  {
    brief: message`Deny everything an agent asks, until it is resumed.`,
    footer: message`Example: aasm agent suspend researcher-1 --reason 'odd traffic'`,
  },
);

const resume = command(
  "resume",
  object({ command: constant("agent resume"), agent: agent_argument, reason }),
  {
    brief: message`End a suspension.`,
    footer: message`Example: aasm agent resume researcher-1 --reason 'reviewed, harmless'`,
  },
);

const kill = command(
  "kill",
  object({
    command: constant("agent kill"),
    agent: agent_argument,
    reason,
    cascade: withDefault(
      flag("--cascade", {
        description: message`Kill everything below it, too; otherwise that is suspended.`,
      }),
      false,
    ),
  }),
  {
    brief: message`End an agent for good: no token, every action denied.`,
    footer: message`Example: aasm agent kill researcher-1 --reason 'exfiltration' --cascade`,
  },
);

const deregister = command(
  "deregister",
  object({
    command: constant("agent deregister"),
    agent: agent_argument,
    reason,
    orphans: optional(option("--orphans", oneOf("MODE", ["suspend", "promote", "cascade"]), {
      description: message`What becomes of its descendants; the gateway's own mode otherwise.`,
    })),
  }),
  {
    brief: message`End a registration; the same id may register anew.`,
    footer:
      message`Example: aasm agent deregister researcher-1 --reason 'retired' --orphans promote`,
  },
);

const revoke_token = command(
  "revoke-token",
  object({ command: constant("agent revoke-token"), agent: agent_argument, reason }),
  {
    brief: message`Take a token away; the agent's key can register for a new one.`,
    footer: message`Example: aasm agent revoke-token researcher-1 --reason 'token leaked'`,
  },
);

const rotate_token = command(
  "rotate-token",
  object({
    command: constant("agent rotate-token"),
    agent: argument(name("ID"), { description: message`The agent's own id.` }),
    org: withDefault(option("--org", text("NAME")), ""),
    team: withDefault(option("--team", text("NAME")), ""),
    token: option("--token", name("TOKEN|@FILE"), {
      description: message`The agent's live token, or the file that holds it.`,
    }),
  }),
  {
    brief: message`As an agent: replace its token; the old one is dead at once.`,
    footer:
      message`Example: aasm agent rotate-token did:key:z6Mk --org acme --team ops --token @agent.token`,
  },
);

const set_level = command(
  "set-level",
  object({
    command: constant("agent set-level"),
    agent: agent_argument,
    level: argument(integer("0-3", 0, 3), { description: message`Governance level.` }),
    reason,
  }),
  {
    brief: message`Set the governance level that policies read.`,
    footer: message`Example: aasm agent set-level researcher-1 2 --reason 'reviewed'`,
  },
);

const set_tier = command(
  "set-tier",
  object({
    command: constant("agent set-tier"),
    agent: agent_argument,
    tier: argument(tierValue(), { description: message`Risk tier.` }),
    reason,
  }),
  {
    brief: message`Set the risk tier, whatever the agent declared.`,
    footer:
      message`Example: aasm agent set-tier researcher-1 high --reason 'handles personal data'`,
  },
);

const reparent = command(
  "reparent",
  object({
    command: constant("agent reparent"),
    agent: agent_argument,
    parent: optional(option("--parent", name("AGENT"), {
      description: message`New parent, of the same team; without it the agent becomes a root.`,
    })),
    reason,
  }),
  {
    brief: message`Move an agent and everything below it.`,
    footer:
      message`Example: aasm agent reparent researcher-2 --parent researcher-1 --reason 'reorganised'`,
  },
);

const enforcement_mode = command(
  "enforcement-mode",
  object({
    command: constant("agent enforcement-mode"),
    agent: agent_argument,
    mode: argument(oneOf("MODE", ["enforce", "observe", "disabled"]), {
      description: message`Observing lets denied actions happen, on record; disabled is refused.`,
    }),
    reason,
    for_ms: optional(option("--for", duration(), {
      description: message`How long to observe, at most 72h.`,
    })),
    cascade: withDefault(
      flag("--cascade", { description: message`Everything below it, too, at most 50 agents.` }),
      false,
    ),
    yes: withDefault(
      flag("--yes", { description: message`With --cascade: change the agents it shows.` }),
      false,
    ),
  }),
  {
    brief: message`Enforce an agent's verdicts, or only observe them for a time.`,
    footer:
      message`Example: aasm agent enforcement-mode researcher-1 observe --for 4h --reason 'trial'`,
  },
);

const enrol_create = command(
  "create",
  object({
    command: constant("agent enrol create"),
    org: withDefault(option("--org", text("NAME"), { description: message`Organisation.` }), ""),
    team: withDefault(option("--team", text("NAME"), { description: message`Team.` }), ""),
    uses: withDefault(
      option("--uses", integer("N", 1, 100_000), { description: message`Agents it admits.` }),
      1,
    ),
    valid_ms: withDefault(
      option("--for", duration(), { description: message`How long it can be used.` }),
      86_400_000,
    ),
    tiers: multiple(option("--tier", tierValue(), {
      description: message`Risk tier it admits; may be given again.`,
    })),
    spiffe: multiple(option("--spiffe", name("ID"), {
      description: message`SPIFFE id or trust domain it admits; may be given again.`,
    })),
  }),
  {
    brief: message`Make an enrolment token; it is shown this once.`,
    footer: message`Example: aasm agent enrol create --org acme --team ops --uses 10 --for 7d`,
  },
);

const enrol_list = command(
  "list",
  object({
    command: constant("agent enrol list"),
    all: withDefault(
      flag("--all", { description: message`Also those that cannot be used any more.` }),
      false,
    ),
  }),
  { brief: message`Enrolments.`, footer: message`Example: aasm agent enrol list --all` },
);

const enrol_revoke = command(
  "revoke",
  object({
    command: constant("agent enrol revoke"),
    id: argument(name("ID"), { description: message`Id of the enrolment.` }),
    reason,
  }),
  {
    brief: message`End an enrolment; agents that used it stay.`,
    footer:
      message`Example: aasm agent enrol revoke 7d0c7a56-6a5b-4d0e-9f6a-2f0d5c1b8e11 --reason 'leaked'`,
  },
);

const enrol = command("enrol", or(enrol_create, enrol_list, enrol_revoke), {
  brief: message`Credentials that name the organisation and team of those who register.`,
});

/** The `agent` group. */
export const agent = command(
  "agent",
  or(
    or(list, inspect, suspend, resume, enforcement_mode, enrol),
    or(kill, deregister, revoke_token, rotate_token, set_level, set_tier, reparent),
  ),
  { brief: message`Registered agents.` },
);
