/**
 * What people see of the ledger: one row a limit and account, the tree of spend, forecasts.
 *
 * @module
 */
import {
  agentOwner,
  type Dimension,
  type Forecast,
  forecastMonth,
  GLOBAL_OWNER,
  levelAt,
  type LimitLine,
  linesOf,
  orgOwner,
  type OwnerKind,
  ownerKind,
  percentOf,
  subtreeOwner,
  teamOwner,
  tenantOfOwner,
  windowEnd,
  windowKey,
  type WindowSpec,
} from "../../core/ledger/mod.ts";
import type { Principal } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Registry } from "../registry/registry.ts";
import type { Bindings } from "./bindings.ts";
import type { Ledger } from "./ledger.ts";
import { LEDGER_ROOM_LIMITS } from "./limits.ts";

/** Whose an account is, for people and for tenancy. */
export interface AccountName {
  readonly owner: string;
  readonly scope: OwnerKind;
  /** Agent key, team id, organisation id, `global`. */
  readonly id: string;
  /** Agent id; the id again for everything else. */
  readonly name: string;
  readonly org_id: string;
  readonly team_id: string;
}

/** One window of one account, with its limit when there is one. */
export interface StatementRow extends AccountName {
  readonly window: WindowSpec;
  readonly dimension: Dimension;
  readonly spent: number;
  readonly reserved: number;
  readonly limit?: number;
  readonly remaining?: number;
  readonly percent_used?: number;
  /** Absent while a short window has not begun. */
  readonly ends_at_ms?: number;
  readonly line?: LimitLine;
}

/** One node of the tree of spend. */
export interface TreeNode {
  readonly id: string;
  readonly kind: "org" | "team" | "agent";
  readonly label: string;
  readonly depth: number;
  readonly own_daily_micro_usd: number;
  readonly own_monthly_micro_usd: number;
  readonly subtree_daily_micro_usd: number;
  readonly subtree_monthly_micro_usd: number;
  readonly daily_limit_micro_usd?: number;
  readonly monthly_limit_micro_usd?: number;
  readonly children: readonly TreeNode[];
}

const DAY: WindowSpec = { kind: "daily", zone: "UTC" };
const MONTH: WindowSpec = { kind: "monthly", zone: "UTC" };
const ORDER: readonly OwnerKind[] = ["agent", "team", "org", "subtree", "global"];

/** Reads the ledger for people. Changes nothing. */
export class Statements {
  readonly #ledger: Ledger;
  readonly #bindings: Bindings;
  readonly #registry: Pick<Registry, "byKey" | "list">;

  constructor(
    ledger: Ledger,
    bindings: Bindings,
    registry: Pick<Registry, "byKey" | "list">,
  ) {
    this.#ledger = ledger;
    this.#bindings = bindings;
    this.#registry = registry;
  }

