/**
 * What a local decision assumes about the world that only a gateway knows.
 *
 * @module
 */
import type { Facts } from "../core/policy/decide.ts";
import type { Spend } from "../core/policy/budget.ts";
import type { Principal } from "../core/principal.ts";

/** Shown with every local decision, so that nobody takes it for the gateway's. */
export const LOCAL_ASSUMPTIONS =
  "assumes that nothing was spent and no rate allowance was used; the gateway knows: aasm check --dry-run";

/** Every account is known and empty. */
export function nothingSpent(): Spend {
  return {
    state: "known",
    agent_daily_micro_usd: 0,
    agent_monthly_micro_usd: 0,
    team_daily_micro_usd: 0,
    team_monthly_micro_usd: 0,
    org_daily_micro_usd: 0,
    org_monthly_micro_usd: 0,
    global_daily_micro_usd: 0,
    global_monthly_micro_usd: 0,
  };
}

/** Facts of a first question in a fresh world. */
export function freshFacts(principal: Principal, now_ms: number): Facts {
  return {
    now_ms,
    principal,
    rateTokens: (charge) => charge.limit,
    spend: nothingSpent(),
  };
}
