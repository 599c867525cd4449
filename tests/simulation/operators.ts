/**
 * The people of a run: they suspend and resume agents, answer approvals and change the policy.
 *
 * @module
 */
import type { SimulatedAgent } from "./agents.ts";
import { Client } from "./client.ts";
import type { SimulatedGateway } from "./gateway.ts";
import { POLICY_FORMS } from "./policies.ts";
import type { World } from "./world.ts";

const THINK_US = 1_500_000;
const THINK_LONG_US = 120_000_000;

/** One operator. */
export class SimulatedOperator {
  readonly #client: Client;
  readonly #random: World["random"];

  constructor(
    private readonly world: World,
    gateway: SimulatedGateway,
    private readonly agents: readonly SimulatedAgent[],
    private readonly name: string,
  ) {
    this.#client = new Client(world, gateway);
    this.#random = world.random.fork(`operator ${name}`);
  }

  /** Works until the run ends. */
  async work(): Promise<void> {
    const random = this.#random;
    while (true) {
      await this.world.scheduler.sleep(random.wait(THINK_US, THINK_LONG_US, 0.05), "operator");
      const what = random.below(10);
      if (what < 2) await this.#suspend();
      else if (what < 4) await this.#resume();
      else if (what < 8) await this.#decide();
      else if (what < 9) await this.#forge();
      else await this.#reload();
    }
  }

  async #suspend(): Promise<void> {
    const { key, name } = this.#random.pick(this.agents);
    const cascade = this.#random.chance(0.3);
    const outcome = await this.#client.call("suspend", async (running) => {
      const { agent, also } = await running.registry.suspend(key, "looks odd", { cascade });
      for (const one of [agent, ...also]) this.world.answers.suspended(one.key);
      return also.length;
    });
    this.world.trace.note(`operator: suspend ${name.agent_id} ${outcome.kind}`);
  }

  async #resume(): Promise<void> {
    const { key, name } = this.#random.pick(this.agents);
    const { answers } = this.world;
    const outcome = await this.#client.call(
      "resume",
      ({ registry }) => answers.releasing(key, () => registry.resume(key, "looked into it")),
    );
    this.world.trace.note(`operator: resume ${name.agent_id} ${outcome.kind}`);
  }

  async #decide(): Promise<void> {
    const approve = this.#random.chance(0.8);
    const chance = this.#random.next();
    const conditions = this.#conditions();
    const outcome = await this.#client.call("decide", async ({ rooms }) => {
      const waiting = rooms.pendingApprovals();
      const request = waiting[chance % Math.max(1, waiting.length)];
      if (request === undefined) return "nothing waits";
      const { request_id } = request;
      if (approve) this.world.approvals.agree(request_id, usesOf(conditions));
      const approver = { kind: "operator", name: this.name, role: "org_admin" } as const;
      return await rooms.answer({ request_id, approver, approve, conditions }) ?? "answered";
    });
    const said = outcome.kind === "answered" ? outcome.value : outcome.kind;
    this.world.trace.note(`operator: decide ${said}`);
  }

  #conditions(): readonly string[] {
    const random = this.#random;
    if (random.chance(0.6)) return [];
    const until = new Date(this.world.clock.now_ms() + random.between(1, 600) * 1_000);
    return [`exception ${random.between(1, 3)} until ${until.toISOString()}`];
  }

  /** An agent answers a request itself, its own or a relative's: never with effect. */
  async #forge(): Promise<void> {
    const chance = this.#random.next();
    const outcome = await this.#client.call("forge", async ({ rooms, registry }) => {
      const waiting = rooms.pendingApprovals();
      const request = waiting[chance % Math.max(1, waiting.length)];
      const record = request && registry.byKey(request.requester.key);
      if (request === undefined || record === undefined) return "nobody asks";
      const { key, agent_id, org_id, team_id, root_key } = record;
      const names = { key, agent_id, org_id, team_id, root_key };
      const { request_id, requester: { ancestors } } = request;
      const approver = { kind: "agent", ...names, ancestors, enrolled: true } as const;
      const refusal = await rooms.answer({ request_id, approver, approve: true, conditions: [] });
      if (refusal === undefined) {
        this.world.verdict.violated("approval", `${request_id} was approved by its requester`);
      }
      return refusal;
    });
    this.world.trace.note(`agent: forges an approval ${outcome.kind}`);
  }

  async #reload(): Promise<void> {
    const form = this.#random.below(POLICY_FORMS);
    const outcome = await this.#client.call("reload", (running) => running.reload(form));
    this.world.trace.note(`operator: reload ${form} ${outcome.kind}`);
  }
}

/** How often the same bytes may run under these conditions. */
function usesOf(conditions: readonly string[]): number {
  return Number(/^exception (\d+) /.exec(conditions[0] ?? "")?.[1] ?? 1);
}
