/**
 * An action without what must not be kept: arguments, results, command lines. What is left are names:
 * tool, model, path, host, program.
 *
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { hash } from "node:crypto";
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
  return namesOnly(context, action, undefined, keptText);
}

/** The names as they may be kept, in the form of the wire. */
export function keptNameBytes(
  context: policy.ActionContext | undefined,
  action: Action | undefined,
): Uint8Array {
  const said = context?.action;
  // The one kind of call that comes by the thousand, and whose names come again.
  const tool =
    said?.case === "toolCall" && (action === undefined || modelCallOf(action) === undefined)
      ? said.value.toolName
      : undefined;
  const known = tool === undefined ? undefined : tool_bytes.get(tool);
  if (known !== undefined) return known;
  const bytes = toBinary(policy.ActionContextSchema, keptNames(context, action));
  if (tool !== undefined && tool.length <= REMEMBERED_CHARS_MAX) {
    if (tool_bytes.size >= REMEMBERED_MAX) tool_bytes.clear();
    tool_bytes.set(tool, bytes);
  }
  return bytes;
}

/** Texts whose kept form is remembered; at the bound all are forgotten and made again. */
const REMEMBERED_MAX = 4_096;
/** Longer texts are scanned every time. */
const REMEMBERED_CHARS_MAX = 256;
const tool_bytes = new Map<string, Uint8Array>();
const kept_texts = new Map<string, string>();

/** A name without credentials: names of tools, traces and agents come again and again. */
export function keptText(text: string): string {
  if (text === "") return text;
  const known = kept_texts.get(text);
  if (known !== undefined) return known;
  const kept = clean(text);
  if (text.length <= REMEMBERED_CHARS_MAX) {
    if (kept_texts.size >= REMEMBERED_MAX) kept_texts.clear();
    kept_texts.set(text, kept);
  }
  return kept;
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
  readonly #key: string;

  constructor(key: Uint8Array = crypto.getRandomValues(new Uint8Array(32))) {
    this.#key = key.toHex();
  }

  /** The tag of a tool call's arguments; empty for any other action. */
  of(action: Action | undefined): Uint8Array {
    if (action?.kind !== "tool_call" || action.llm !== undefined) return NO_TAG;
    // A key before the text makes a keyed hash here: of the digest too little is kept to extend it.
    return Uint8Array.fromHex(hash("sha256", this.#key + action.args, "hex").slice(0, 16));
  }
}

const NO_TAG = new Uint8Array();
