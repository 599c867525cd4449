/**
 * The grammar of `aasm policy replay | simulate | learn`: recorded or single actions under another
 * policy. They ask the gateway; with `--facts` replay and learning read a copy of its facts instead.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { command, constant, flag, option } from "@optique/core/primitives";
import { action, claimant } from "./action.ts";
import { name, path, type Since, since, time } from "./values.ts";

const WEEK: Since = { ago_ms: 7 * 24 * 60 * 60 * 1000 };

const window_options = object("Window", {
  since: withDefault(
    option("--since", since(), { description: message`Where the window begins.` }),
    WEEK,
  ),
  until: optional(
    option("--until", time(), { description: message`Where it ends, exclusive; now otherwise.` }),
  ),
});

const offline_options = object("Without a gateway", {
  facts: optional(option("--facts", path("DIR", "directory"), {
    description: message`Directory with a copy of the gateway's facts.`,
  })),
  facts_key: optional(option("--facts-key", path("FILE"), {
    description: message`Their key: facts.key of the state directory.`,
  })),
  base: optional(option("--base", path("FILE|DIR", "any"), {
    description: message`Policy to compare with; the one in force otherwise.`,
  })),
});

/** `policy replay`. */
export const replay = command(
  "replay",
  merge(
    object({
      command: constant("policy replay"),
      proposed: option("--proposed", path("FILE|DIR", "any"), {
        description: message`The policy to try.`,
      }),
      fail_on_flip: withDefault(
        flag("--fail-on-flip", {
          description: message`Exit with 7 when any outcome differs or is undecidable.`,
        }),
        false,
      ),
    }),
    window_options,
    offline_options,
  ),
  {
    brief: message`Recorded actions under a proposed policy: what would have come out otherwise.`,
    footer: message`Example: aasm policy replay --proposed policies/strict.yaml --since 7d`,
  },
);

/** `policy simulate`. */
export const simulate = command(
  "simulate",
  merge(
    object({
      command: constant("policy simulate"),
      proposed: optional(option("--proposed", path("FILE|DIR", "any"), {
        description: message`Decide under this policy; under the one in force otherwise.`,
      })),
    }),
    claimant,
    object({ action }),
  ),
  {
    brief: message`One action, explained; nothing is recorded, counted or spent.`,
    footer: message`Example: aasm policy simulate --proposed policies/strict.yaml tool bash`,
  },
);

/** `policy learn`. */
export const learn = command(
  "learn",
  merge(
    object({
      command: constant("policy learn"),
      agent: optional(option("--agent", name("ID"), {
        description: message`Only this agent's actions, for a policy of its own.`,
      })),
      output_file: optional(option("--out", path("FILE"), {
        description: message`Write the policy there; it must not exist yet.`,
      })),
    }),
    window_options,
    offline_options,
  ),
  {
    brief: message`The smallest policy that covers what was allowed, and what it leaves out.`,
    footer: message`Example: aasm policy learn --since 7d --agent researcher-1`,
  },
);
