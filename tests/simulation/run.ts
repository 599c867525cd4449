/**
 * One seed, so many steps: builds the world, lets it happen, and holds it to the laws after each
 * step.
 *
 * @module
 */
import { type LogReader, verifyLog } from "../../core/audit/verify/mod.ts";
import { type AgentName, SimulatedAgent } from "./agents.ts";
import { SimulatedGateway } from "./gateway.ts";
import { NoMachine } from "./machine.ts";
import { SimulatedOperator } from "./operators.ts";
import type { Break, Violation } from "./violation.ts";
import { AUDIT_DIRECTORY, LOG_PATH, World } from "./world.ts";

/** What to run. */
export interface RunOptions {
  readonly seed: number;
  /** Events to simulate. */
  readonly steps: number;
  readonly broken?: Break;
  readonly signal?: AbortSignal;
}

/** What came of a run. */
export interface RunReport {
  readonly seed: number;
  readonly steps: number;
  readonly violation: Violation | undefined;
  /** SHA-256 of everything that happened; equal for equal seeds. */
  readonly digest: string;
  /** The last things that happened. */
  readonly tail: readonly string[];
  readonly simulated_ms: number;
  readonly entries: number;
  readonly decisions: number;
  readonly allowed: number;
  readonly crashes: number;
  readonly reservations: number;
  readonly settlements: number;
  readonly grants_spent: number;
}

/** Steps between two verifications of the whole log. */
const VERIFY_EVERY = 2_500;

/** Runs one seed to its end, or to the first law that does not hold. */
export async function run(options: RunOptions): Promise<RunReport> {
  const world = new World(options.seed, options.broken);
  const unheard = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    world.verdict.violated("unhandled", String(event.reason?.stack ?? event.reason));
  };
  globalThis.addEventListener("unhandledrejection", unheard);
  try {
    using _machine = new NoMachine(world.random.fork("keys"));
    return await new Run(world, options).toTheEnd();
  } finally {
    globalThis.removeEventListener("unhandledrejection", unheard);
  }
}

class Run {
  readonly #world: World;
  readonly #options: RunOptions;
  readonly #gateway: SimulatedGateway;
  readonly #agents: SimulatedAgent[];
  /** Crash while at least this many bytes of the log are not yet synced. */
  #crash_at_bytes = Infinity;

  constructor(world: World, options: RunOptions) {
    this.#world = world;
    this.#options = options;
    this.#gateway = new SimulatedGateway(world);
    this.#agents = this.#population();
  }

