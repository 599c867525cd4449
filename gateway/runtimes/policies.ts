/**
 * The last policy sets in force, by digest: what a runtime decided a moment ago is looked at again
 * with the policy of that moment.
 *
 * @module
 */
import type { PolicySet } from "../../core/policy/compile.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";

/** Remembers sets; bounded, the oldest goes first. */
export class RememberedPolicies {
  readonly #by_digest = new Map<string, PolicySet>();

  /** Notes the set in force. */
  note(digest: string, set: PolicySet): void {
    this.#by_digest.delete(digest);
    this.#by_digest.set(digest, set);
    if (this.#by_digest.size <= RUNTIME_ROOM_LIMITS.policies_remembered) return;
    for (const oldest of this.#by_digest.keys()) {
      this.#by_digest.delete(oldest);
      break;
    }
  }

  /** The set in force. */
  get newest(): PolicySet | undefined {
    return [...this.#by_digest.values()].at(-1);
  }

  /** A set by its digest, when it is still known. */
  find(digest: string): PolicySet | undefined {
    return this.#by_digest.get(digest);
  }
}
