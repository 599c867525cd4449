/**
 * Leases conserve: whatever a runtime and a gateway go through between them (lost calls, crashes and
 * restarts on both sides, clocks that jump, reports that come late), what was let through is never
 * more than what was counted, and what is counted never passes a limit.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { create } from "@bufbuild/protobuf";
import { conservationProblem, DEFAULT_PRICING, subtreeOwner } from "../../core/ledger/mod.ts";
import { compilePolicySet } from "../../core/policy/compile.ts";
import { load } from "../../core/policy/policy_fixture.ts";
import { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { Principal } from "../../core/principal.ts";
import { expireReservations } from "../../gateway/ledger/expiry.ts";
import { Journal } from "../../gateway/ledger/journal.ts";
import { Ledger } from "../../gateway/ledger/ledger.ts";
import { loadLedger } from "../../gateway/ledger/load.ts";
import { Leases } from "../../gateway/runtimes/leases.ts";
import { policy as wire, runtime } from "../../proto/mod.ts";
import { CallLeases } from "../../runtime/decisions/leases.ts";
import { MemoryStore } from "../../storage/memory/store.ts";

const PRICE = 10_000;
const LIMIT = 1_000_000;
const TOKENS = 320;
const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 2, 4, 9);
const KEY = "a".repeat(32);

const POLICY = compilePolicySet(load(
  "tools: { search: { allow: true, cost_usd: 0.01, limit_per_hour: 320 } }\n" +
    "budget: { daily_limit_usd: 1 }\n",
));

const PRINCIPAL: Principal = {
  assurance: "bound",
  agent_id: "a",
  engine_key: KEY,
  registry_key: KEY,
  status: "active",
};

const ACTION = { kind: "tool_call", tool: "search", args: "" } as const;

const SAMPLE = create(wire.ActionContextSchema, {
  action: { case: "toolCall", value: { toolName: "search" } },
});

type Step =
  | { readonly kind: "call" }
  | { readonly kind: "calls" }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "gateway_clock"; readonly ms: number }
  | { readonly kind: "gateway_restart" }
  | { readonly kind: "runtime_crash" }
  | { readonly kind: "policy" }
  | { readonly kind: "report" }
  | { readonly kind: "lose_next"; readonly half: "request" | "response" };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant<Step>({ kind: "calls" }) },
    { weight: 4, arbitrary: fc.constant<Step>({ kind: "call" }) },
    {
      weight: 4,
      arbitrary: fc.integer({ min: 1, max: 30_000 }).map((ms): Step => ({ kind: "pass", ms })),
    },
    {
      weight: 1,
      arbitrary: fc.integer({ min: -60_000, max: 120_000 })
        .map((ms): Step => ({ kind: "gateway_clock", ms })),
    },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: "gateway_restart" }) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: "runtime_crash" }) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: "policy" }) },
    { weight: 3, arbitrary: fc.constant<Step>({ kind: "report" }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<"request" | "response">("request", "response")
        .map((half): Step => ({ kind: "lose_next", half })),
    },
  ),
  { minLength: 5, maxLength: 60 },
);

/** Both sides, and what was really let through. */
class Pair {
  readonly store = new MemoryStore();
  readonly buckets = new RateBuckets();
  gateway_ms = START_MS;
  furthest_ms = START_MS;
  runtime_us = 0;
  let_through = 0;
  decided_here = 0;
  lose: "request" | "response" | undefined;
  /** Kept on the runtime's disk until the gateway has it. */
  unreported: string[] = [];
  ledger!: Ledger;
  leases!: Leases;
  held!: CallLeases;
  #incarnation = 0;

  async openGateway(): Promise<void> {
    const loaded = await loadLedger(this.store);
    const journal = new Journal({ store: this.store, ...loaded });
    this.ledger = new Ledger({
      state: loaded.state,
      journal,
      pricing: DEFAULT_PRICING,
      newId: () => crypto.randomUUID(),
      ancestors: () => [],
    });
    this.leases = new Leases({
      ledger: this.ledger,
      buckets: this.buckets,
      policy: () => POLICY,
      now_ms: () => this.gateway_ms,
      newId: () => crypto.randomUUID(),
    });
    this.#incarnation++;
  }

  openRuntime(): void {
    this.held = new CallLeases({
      monotonic_us: () => this.runtime_us,
      distrust: (why) => assert.fail(why),
      send: (asks, returns) => this.#serve(asks, returns),
    });
  }

