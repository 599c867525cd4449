/** Conformance group R: rate limits (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import type { Principal } from "../principal.ts";
import type { Decision } from "../verdict.ts";
import { decide } from "./decide.ts";
import { agent, call, directory, facts, lineOf, NOON_MS, STRANGER } from "./policy_fixture.ts";
import { RateBuckets } from "./rate_limit.ts";

const LIMITED = "deny: rate limit exceeded";

/** One gateway: buckets that live from call to call. */
class Gateway {
  readonly buckets = new RateBuckets();
  readonly #policy;

  constructor(...texts: string[]) {
    this.#policy = directory(...texts);
  }

  simulate(principal: Principal, tool = "search"): Decision {
    return decide(
      this.#policy,
      call(tool),
      facts({
        principal,
        rateTokens: (charge) => this.buckets.tokens(charge, NOON_MS),
      }),
    );
  }

  call(principal: Principal = agent(), tool = "search"): string {
    const decision = this.simulate(principal, tool);
    if (decision.outcome !== "deny") {
      assert.equal(this.buckets.take(decision.charges ?? [], NOON_MS), true);
    }
    return lineOf(decision);
  }
}

const ONCE = "tools: { search: { allow: true, limit_per_hour: 1 } }";

Deno.test("R1: the call after the last token is denied", () => {
  const gateway = new Gateway(ONCE);
  assert.deepEqual([gateway.call(), gateway.call()], ["allow", LIMITED]);
});

Deno.test("R2: a team shares one bucket, another team has its own", () => {
  const gateway = new Gateway(ONCE);
  const a1 = agent();
  const a2 = agent({ agent_id: "a2", registry_key: "2".repeat(32) });
  const a3 = agent({ agent_id: "a3", registry_key: "3".repeat(32), team_id: "t2" });
  assert.deepEqual([a1, a2, a3, a3].map((one) => gateway.call(one)), [
    "allow",
    LIMITED,
    "allow",
    LIMITED,
  ]);
});

Deno.test("R3: the smallest limit of the cascade counts", () => {
  const gateway = new Gateway(
    "tools: { search: { allow: true, limit_per_hour: 5 } }",
    "scope: team:t1\ntools: { search: { allow: true, limit_per_hour: 1 } }",
  );
  assert.deepEqual([gateway.call(), gateway.call()], ["allow", LIMITED]);
});

Deno.test("R4: a limit of zero denies the first call", () => {
  const gateway = new Gateway("tools: { search: { allow: true, limit_per_hour: 0 } }");
  assert.equal(gateway.call(), LIMITED);
});

Deno.test("R5: asking without acting takes no token", () => {
  const gateway = new Gateway(ONCE);
  const answers = [gateway.simulate(agent()), gateway.simulate(agent())].map(lineOf);
  assert.deepEqual([...answers, gateway.call()], ["allow", "allow", "allow"]);
});

Deno.test("R6: unregistered agents without a team share one bucket", () => {
  const gateway = new Gateway(ONCE);
  const other = { ...STRANGER, agent_id: "other", engine_key: "d".repeat(32) };
  assert.deepEqual([gateway.call(STRANGER), gateway.call(other)], ["allow", LIMITED]);
});

Deno.test("R7: registered agents without a team have their own buckets", () => {
  const gateway = new Gateway(ONCE);
  const one = { ...STRANGER, registry_key: "1".repeat(32) };
  const two = { ...STRANGER, registry_key: "2".repeat(32) };
  assert.deepEqual([gateway.call(one), gateway.call(two)], ["allow", "allow"]);
});
