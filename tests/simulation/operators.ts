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
    name: string,
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
      else if (what < 9) await this.#decide();
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
    const outcome = await this.#client.call("decide", async (running) => {
      const waiting = running.rooms.pendingApprovals();
      const id = waiting[chance % Math.max(1, waiting.length)];
      if (id === undefined) return "nothing waits";
      if (approve) this.world.approvals.agree(id);
      await running.rooms.decide(id, approve);
      return id;
    });
    this.world.trace.note(`operator: decide ${outcome.kind}`);
  }

  async #reload(): Promise<void> {
    const form = this.#random.below(POLICY_FORMS);
    const outcome = await this.#client.call("reload", (running) => running.reload(form));
    this.world.trace.note(`operator: reload ${form} ${outcome.kind}`);
  }
}