  /** The gateway's end of one lease call; either half may be lost. */
  async #serve(
    asks: readonly runtime.LeaseAsk[],
    returns: readonly runtime.LeaseReturn[],
  ): Promise<readonly runtime.LeaseGrant[]> {
    const { lose } = this;
    this.lose = undefined;
    const incarnation = this.#incarnation;
    await Promise.resolve();
    if (lose === "request") throw new Error("lost on the way");
    const durable = returns.map(({ leaseId, callsUsed }) =>
      this.leases.giveBack(KEY, leaseId, callsUsed)
    );
    const grants = asks.map(({ classId, calls }) => {
      const granted = this.leases.grant({
        principal: PRINCIPAL,
        agent_key: KEY,
        runtime_id: "r",
        action: ACTION,
        calls,
      });
      if (granted.outcome === "refused") {
        return create(runtime.LeaseGrantSchema, { classId, refusal: granted.reason });
      }
      durable.push(granted.durable);
      const { lease_id: leaseId } = granted;
      return create(runtime.LeaseGrantSchema, {
        ...{ classId, leaseId, calls: granted.calls, lastsMs: 15_000 },
      });
    });
    await Promise.all(durable);
    // A gateway that was started anew meanwhile is another stream: nothing of it arrives.
    if (lose === "response" || incarnation !== this.#incarnation) throw new Error("lost");
    return grants;
  }

  call(): void {
    const lease_id = this.held.draw("class");
    if (lease_id !== undefined) {
      this.let_through++;
      this.decided_here++;
      this.unreported.push(lease_id);
      return;
    }
    this.held.want("class", () => SAMPLE);
    const ask = {
      ...{ principal: PRINCIPAL, record: undefined, action: ACTION, trace_id: "" },
      ...{ now_ms: this.gateway_ms, budgets: this.#budgets(), settles: false },
    };
    const charges = [{ scope: KEY, bucket: "search", limit: TOKENS, window_ms: HOUR_MS }];
    if (this.buckets.tokens(charges[0] ?? assert.fail(), this.gateway_ms) < 1) return;
    const reserve = this.ledger.reserve(ask);
    if (reserve.outcome !== "reserved") return;
    assert.ok(this.buckets.take(charges, this.gateway_ms));
    this.let_through++;
  }

  #budgets() {
    return POLICY.index.cascade(PRINCIPAL, ACTION)?.budgets ?? [];
  }

  report(): void {
    for (const lease_id of this.unreported.splice(0)) {
      const said = this.leases.reported(KEY, lease_id, ACTION, PRINCIPAL);
      if (said !== "covered") this.leases.charge(PRINCIPAL, ACTION).catch(assert.fail);
    }
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "call":
        this.call();
        break;
      case "calls":
        for (let time = 0; time < 12; time++) {
          this.call();
          if (time % 3 === 0) await settle();
        }
        break;
      case "pass":
        this.gateway_ms += step.ms;
        this.runtime_us += step.ms * 1_000;
        this.held.tick();
        break;
      case "gateway_clock":
        this.gateway_ms = Math.max(START_MS, this.gateway_ms + step.ms);
        break;
      case "gateway_restart":
        // What the journal holds survives; the runtime's stream ends with the process.
        await settle();
        await this.openGateway();
        this.held.forget();
        break;
      case "runtime_crash":
        this.openRuntime();
        break;
      case "policy":
        this.held.reset();
        break;
      case "report":
        this.report();
        break;
      case "lose_next":
        this.lose = step.half;
        break;
    }
    await settle();
    expireReservations(this.ledger, this.gateway_ms);
    this.leases.tick(this.gateway_ms);
    await settle();
    this.furthest_ms = Math.max(this.furthest_ms, this.gateway_ms);
  }

  check(): void {
    const { state } = this.ledger;
    assert.equal(conservationProblem(state), undefined);
    const account = state.account(subtreeOwner(KEY));
    const counted = (account?.spent.micro_usd ?? 0) + (account?.reserved.micro_usd ?? 0);
    assert.ok(counted <= LIMIT, `${counted} counted of ${LIMIT}`);
    assert.ok(
      this.let_through * PRICE <= counted,
      `${this.let_through} calls were let through, ${counted} are counted`,
    );
    const elapsed_ms = this.furthest_ms - START_MS;
    const most = TOKENS + Math.ceil(TOKENS * elapsed_ms / HOUR_MS);
    assert.ok(this.let_through <= most, `${this.let_through} calls, ${most} tokens`);
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await Promise.resolve();
  await new Promise((done) => setTimeout(done, 0));
}

Deno.test("leases never let more through than is counted, and what is counted never passes a limit", async () => {
  let decided_here = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const pair = new Pair();
      await pair.openGateway();
      pair.openRuntime();
      for (const step of script) {
        await pair.step(step);
        pair.check();
      }
      decided_here += pair.decided_here;
    }),
    { numRuns: 70 },
  );
  assert.ok(decided_here > 500, `${decided_here} calls were decided under a lease`);
});

Deno.test("in the end every lease is settled by what was used, or charged in full", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (script, crashes) => {
      const pair = new Pair();
      await pair.openGateway();
      pair.openRuntime();
      for (const step of script) await pair.step(step);
      if (crashes) pair.openRuntime();
      pair.report();
      pair.held.reset();
      for (let time = 0; time < 12; time++) await pair.step({ kind: "pass", ms: 30_000 });
      pair.check();
      const account = pair.ledger.state.account(subtreeOwner(KEY));
      assert.equal(account?.reserved.micro_usd ?? 0, 0, "nothing stays reserved");
      assert.equal(pair.leases.size, 0);
    }),
    { numRuns: 30 },
  );
});