  /** Every account, narrowest scope first (contract §6.5), in a stable order. */
  accounts(): AccountName[] {
    const names = [...this.#ledger.state.accounts.keys()].map((owner) => this.nameOf(owner));
    return names.toSorted((a, b) =>
      ORDER.indexOf(a.scope) - ORDER.indexOf(b.scope) || (a.owner < b.owner ? -1 : 1)
    );
  }

  /** What people call an account. */
  nameOf(owner: string): AccountName {
    const scope = ownerKind(owner) ?? "agent";
    if (scope === "agent" || scope === "subtree") {
      const id = owner.slice(scope.length + 1);
      const record = this.#registry.byKey(id);
      const { agent_id = id, org_id = "", team_id = "" } = record ?? {};
      return { owner, scope, id, name: agent_id, org_id, team_id };
    }
    if (scope === "global") {
      return { owner, scope, id: owner, name: owner, org_id: "", team_id: "" };
    }
    const { org_id = "", team_id = "" } = tenantOfOwner(owner) ?? {};
    const id = scope === "team" ? team_id : org_id;
    return { owner, scope, id, name: id, org_id, team_id };
  }

  /** The rows of one account: its limits, and day and month where nothing limits them. */
  rowsOf(name: AccountName, now_ms: number): StatementRow[] {
    const { owner, scope } = name;
    const lines = this.#bindings.budgetsOfOwner(owner, now_ms)
      .flatMap(linesOf).filter((line) => line.owner === scope);
    const rows: StatementRow[] = [];
    const shown = new Set<string>();
    for (const line of lines) {
      shown.add(`${windowKey(line.window)} ${line.dimension}`);
      rows.push(this.#row(name, line.window, line.dimension, now_ms, line));
    }
    for (const window of [DAY, MONTH]) {
      if (shown.has(`${windowKey(window)} micro_usd`)) continue;
      rows.push(this.#row(name, window, "micro_usd", now_ms));
    }
    return rows;
  }

  #row(
    name: AccountName,
    window: WindowSpec,
    dimension: Dimension,
    now_ms: number,
    line?: LimitLine,
  ): StatementRow {
    const { state } = this.#ledger;
    const account = state.account(name.owner);
    const level = levelAt(account, window, now_ms, state.steady(now_ms));
    const spent = level.spent[dimension];
    const reserved = level.reserved[dimension];
    const ends_at_ms = windowEnd(account, window, now_ms);
    return {
      ...name,
      window,
      dimension,
      spent,
      reserved,
      ...(ends_at_ms === undefined ? {} : { ends_at_ms }),
      ...(line === undefined ? {} : {
        line,
        limit: line.limit,
        remaining: Math.max(0, line.limit - spent - reserved),
        percent_used: Math.min(0x7fff_ffff, percentOf(spent, line.limit)),
      }),
    };
  }

  /** Forecast of an account's running month, in the time zone of its tightest monthly limit. */
  forecast(name: AccountName, now_ms: number): Forecast & { zone: string; limit?: number } {
    const { state } = this.#ledger;
    const tightest = this.#tightest(name.owner, name.scope, "monthly", now_ms);
    const window = tightest?.window ?? MONTH;
    const zone = window.kind === "short" ? "UTC" : window.zone;
    const spent =
      levelAt(state.account(name.owner), { kind: "monthly", zone }, now_ms, now_ms).spent.micro_usd;
    const limit = tightest?.limit;
    return {
      ...forecastMonth(zone, now_ms, spent, limit),
      zone,
      ...(limit === undefined ? {} : { limit }),
    };
  }

  /** Whether a registered agent is within every money limit that its documents state. */
  withinBudget(record: AgentRecord, principal: Principal, now_ms: number): boolean {
    const { state } = this.#ledger;
    if (this.#ledger.unavailable !== undefined) return false;
    return this.#bindings.limitsOf(record, now_ms).every(({ line, owner }) => {
      if (!this.#ledger.countable(line.window, now_ms)) return false;
      const account = state.account(owner);
      const level = levelAt(account, line.window, now_ms, state.steady(now_ms));
      return level.spent[line.dimension] < line.limit;
    }) && principal.status !== "deregistered";
  }

  /** Monthly limit of a team minus its spend, in micro-dollars; `undefined` without a limit. */
  teamRemaining(org_id: string, team_id: string, now_ms: number): number | undefined {
    const owner = teamOwner(org_id, team_id);
    const line = this.#tightest(owner, "team", "monthly", now_ms);
    if (line === undefined || !this.#ledger.countable(line.window, now_ms)) return undefined;
    const { state } = this.#ledger;
    const level = levelAt(state.account(owner), line.window, now_ms, state.steady(now_ms));
    return line.limit - level.spent.micro_usd;
  }

  #tightest(
    owner: string,
    scope: OwnerKind,
    word: "daily" | "monthly",
    now_ms: number,
  ): LimitLine | undefined {
    return this.#bindings.budgetsOfOwner(owner, now_ms).flatMap(linesOf)
      .filter((line) =>
        line.owner === scope && line.word === word && line.dimension === "micro_usd"
      )
      .reduce<LimitLine | undefined>(
        (least, line) => least === undefined || line.limit < least.limit ? line : least,
        undefined,
      );
  }

  /**
   * Organisations, their teams, their agents by lineage, with what each and its subtree spent.
   *
   * @param visible Which agents the asker may see.
   * @returns The trees, and how many agents were left out at the bound.
   */
  tree(
    visible: (record: AgentRecord) => boolean,
    now_ms: number,
  ): { readonly roots: TreeNode[]; readonly omitted: number } {
    const agents: AgentRecord[] = [];
    let omitted = 0;
    let page_token = "";
    do {
      const page = this.#registry.list({}, 0, page_token);
      for (const record of page.agents) {
        if (record.state.status === "deregistered" || !visible(record)) continue;
        if (agents.length < LEDGER_ROOM_LIMITS.tree_nodes) agents.push(record);
        else omitted++;
      }
      page_token = page.next_page_token ?? "";
    } while (page_token !== "");
    const by_org = Map.groupBy(agents, ({ org_id }) => org_id);
    const roots = [...by_org].map(([org_id, members]) => this.#org(org_id, members, now_ms));
    return { roots, omitted };
  }

  #org(org_id: string, members: readonly AgentRecord[], now_ms: number): TreeNode {
    const by_team = Map.groupBy(members, ({ team_id }) => team_id);
    const children = [...by_team].map(([team_id, agents]) => {
      const owner = team_id === "" ? undefined : teamOwner(org_id, team_id);
      const label = team_id === "" ? "(no team)" : team_id;
      const below = this.#agents(agents, undefined, 2, now_ms);
      return this.#node(label, "team", label, 1, owner, owner, below, now_ms);
    });
    const owner = org_id === "" ? undefined : orgOwner(org_id);
    const label = org_id === "" ? "(no organisation)" : org_id;
    return this.#node(label, "org", label, 0, owner, owner, children, now_ms);
  }

  /** Agents of one team below `parent`; who has no parent among them is a root. */
  #agents(
    members: readonly AgentRecord[],
    parent: string | undefined,
    depth: number,
    now_ms: number,
  ): TreeNode[] {
    const keys = new Set(members.map(({ key }) => key));
    const children = Map.groupBy(
      members,
      ({ parent_key, orphaned }) =>
        parent_key === undefined || orphaned || !keys.has(parent_key) ? undefined : parent_key,
    );
    const below = (key: string | undefined, at: number): TreeNode[] =>
      (children.get(key) ?? []).map(({ key, agent_id }) => {
        const own = agentOwner(key);
        return this.#node(
          key,
          "agent",
          agent_id,
          at,
          own,
          subtreeOwner(key),
          below(key, at + 1),
          now_ms,
        );
      });
    return below(parent, depth);
  }

