/**
 * Who agreed to what, written down beside the approval queue: a grant counts once, for the bytes
 * that a person was shown, and only after that person said yes.
 *
 * @module
 */
import type { ApprovalRequest } from "../../../core/approval/mod.ts";
import type { ApprovalAsk, ApprovalOutcome, ApprovalsPart } from "../../../gateway/engine/parts.ts";
import type { Verdict } from "../violation.ts";

/** The observer's own account of all approvals. */
export class ApprovalBook {
  readonly #bytes = new Map<string, string>();
  /** How often a person lets the same bytes run. */
  readonly #agreed = new Map<string, number>();
  readonly #spent = new Map<string, number>();

  constructor(private readonly verdict: Verdict) {}

  /** Grants used so far. */
  get spent(): number {
    return this.#spent.values().reduce((sum, uses) => sum + uses, 0);
  }

  /** A person is about to say yes: from here on a grant may exist. */
  agree(request_id: string, uses: number): void {
    this.#agreed.set(request_id, Math.max(uses, this.#agreed.get(request_id) ?? 0));
  }

  /** A queue whose every outcome is written down here. */
  watch(approvals: ApprovalsPart): ApprovalsPart {
    return {
      ask: async (ask) => {
        const bytes = bytesOf(ask);
        const outcome = await approvals.ask(ask);
        this.#seen(outcome, bytes);
        if (outcome.outcome !== "granted") return outcome;
        const { request_id } = outcome;
        if (!this.#agreed.has(request_id)) {
          this.verdict.violated("approval", `${request_id} is granted and nobody agreed to it`);
        }
        return {
          ...outcome,
          spend: async () => {
            const taken = await outcome.spend();
            if (taken) this.#spend(request_id, bytes);
            return taken;
          },
        };
      },
    };
  }

  /** A call that is asked again joins its request: no two wait for the same bytes. */
  checkPending(waiting: readonly ApprovalRequest[]): void {
    const calls = new Set(waiting.map(({ call }) => call.digest));
    if (calls.size === waiting.length) return;
    const what = `${waiting.length} requests wait for ${calls.size} different calls`;
    this.verdict.violated("approval", what);
  }

  #seen({ request_id, outcome }: ApprovalOutcome, bytes: string): void {
    if (request_id === "" || outcome === "refused") return;
    const known = this.#bytes.get(request_id);
    if (known === undefined) this.#bytes.set(request_id, bytes);
    else if (known !== bytes) {
      this.verdict.violated("approval", `${request_id} was ${known} and serves ${bytes}`);
    }
  }

  #spend(request_id: string, bytes: string): void {
    const uses = (this.#spent.get(request_id) ?? 0) + 1;
    const agreed = this.#agreed.get(request_id) ?? 0;
    if (uses > agreed) {
      const what = `${request_id} was used ${uses} times, agreed ${agreed}, now for ${bytes}`;
      this.verdict.violated("approval", what);
    }
    this.#spent.set(request_id, uses);
  }
}

function bytesOf({ principal, exact, policy_digests, micro_usd, asked_by }: ApprovalAsk): string {
  const { registry_key, agent_id } = principal;
  return JSON.stringify([registry_key, agent_id, exact, policy_digests, micro_usd, asked_by]);
}
