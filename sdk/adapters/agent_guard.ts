/**
 * The guard that every adapter takes, over a governed agent.
 *
 * @module
 */
import type { Act } from "../act.ts";
import { CredentialLeakBlockedError } from "../errors.ts";
import type { CheckOptions, Clearance } from "../governed_agent.ts";
import type { Guard } from "./guard.ts";
import { plainView } from "./plain_view.ts";

/** What a guard needs of a governed agent. */
export interface Checker {
  /** Resolves only when the act may happen. */
  check<A extends Act>(act: A, options?: CheckOptions): Promise<Clearance<A>>;
}

/**
 * The guard of an agent: what `govern()` or `initAssembly()` returned asks for every adapter.
 *
 * ```ts ignore
 * const guard = guardOf(agent);
 * const tools = guardTools(guard, { search, sendMail });
 * ```
 */
export function guardOf(agent: Checker): Guard {
  return {
    async beforeTool({ tool, args, source, signal }) {
      const { view, exact } = plainView(args ?? {});
      const { act } = await agent.check(
        { kind: "tool_call", tool, args: view, ...labelled(source) },
        waiting(signal),
      );
      const allowed = JSON.stringify(act.args);
      if (!exact) {
        // What was shown is not what runs: nothing can be cut out of what runs.
        if (allowed === JSON.stringify(view)) return args;
        throw new CredentialLeakBlockedError({
          act: `tool \`${tool}\``,
          reason: "a secret cannot be cut out of arguments that are no plain data",
          policy_rule: "",
          changes: [{ text: "give the tool's schema no transformations", who: "developer" }],
        });
      }
      // Arguments that were changed while the answer was waited for are not what was allowed.
      return JSON.stringify(args ?? {}) === allowed ? args : act.args;
    },
    async afterTool({ tool, result, source, signal }) {
      if (result === undefined) return result;
      const { view, exact } = plainView(result);
      const { act } = await agent.check(
        { kind: "tool_result", tool, result: view, ...labelled(source) },
        waiting(signal),
      );
      const shown = JSON.stringify(act.result);
      if (exact) return JSON.stringify(result) === shown ? result : act.result;
      return JSON.stringify(view) === shown ? result : act.result;
    },
    async beforeModel({ model, prompt_tokens, signal }) {
      await agent.check({ kind: "llm_call", model, prompt_tokens }, waiting(signal));
    },
  };
}

function labelled(source: string | undefined): { readonly source?: string } {
  return source === undefined ? {} : { source };
}

function waiting(signal: AbortSignal | undefined): CheckOptions {
  return signal === undefined ? {} : { signal };
}
