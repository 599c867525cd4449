/**
 * A guard that follows a script instead of a policy, and remembers what it was asked. It cuts secrets
 * with the scanner that the gateway uses.
 *
 * @module
 */
import { DEFAULT_SCANNER, redact } from "@agent-assembly/core/scanner";
import type { Guard, ModelCall, ToolCall, ToolOutcome } from "../adapters/guard.ts";

/** Amazon's own documentation example. */
export const LEAKED_KEY = "AKIAIOSFODNN7EXAMPLE";
/** What stands in its place. */
export const LABEL = "[REDACTED:AwsAccessKey]";
/** Part of every denial: the rule, and the next step. */
export const RULE = "tools.delete_repository.allow";
export const NEXT_STEP = "ask an operator to set it to true";
/** What is said when nobody can decide. */
export const AWAY = "gateway unreachable: nothing is allowed until it answers";

/** A denial as the SDK words it. */
export class ScriptedDenial extends Error {
  override readonly name = "PolicyViolationError";
}

/** Everything asked of the guard, and the people who decide what it holds. */
export class ScriptedGuard implements Guard {
  readonly calls: ToolCall[] = [];
  readonly outcomes: ToolOutcome[] = [];
  readonly models: ModelCall[] = [];
  /** True while nobody can decide. */
  away = false;
  readonly #held: { readonly call: ToolCall; readonly decide: (granted: boolean) => void }[] = [];
  #wake: () => void = () => {};

  async beforeTool(call: ToolCall): Promise<unknown> {
    this.calls.push(call);
    if (this.away) throw new ScriptedDenial(AWAY);
    if (call.tool === "delete_repository") {
      throw new ScriptedDenial(`denied by ${RULE}: tool denied by policy; ${NEXT_STEP}`);
    }
    if (call.tool === "deploy") await this.#personDecides(call);
    return redacted(call.args);
  }

  afterTool(outcome: ToolOutcome): Promise<unknown> {
    this.outcomes.push(outcome);
    if (this.away) return Promise.reject(new ScriptedDenial(AWAY));
    return Promise.resolve(redacted(outcome.result));
  }

  beforeModel(call: ModelCall): Promise<void> {
    this.models.push(call);
    return call.model === "forbidden-model"
      ? Promise.reject(new ScriptedDenial("denied by tools.llm_call: another model is needed"))
      : Promise.resolve();
  }

  /** Decides the oldest held call, once there is one. */
  async decide(granted: boolean): Promise<ToolCall> {
    while (this.#held.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const held = this.#held.shift();
    if (held === undefined) throw new Error("nothing is held");
    held.decide(granted);
    return held.call;
  }

  async #personDecides(call: ToolCall): Promise<void> {
    const granted = await new Promise<boolean>((resolve) => {
      this.#held.push({ call, decide: resolve });
      this.#wake();
    });
    if (!granted) throw new ScriptedDenial("approval rejected by ops: choose staging instead");
  }
}

/** The value itself, or a copy whose texts hold labels in place of secrets. */
export function redacted(value: unknown): unknown {
  if (typeof value === "string") return redact(value, DEFAULT_SCANNER.scan(value));
  if (Array.isArray(value)) {
    const copy = value.map(redacted);
    return copy.every((item, index) => item === value[index]) ? value : copy;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    const copy = entries.map(([key, item]) => [key, redacted(item)] as const);
    if (copy.every(([, item], index) => item === entries[index]?.[1])) return value;
    return Object.fromEntries(copy);
  }
  return value;
}
