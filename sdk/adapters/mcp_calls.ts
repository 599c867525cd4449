/**
 * The calls of one MCP connection between their arrival and their answer: which are held, which run,
 * and by which tool a result was made.
 *
 * @module
 */

import { ADAPTER_LIMITS } from "./limits.ts";

/** A JSON-RPC id. */
export type CallId = string | number;

/** What an answer on its way out belongs to. */
export type Answered =
  | { readonly kind: "tool"; readonly tool: string }
  | { readonly kind: "given_up" }
  | { readonly kind: "other" };

/** Calls of one connection, by JSON-RPC id. */
export class McpCalls {
  readonly #held = new Map<CallId, AbortController>();
  readonly #running = new Map<CallId, string>();
  readonly #given_up = new Set<CallId>();
  readonly #tasks = new Map<string, string>();

  /** A call arrived and is asked about. Whoever uses an id twice gives the earlier call up. */
  hold(id: CallId): AbortSignal {
    this.#held.get(id)?.abort();
    const holding = new AbortController();
    this.#held.set(id, holding);
    return holding.signal;
  }

  /** It is not held any more. */
  release(id: CallId, signal: AbortSignal): void {
    if (this.#held.get(id)?.signal === signal) this.#held.delete(id);
  }

  /** It is delivered: its answer will be asked about as the tool's. */
  run(id: CallId, tool: string): void {
    this.#given_up.delete(id);
    this.#running.set(id, tool);
  }

  /**
   * The peer gave a call up.
   *
   * @returns Whether it was held, so that nobody else knows of it.
   */
  giveUp(id: unknown): boolean {
    if (typeof id !== "string" && typeof id !== "number") return false;
    const holding = this.#held.get(id);
    holding?.abort();
    this.#held.delete(id);
    if (this.#running.delete(id)) {
      this.#given_up.add(id);
      for (const oldest of this.#given_up) {
        if (this.#given_up.size <= ADAPTER_LIMITS.mcp_calls_given_up) break;
        this.#given_up.delete(oldest);
      }
    }
    return holding !== undefined;
  }

  /** The connection is gone. */
  end(): void {
    for (const holding of this.#held.values()) holding.abort();
    this.#held.clear();
    this.#running.clear();
    this.#given_up.clear();
  }

  /** An answer goes out. */
  finish(id: CallId): Answered {
    if (this.#given_up.delete(id)) return { kind: "given_up" };
    const tool = this.#running.get(id);
    this.#running.delete(id);
    return tool === undefined ? { kind: "other" } : { kind: "tool", tool };
  }

  /** A call became a task, whose result is asked for later. */
  becameTask(task: string, tool: string): void {
    this.#tasks.set(task, tool);
    for (const oldest of this.#tasks.keys()) {
      if (this.#tasks.size <= ADAPTER_LIMITS.mcp_tasks_remembered) return;
      this.#tasks.delete(oldest);
    }
  }

  /** The tool of a task. */
  toolOf(task: unknown): string {
    return this.#tasks.get(String(task)) ?? "tasks/result";
  }
}
