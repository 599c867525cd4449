/**
 * Every dispatch rides on exactly one allowed decision: one that was made for the same bytes a moment
 * ago, or one that is made for it now. This remembers the former.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import type { Answered } from "../engine/parts.ts";

/** Allowed tool calls that no dispatch has followed yet. Memory only: what is lost is decided anew. */
export class AllowedCalls {
  readonly #epoch: () => number;
  /** When each was allowed, by policy, agent and bytes; several of the same bytes are several. */
  readonly #calls = new Map<string, number[]>();
  #size = 0;

  /** @param epoch Of the policy in force: what another policy allowed allows no dispatch. */
  constructor(epoch: () => number) {
    this.#epoch = epoch;
  }

  /** Follows the engine's answers. Observed denials are shown as allowed, but allow no dispatch. */
  follow(answered: Answered): void {
    const { principal, action, wire_decision, shadowed, now_ms } = answered;
    if (action.kind !== "tool_call" || wire_decision !== 1 || shadowed) return;
    if (principal.registry_key === undefined) return;
    const key = this.#key(principal.registry_key, action.tool, action.args);
    if (this.#size >= SECRET_LIMITS.decisions) this.#dropOldest();
    const times = this.#calls.get(key) ?? [];
    times.push(now_ms);
    // Moved to the end, so that the first is the one that waited longest.
    this.#calls.delete(key);
    this.#calls.set(key, times);
    this.#size++;
  }

  /** Uses one allowed decision up. @returns Whether there was one. */
  take(agent_key: string, tool: string, args: string, now_ms: number): boolean {
    const key = this.#key(agent_key, tool, args);
    const times = this.#calls.get(key) ?? [];
    // A decision from the future was made before the clock was set back: its age is unknown.
    const good = times.filter((at_ms) =>
      at_ms <= now_ms && now_ms - at_ms <= SECRET_LIMITS.decision_ms
    );
    const taken = good.shift() !== undefined;
    this.#size += good.length - times.length;
    if (good.length > 0) this.#calls.set(key, good);
    else this.#calls.delete(key);
    return taken;
  }

  #dropOldest(): void {
    for (const [key, times] of this.#calls) {
      this.#calls.delete(key);
      this.#size -= times.length;
      return;
    }
  }

  #key(agent_key: string, tool: string, args: string): string {
    const bytes = JSON.stringify([this.#epoch(), agent_key, tool, args]);
    return createHash("sha256").update(bytes).digest("base64");
  }
}
