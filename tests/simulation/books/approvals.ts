/**
 * Who agreed to what, written down beside the approval queue: a grant counts once, for the bytes
 * that a person was shown, and only after that person said yes.
 *
 * @module
 */
import type { ApprovalAsk, ApprovalOutcome, ApprovalsPart } from "../../../gateway/engine/parts.ts";
import type { Verdict } from "../violation.ts";

/** The observer's own account of all approvals. */
export class ApprovalBook {
  readonly #bytes = new Map<string, string>();
  readonly #agreed = new Set<string>();
  readonly #spent = new Set<string>();

  constructor(private readonly verdict: Verdict) {}

  /** Grants used so far. */
  get spent(): number {
    return this.#spent.size;
  }

  /** A person is about to say yes: from here on a grant may exist. */
  agree(request_id: string): void {
    this.#agreed.add(request_id);
  }

  /** Whether an allowed call that needed a person's word had used exactly this grant. */
  wasSpent(request_id: string): boolean {
    return this.#spent.has(request_id);
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

  #seen({ request_id, outcome }: ApprovalOutcome, bytes: string): void {
    if (request_id === "" || outcome === "refused") return;
    const known = this.#bytes.get(request_id);
    if (known === undefined) this.#bytes.set(request_id, bytes);
    else if (known !== bytes) {
      this.verdict.violated("approval", `${request_id} was ${known} and serves ${bytes}`);
    }
  }

  #spend(request_id: string, bytes: string): void {
    if (this.#spent.has(request_id)) {
      this.verdict.violated("approval", `${request_id} was used twice, now for ${bytes}`);
    }
    this.#spent.add(request_id);
  }
}

function bytesOf({ principal, exact, policy_digests, micro_usd, asked_by }: ApprovalAsk): string {
  const { registry_key, agent_id } = principal;
  return JSON.stringify([registry_key, agent_id, exact, policy_digests, micro_usd, asked_by]);
}