  async toTheEnd(): Promise<RunReport> {
    const { verdict, trace, scheduler } = this.#world;
    this.#begin();
    let step = 0;
    while (step < this.#options.steps && verdict.first === undefined) {
      if (this.#options.signal?.aborted) break;
      verdict.step = trace.step = ++step;
      const what = await scheduler.step();
      if (what === undefined) verdict.violated("unhandled", "nothing happens any more");
      trace.note(`${scheduler.now_us} ${what}`);
      this.#check();
      if (step % VERIFY_EVERY === 0) await this.#verify();
    }
    if (verdict.first === undefined) await this.#verify();
    return this.#report(step);
  }

  #begin(): void {
    this.#gateway.start();
    for (const agent of this.#agents) void agent.live();
    for (const name of ["ada", "bob"]) {
      void new SimulatedOperator(this.#world, this.#gateway, this.#agents, name).work();
    }
    this.#again("crash", this.#world.faults.crash_every_ms, (random) => {
      // Most moments are quiet; the interesting ones are those with bytes under way.
      if (random.chance(0.7)) this.#crash_at_bytes = random.pick([1, 1_200, 3_000, 6_000]);
      else this.#crash();
    });
    this.#again("disk fills", this.#world.faults.full_every_ms, (random) => {
      this.#world.disk.full = true;
      this.#world.scheduler.after(random.between(1_000, 5_000_000), "disk has room", () => {
        this.#world.disk.full = false;
      });
    });
    this.#again("clock jumps", this.#world.faults.clock_jump_every_ms, () => {
      this.#world.trace.note(`clock: ${this.#world.clock.jump()} ms`);
    });
    this.#again("tick", 500, () => {
      const { running } = this.#gateway;
      running?.rooms.tick().catch(() => this.#world.trace.note("rooms: a tick failed"));
    });
    this.#again("supervisor", 5_000, () => {
      const failed = this.#gateway.running?.audit.status().state === "failed";
      if (failed) this.#gateway.crash(false, 100_000);
    });
  }

  #crash(): void {
    this.#crash_at_bytes = Infinity;
    const { random, faults } = this.#world;
    this.#gateway.crash(random.chance(faults.power_loss), random.between(1_000, 2_000_000));
  }

  /** Makes something happen at irregular times, for ever. */
  #again(what: string, mean_ms: number, happen: (random: World["random"]) => void): void {
    const random = this.#world.random.fork(what);
    const wait = () => {
      this.#world.scheduler.after(random.between(1, Math.ceil(2_000 * mean_ms)), what, () => {
        happen(random);
        wait();
      });
    };
    wait();
  }

  #population(): SimulatedAgent[] {
    const random = this.#world.random.fork("population");
    const agents: SimulatedAgent[] = [];
    for (let i = 0; i < random.between(4, 16); i++) {
      const [org_id, team_id] = random.pick(
        [["acme", "blue"], ["acme", "red"], ["umbrella", "blue"]] as const,
      );
      const peers: AgentName[] = agents.map(({ name }) => name)
        .filter((name) => name.org_id === org_id && name.team_id === team_id);
      const parent = peers.length > 0 && random.chance(0.5) ? random.pick(peers) : undefined;
      const name = { org_id, team_id, agent_id: `agent-${i}` };
      agents.push(new SimulatedAgent(this.#world, this.#gateway, name, parent));
    }
    return agents;
  }

  /** The laws that can be held cheaply, after every step. */
  #check(): void {
    const { log, disk, money, clock, approvals, verdict } = this.#world;
    if (disk.unsynced(LOG_PATH) >= this.#crash_at_bytes && this.#world.random.chance(0.3)) {
      this.#crash();
    }
    log.update(disk.seen(LOG_PATH));
    const { running } = this.#gateway;
    if (running === undefined) return;
    const agent = this.#agents[verdict.step % this.#agents.length];
    const record = agent && running.registry.byKey(agent.key);
    if (agent === undefined || record === undefined) return;
    if (verdict.step % 25 === 0) approvals.checkPending(running.rooms.pendingApprovals());
    const { books, above } = running.rooms;
    if (books === undefined) return;
    const principal = running.registry.principalOf(record, clock.now_ms());
    money.check(books.state, principal, above, clock.now_ms());
  }

  /** The whole log by the independent verifier, as a stranger would after pulling the plug. */
  async #verify(): Promise<void> {
    const { running } = this.#gateway;
    if (running === undefined) return;
    const { books } = running.rooms;
    if (books !== undefined) this.#world.money.checkReservations(books.state);
    const { verifier_key, entries } = running.audit.status();
    if (entries === 0n) return;
    const { disk, verdict } = this.#world;
    // Only what is on the platter: this is what a stranger would be handed after a power cut.
    const reader: LogReader = {
      read: (name) => Promise.resolve(disk.onPlatter(`${AUDIT_DIRECTORY}/${name}`)),
    };
    const report = await verifyLog(reader, { verifier_key });
    if (!report.ok) verdict.violated("ack", `the log does not verify: ${report.summary}`);
  }

  #report(steps: number): RunReport {
    const { verdict, trace, scheduler, log, answers, money, approvals } = this.#world;
    const counts = answers.counts;
    return {
      seed: this.#options.seed,
      steps,
      violation: verdict.first,
      digest: trace.digest(),
      tail: trace.tail,
      simulated_ms: Math.round(scheduler.now_us / 1_000),
      entries: log.size,
      decisions: [...counts.values()].reduce((sum, count) => sum + count, 0),
      allowed: (counts.get(1) ?? 0) + (counts.get(4) ?? 0),
      crashes: this.#gateway.crashes,
      reservations: money.reservations,
      settlements: money.settlements,
      grants_spent: approvals.spent,
    };
  }
}