  #node(
    id: string,
    kind: TreeNode["kind"],
    label: string,
    depth: number,
    own: string | undefined,
    subtree: string | undefined,
    children: readonly TreeNode[],
    now_ms: number,
  ): TreeNode {
    const { state } = this.#ledger;
    const spent = (owner: string | undefined, window: WindowSpec) =>
      owner === undefined
        ? undefined
        : levelAt(state.account(owner), window, now_ms, state.steady(now_ms)).spent.micro_usd;
    const sum = (key: "subtree_daily_micro_usd" | "subtree_monthly_micro_usd") =>
      children.reduce((all, child) => all + child[key], 0);
    const scope = kind === "agent" ? "subtree" : kind;
    const limit = (word: "daily" | "monthly") =>
      subtree === undefined ? undefined : this.#tightest(subtree, scope, word, now_ms)?.limit;
    const [daily, monthly] = [limit("daily"), limit("monthly")];
    return {
      id,
      kind,
      label,
      depth,
      own_daily_micro_usd: kind === "agent" ? spent(own, DAY) ?? 0 : 0,
      own_monthly_micro_usd: kind === "agent" ? spent(own, MONTH) ?? 0 : 0,
      subtree_daily_micro_usd: spent(subtree, DAY) ?? sum("subtree_daily_micro_usd"),
      subtree_monthly_micro_usd: spent(subtree, MONTH) ?? sum("subtree_monthly_micro_usd"),
      ...(daily === undefined ? {} : { daily_limit_micro_usd: daily }),
      ...(monthly === undefined ? {} : { monthly_limit_micro_usd: monthly }),
      children,
    };
  }
}

/** The account that a scope and an id name; `undefined` when the words name none. */
export function ownerNamed(scope: string, id: string): string | undefined {
  switch (scope) {
    case "agent":
      return agentOwner(id);
    case "subtree":
      return subtreeOwner(id);
    case "org":
      return orgOwner(id);
    case "global":
    case "":
      return GLOBAL_OWNER;
    default:
      return undefined;
  }
}
