/**
 * Everything of one run that outlives a crash of the gateway, put together from its seed.
 *
 * @module
 */
import { AnswerBook } from "./books/answers.ts";
import { ApprovalBook } from "./books/approvals.ts";
import { MoneyBook } from "./books/money.ts";
import { SimulatedClock } from "./clock.ts";
import { SimulatedDisk } from "./disk.ts";
import { drawFaults, type Faults } from "./faults.ts";
import { LogView } from "./log_view.ts";
import { SimulatedNetwork } from "./network.ts";
import { ZONE } from "./policies.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { SimulatedDatabase } from "./store.ts";
import { Trace } from "./trace.ts";
import { type Break, Verdict } from "./violation.ts";

/** Directory of the audit log on the simulated disk. */
export const AUDIT_DIRECTORY = "/audit";
/** The log file on the simulated disk. */
export const LOG_PATH = `${AUDIT_DIRECTORY}/gateway-default.jsonl`;

/** One run's world. */
export class World {
  readonly random: Random;
  readonly scheduler = new Scheduler();
  readonly trace = new Trace();
  readonly verdict = new Verdict();
  readonly faults: Faults;
  readonly clock: SimulatedClock;
  readonly disk: SimulatedDisk;
  readonly database: SimulatedDatabase;
  readonly network: SimulatedNetwork;
  readonly log = new LogView(this.verdict);
  readonly money = new MoneyBook(this.verdict, ZONE);
  readonly approvals = new ApprovalBook(this.verdict);
  readonly answers = new AnswerBook(this.verdict, this.log);
  /** Which policy the operators have put in place. */
  policy_form = 0;

  /** @param broken Law that this world breaks on purpose. */
  constructor(readonly seed: number, readonly broken: Break | undefined) {
    const random = new Random(`seed ${seed}`);
    const { scheduler } = this;
    const note = (what: string) => this.trace.note(what);
    this.random = random;
    this.faults = drawFaults(random.fork("faults"));
    const { faults } = this;
    this.clock = new SimulatedClock(random.fork("clock"), scheduler);
    const parts = { scheduler, faults, note };
    this.disk = new SimulatedDisk({
      ...parts,
      random: random.fork("disk"),
      lies: broken === "ack",
    });
    this.database = new SimulatedDatabase({ ...parts, random: random.fork("store") });
    this.network = new SimulatedNetwork({ ...parts, random: random.fork("network") });
  }
}
