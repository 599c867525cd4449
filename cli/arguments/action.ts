/**
 * One action in words: `tool NAME`, `file read PATH`, `net URL`, `exec -- CMD`, `llm MODEL`,
 * `result TOOL`. Shared by `check` and `policy explain`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, option } from "@optique/core/primitives";
import type { InferValue } from "@optique/core/parser";
import { integer, json, name, oneOf, path, text } from "./values.ts";

const INT32_MAX = 2 ** 31 - 1;

const tool = command(
  "tool",
  object({
    kind: constant("tool"),
    name: argument(name("NAME"), { description: message`Tool name, as the policy spells it.` }),
    args: withDefault(
      option("--args", json("JSON"), { description: message`Arguments of the call.` }),
      "{}",
    ),
  }),
  {
    brief: message`A tool call.`,
    footer: message`Example: aasm check tool search --args '{"query": "weather"}'`,
  },
);

const file = command(
  "file",
  object({
    kind: constant("file"),
    operation: argument(oneOf("MODE", ["read", "write", "create", "append", "delete"])),
    path: argument(name("PATH"), { description: message`Path as the agent would use it.` }),
  }),
  {
    brief: message`A file access.`,
    footer: message`Example: aasm check file read /etc/passwd`,
  },
);

const net = command(
  "net",
  object({
    kind: constant("net"),
    target: argument(name("URL|HOST"), {
      description: message`URL, or a host for https on port 443.`,
    }),
  }),
  {
    brief: message`A network connection.`,
    footer: message`Example: aasm check net https://api.example.com`,
  },
);

const exec = command(
  "exec",
  object({
    kind: constant("exec"),
    argv: multiple(
      argument(text("WORD"), { description: message`Program and arguments, after ${"--"}.` }),
      { min: 1 },
    ),
  }),
  {
    brief: message`A program start.`,
    footer: message`Example: aasm check exec -- rm -rf /tmp/work`,
  },
);

const llm = command(
  "llm",
  object({
    kind: constant("llm"),
    model: argument(name("MODEL")),
    prompt_tokens: withDefault(
      option("--prompt-tokens", integer("N", 0, INT32_MAX), {
        description: message`Estimated prompt tokens.`,
      }),
      0,
    ),
  }),
  {
    brief: message`A model call.`,
    footer: message`Example: aasm check llm gpt-4o --prompt-tokens 1200`,
  },
);

const result = command(
  "result",
  object({
    kind: constant("result"),
    tool: argument(name("TOOL")),
    content: or(
      object({
        from: constant("text"),
        text: option("--text", text("TEXT"), { description: message`What the tool answered.` }),
      }),
      object({
        from: constant("file"),
        path: option("--file", path("FILE"), {
          description: message`File with what the tool answered.`,
        }),
      }),
      { errors: { noMatch: message`Give the answer with --text TEXT or --file FILE` } },
    ),
  }),
  {
    brief: message`A tool's answer on its way back to the model.`,
    footer: message`Example: aasm check result search --text 'nothing found'`,
  },
);

/** The action grammar. */
export const action = or(tool, file, net, exec, llm, result);

/** An action in words, before any file is read. */
export type ActionWords = InferValue<typeof action>;

const who_options = {
  agent: optional(
    option("--agent", name("ID"), { description: message`Agent id; none is unattributed.` }),
  ),
  org: optional(option("--org", name("ID"), { description: message`Organisation of the agent.` })),
  team: optional(option("--team", name("ID"), { description: message`Team of the agent.` })),
};

/** Who asks the gateway. */
export const claimant = object("Who asks", {
  ...who_options,
  token: optional(option("--token", name("TOKEN|@FILE"), {
    description: message`Credential token of a registered agent, or the file that holds it.`,
  })),
  trace: optional(option("--trace", name("ID"), {
    description: message`Trace id; a new one otherwise.`,
  })),
});

/** Who asks, as a local decision is told. */
export const subject = object("Who asks", {
  ...who_options,
  level: optional(
    option("--level", integer("0-3", 0, 3), { description: message`Governance level.` }),
  ),
  risk_tier: optional(
    option("--risk-tier", oneOf("TIER", ["low", "medium", "high", "critical"]), {
      description: message`Registered risk tier.`,
    }),
  ),
  depth: optional(
    option("--depth", integer("N", 0, 9), { description: message`Delegation depth.` }),
  ),
  status: withDefault(
    option("--status", oneOf("STATUS", ["active", "suspended", "deregistered", "stale"])),
    "active",
  ),
});
