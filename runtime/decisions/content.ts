/**
 * An action without what must not be kept: arguments, results, command lines. What is left are names:
 * tool, model, path, host, program.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { createHmac } from "node:crypto";
import type { Action } from "../../core/action.ts";
import { clean } from "../../core/audit/clean_text.ts";
import { modelCallOf } from "../../core/ledger/call_price.ts";
import { policy } from "../../proto/mod.ts";

/**
 * The same action by its names alone.
 *
 * @param prompt_tokens For a model call: a number to put in the place of its own.
 * @param keep What becomes of each name. @default as it is
 */
export function namesOnly(
  context: policy.ActionContext | undefined,
  action: Action | undefined,
  prompt_tokens?: number,
  keep: (name: string) => string = (name) => name,
): policy.ActionContext {
  const call = action === undefined ? undefined : modelCallOf(action);
  if (call !== undefined) {
    const promptTokens = int32(prompt_tokens ?? call.prompt_tokens);
    return create(policy.ActionContextSchema, {
      action: { case: "llmCall", value: { model: keep(call.model), promptTokens } },
    });
  }
  const said = context?.action;
  switch (said?.case) {
    case "llmCall": {
      // A call that nobody judged has no action: what it says itself is all that there is.
      const promptTokens = int32(prompt_tokens ?? said.value.promptTokens);
      return create(policy.ActionContextSchema, {
        action: { case: "llmCall", value: { model: keep(said.value.model), promptTokens } },
      });
    }
    case "toolCall":
      return create(policy.ActionContextSchema, {
        action: { case: "toolCall", value: { toolName: keep(said.value.toolName) } },
      });
    case "toolResult":
      return create(policy.ActionContextSchema, {
        action: { case: "toolResult", value: { toolName: keep(said.value.toolName) } },
      });
    case "fileOp": {
      const { operation, path } = said.value;
      return create(policy.ActionContextSchema, {
        action: { case: "fileOp", value: { operation, path: keep(path) } },
      });
    }
    case "networkCall": {
      const { host, port, protocol } = said.value;
      return create(policy.ActionContextSchema, {
        action: {
          case: "networkCall",
          value: { host: keep(host), port, protocol: keep(protocol) },
        },
      });
    }
    case "processExec":
      return create(policy.ActionContextSchema, {
        action: { case: "processExec", value: { command: keep(programOf(said.value.command)) } },
      });
    default:
      return create(policy.ActionContextSchema, {});
  }
}

/** The names as they may be kept. */
export function keptNames(
  context: policy.ActionContext | undefined,
  action: Action | undefined,
): policy.ActionContext {
  return namesOnly(context, action, undefined, clean);
}

/** A caller may put its whole command line into the field for the program. */
function programOf(command: string): string {
  const end = command.search(/\s/);
  return end < 0 ? command : command.slice(0, end);
}

function int32(value: number): number {
  return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? value : 0;
}

/** Tells calls with the same content from others, for whoever has the key; 8 bytes. */
export class ContentTags {
  /** Dies with the process: nobody can try out contents against what is kept. */
  readonly #key: Uint8Array;

  constructor(key: Uint8Array = crypto.getRandomValues(new Uint8Array(32))) {
    this.#key = key;
  }

  /** The tag of a tool call's arguments; empty for any other action. */
  of(action: Action | undefined): Uint8Array {
    if (action?.kind !== "tool_call" || action.llm !== undefined) return new Uint8Array();
    return createHmac("sha256", this.#key).update(action.args).digest().subarray(0, 8);
  }
}
