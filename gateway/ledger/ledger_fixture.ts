/**
 * Shared by the tests of this folder: a ledger over any store, a few agents, policy texts, a clock.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Action, llmCall } from "../../core/action.ts";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { conservationProblem, DEFAULT_PRICING } from "../../core/ledger/mod.ts";
import { compilePolicySet, type PolicySet } from "../../core/policy/compile.ts";
import { load } from "../../core/policy/policy_fixture.ts";
import type { Principal } from "../../core/principal.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Clock } from "../clock.ts";
import type { Reserve } from "../engine/parts.ts";
import { BudgetAlerts } from "./alerts.ts";
import { Bindings } from "./bindings.ts";
import { expireReservations } from "./expiry.ts";
import { Journal } from "./journal.ts";
import { Ledger } from "./ledger.ts";
import { loadLedger } from "./load.ts";
import { Statements } from "./statement.ts";

/** An agent of the fixture. */
export interface FixtureAgent {
  readonly key: string;
  readonly org?: string;
  readonly team?: string;
  readonly parent?: string;
}

/** One day in milliseconds. */
export const DAY_MS = 86_400_000;

/** Noon of a day in a month of 31. */
export const START_MS = Date.UTC(2026, 2, 4, 12);

/** A thousand prompt tokens of it cost one dollar cent and a half. */
export const OPUS = "claude-3-opus";

/** A ledger with its surroundings. */
export class LedgerWorld {
  now_ms = START_MS;
  readonly entries: EntryDraft[] = [];
  readonly statements: Statements;
  #ids = 0;

  private constructor(
    readonly ledger: Ledger,
    readonly journal: Journal,
    readonly bindings: Bindings,
    readonly store: Pick<StateStore, "commit" | "records">,
    private readonly principals: ReadonlyMap<string, Principal>,
    registry: ConstructorParameters<typeof Statements>[2],
  ) {
    this.statements = new Statements(ledger, bindings, registry);
  }

  /** Opens the ledger that a store holds. */
  static async open(
    texts: readonly string[],
    agents: readonly FixtureAgent[] = [{ key: "a1" }],
    store: Pick<StateStore, "commit" | "records"> = new MemoryStore(),
    first_id = 0,
  ): Promise<LedgerWorld> {
    const loaded = await loadLedger(store);
    const journal = new Journal({ store, ...loaded });
    const principals = new Map(agents.map((agent) => [agent.key, principalOf(agent)]));
    const policy: PolicySet = compilePolicySet(load(...texts));
    const registry = registryOf(agents, principals);
    const bindings = new Bindings(registry, () => policy);
    const made: { world?: LedgerWorld } = {};
    const clock: Clock = {
      now_ms: () => made.world?.now_ms ?? START_MS,
      now_ns: () => BigInt(made.world?.now_ms ?? START_MS) * 1_000_000n,
      monotonic_us: () => 0,
    };
    const alerts = new BudgetAlerts({
      ledger: () => ledger,
      record: (entry) => {
        made.world?.entries.push(entry);
        return Promise.resolve();
      },
      clock,
      onLost: () => assert.fail("an alert was lost"),
    });
    const ledger: Ledger = new Ledger({
      state: loaded.state,
      journal,
      pricing: DEFAULT_PRICING,
      newId: () => `r${made.world?.nextId() ?? 0}`,
      ancestors: (key, action) => bindings.ancestors(key, action, clock.now_ms()),
      onCharge: (limits, asked) => alerts.charged(limits, asked),
      onBreach: (breach, asked) => alerts.breached(breach, asked),
    });
    made.world = new LedgerWorld(ledger, journal, bindings, store, principals, registry);
    made.world.#ids = first_id;
    return made.world;
  }

  /** Number of the next reservation. */
  nextId(): number {
    return this.#ids++;
  }

  /** A principal of the fixture. */
  principal(key: string): Principal {
    return this.principals.get(key) ?? {
      assurance: "asserted",
      agent_id: key,
      engine_key: key,
      status: "active",
    };
  }

  /** Reserves one call. */
  reserve(
    action: Action,
    options: {
      readonly key?: string;
      readonly settles?: boolean;
      /** Only charged, whatever the limits say. */
      readonly noted?: boolean;
    } = {},
  ): Reserve {
    const principal = this.principal(options.key ?? "a1");
    return this.ledger[options.noted === true ? "note" : "reserve"]({
      principal,
      record: undefined,
      action,
      now_ms: this.now_ms,
      trace_id: "",
      budgets: this.bindings.budgetsOf(principal, action),
      settles: options.settles ?? false,
    });
  }

  /** Reserves a call of `tokens` prompt tokens of a model and says what came of it in one word. */
  call(tokens: number, key = "a1", model = OPUS): string {
    const reserve = this.reserve(llmCall(model, tokens, false), { key });
    return reserve.outcome === "denied" ? reserve.reason : reserve.outcome;
  }

  /** What an account has spent in all, in micro-dollars. */
  spent(owner: string): number {
    return this.ledger.state.account(owner)?.spent.micro_usd ?? 0;
  }

  /** Ends what has expired. */
  expire(): void {
    expireReservations(this.ledger, this.now_ms);
  }

  /** Asserts that money is conserved. */
  assertConserved(): void {
    assert.equal(conservationProblem(this.ledger.state), undefined);
  }
}

function principalOf({ key, org = "o1", team = "t1" }: FixtureAgent): Principal {
  return {
    assurance: "bound",
    agent_id: key,
    engine_key: key,
    registry_key: key,
    ...(org === "" ? {} : { org_id: org }),
    ...(team === "" ? {} : { team_id: team }),
    status: "active",
  };
}

function registryOf(
  agents: readonly FixtureAgent[],
  principals: ReadonlyMap<string, Principal>,
): ConstructorParameters<typeof Statements>[2] & ConstructorParameters<typeof Bindings>[0] {
  const records = agents.map(({ key, org = "o1", team = "t1", parent }) => ({
    key,
    org_id: org,
    team_id: team,
    agent_id: key,
    orphaned: false,
    state: { status: "active" },
    ...(parent === undefined ? {} : { parent_key: parent }),
  }));
  type Stub =
    & ConstructorParameters<typeof Statements>[2]
    & ConstructorParameters<typeof Bindings>[0];
  return {
    byKey: (key: string) => records.find((record) => record.key === key),
    principalOf: (record: { readonly key: string }) => principals.get(record.key),
    list: () => ({ agents: records }),
  } as unknown as Stub;
}
