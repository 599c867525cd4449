/**
 * The policies that operators of a run switch between: budgets of every scope, rate limits,
 * approvals, a schedule across a change of daylight saving time, and a file that is no policy.
 *
 * @module
 */
import { compilePolicySet, type PolicySet } from "../../core/policy/compile.ts";
import type { PolicyDocument } from "../../core/policy/document.ts";
import { loadPolicy } from "../../core/policy/load.ts";

/** Zone of every budget and schedule of a run. */
export const ZONE = "America/New_York";

function source(limits: { readonly agent: number; readonly team: number; readonly org: number }) {
  return `scope: global
tools:
  bash: { allow: false }
  search: { allow: true, limit_per_hour: 40 }
  deploy: { allow: true, requires_approval_if: 'tool == "deploy"' }
  refund: { allow: true, requires_approval_if: 'tool == "refund"' }
  "*": { allow: true }
network: { allowlist: ["*.example.com"] }
data: { credential_action: redact_only }
budget:
  daily_limit_usd: ${limits.agent}
  monthly_limit_usd: ${limits.agent * 4}
  team_daily_limit_usd: ${limits.team}
  team_monthly_limit_usd: ${limits.team * 3}
  org_daily_limit_usd: ${limits.org}
  org_monthly_limit_usd: ${limits.org * 2}
  timezone: ${ZONE}
`;
}

const TEAM = `scope: team:blue
tools:
  search: { allow: true, limit_per_hour: 10 }
  "*": { allow: true }
budget:
  daily_limit_usd: 6
  timezone: ${ZONE}
  action_on_exceed: suspend
`;

const NIGHT = `scope: team:red
schedule:
  active_hours: { start: "01:30", end: "22:00", timezone: ${ZONE} }
tools:
  "*": { allow: true }
`;

const FORMS: readonly (readonly string[])[] = [
  [source({ agent: 10, team: 25, org: 40 })],
  [source({ agent: 10, team: 25, org: 40 }), TEAM],
  [source({ agent: 5, team: 12, org: 20 }), TEAM, NIGHT],
  [source({ agent: 50, team: 80, org: 100 }), NIGHT],
];

/** How many policies there are to switch between. */
export const POLICY_FORMS = FORMS.length;

let documents: readonly (readonly PolicyDocument[])[] | undefined;

/** One of the policies, compiled. */
export function policyForm(form: number, epoch: number): PolicySet {
  documents ??= FORMS.map((texts) =>
    texts.map((text, at) => {
      const loaded = loadPolicy(`${at}.yaml`, new TextEncoder().encode(text), {});
      if (loaded.ok) return loaded.document;
      throw new Error(`a policy of the simulation is invalid: ${JSON.stringify(loaded.problems)}`);
    })
  );
  return compilePolicySet(documents[form % FORMS.length] ?? [], { epoch });
}
