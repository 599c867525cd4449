/**
 * The gateway process of a run: the shipped engine, registry, audit log and policy service on a
 * simulated machine, started, killed and started again.
 *
 * @module
 */
import { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import { type CallContext, GrpcError, Metadata } from "../../grpc/mod.ts";
import type {
  CheckActionRequest,
  CheckActionResponse,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { sampleKey } from "../../core/audit/_sample_log.ts";
import {
  AuditOpenError,
  AuditTamperError,
  AuditUnavailableError,
} from "../../gateway/audit/errors.ts";
import type { AuditHost } from "../../gateway/audit/host.ts";
import { AuditLog } from "../../gateway/audit/log.ts";
import { Counters } from "../../gateway/counters.ts";
import { DecisionEngine } from "../../gateway/engine/engine.ts";
import { clean } from "../../gateway/engine/evidence.ts";
import { governanceEntry } from "../../gateway/engine/governance.ts";
import { changeEntry } from "../../gateway/registry/changes.ts";
import { Registry } from "../../gateway/registry/registry.ts";
import { policyHandlers } from "../../gateway/services/policy.ts";
import { AnyBreak } from "./breaks.ts";
import { policyForm } from "./policies.ts";
import { openRooms, type Rooms } from "./rooms.ts";
import { AUDIT_DIRECTORY, LOG_PATH, type World } from "./world.ts";

/** Key of every simulated log. */
const SIGNING_KEY = sampleKey(11);

/** One life of the gateway, from start to crash. */
export interface Running {
  readonly audit: AuditLog;
  readonly registry: Registry;
  readonly rooms: Rooms;
  /** Decides one question and makes its evidence durable, as the service does. */
  check(request: CheckActionRequest, metadata: Metadata): Promise<Checked>;
  /** Records a change of policy, then makes it. */
  reload(form: number): Promise<void>;
}

/** An answer and its trailers. */
export interface Checked {
  readonly response: CheckActionResponse;
  readonly trailers: Metadata;
}

/** The process, as its supervisor sees it. */
export class SimulatedGateway {
  readonly #world: World;
  readonly #break: AnyBreak;
  #life = 0;
  #running: Running | undefined;
  #starts = 0;
  #crashes = 0;
  #epoch = 1;

  constructor(world: World) {
    this.#world = world;
    this.#break = new AnyBreak(world.broken);
  }

  /** The gateway, while it serves. */
  get running(): Running | undefined {
    return this.#running;
  }

  get starts(): number {
    return this.#starts;
  }

  get crashes(): number {
    return this.#crashes;
  }

  /** Whether `running` is still the process that answers. */
  isAlive(running: Running): boolean {
    return this.#running === running;
  }

  /** Starts the process; a start that fails is tried again a little later. */
  start(): void {
    const life = ++this.#life;
    const { trace, verdict } = this.#world;
    this.#open(life).then((running) => {
      if (life !== this.#life) return;
      this.#running = running;
      this.#starts++;
      trace.note(`gateway: serving, ${running.audit.status().entries} entries`);
    }, (error) => {
      if (life !== this.#life) return;
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof AuditTamperError) verdict.violated("recovery", reason);
      else if (!(error instanceof AuditOpenError || error instanceof AuditUnavailableError)) {
        verdict.violated("unhandled", `the gateway does not start: ${reason}`);
      }
      trace.note(`gateway: did not start: ${reason}`);
      this.crash(false, 500_000);
    });
  }

  /** Kills the process, or the whole machine, and starts it again later. */
  crash(power_loss: boolean, after_us: number): void {
    const world = this.#world;
    this.#life++;
    this.#crashes++;
    this.#running = undefined;
    world.trace.note(`gateway: ${power_loss ? "power lost" : "killed"}`);
    world.log.update(world.disk.seen(LOG_PATH));
    world.disk.crash(power_loss);
    world.database.crash();
    world.money.crash();
    world.answers.crash();
    world.log.checkAcknowledged(world.disk.seen(LOG_PATH));
    world.log.update(world.disk.seen(LOG_PATH));
    world.scheduler.after(after_us, "gateway starts", () => this.start());
  }

  async #open(life: number): Promise<Running> {
    const world = this.#world;
    const { clock } = world;
    const { log: audit } = await AuditLog.open({
      directory: AUDIT_DIRECTORY,
      signing_key_file: "",
      signing_key: SIGNING_KEY,
      checkpoint_interval_ms: 1_000,
      probe_interval_ms: 1_000,
      now_ns: clock.now_ns,
      host: this.#host(life),
    });
    const store = world.database.mount();
    const registry = await Registry.open({
      store,
      now_ms: clock.now_ms,
      strict: false,
      redact: clean,
      onChange: async (changes) => {
        const recorded = changes.map((change) => audit.append(changeEntry(change, clock.now_ns())));
        return (await Promise.all(recorded)).map((entry) => entry.seq);
      },
    });
    const policy = { current: policyForm(world.policy_form, this.#epoch++) };
    const rooms = await openRooms(world, { store, audit, registry, policy });
    await audit.append(governanceEntry("gateway_started", { version: "simulated" }, clock));
    return this.#assemble({ audit, registry, rooms, policy });
  }

  #assemble(
    { audit, registry, rooms, policy }: Pick<Running, "audit" | "registry" | "rooms"> & {
      readonly policy: { current: PolicySet };
    },
  ): Running {
    const world = this.#world;
    const { clock } = world;
    const engine = new DecisionEngine({
      registry: this.#break.registry(registry),
      policy: () => policy.current,
      buckets: new RateBuckets(),
      clock,
      parts: {
        ledger: world.money.watch(this.#break.ledger(rooms.ledger), rooms.above),
        approvals: world.approvals.watch(this.#break.approvals(rooms.approvals)),
      },
    });
    const { checkAction } = policyHandlers({
      engine,
      audit: this.#break.audit(audit),
      counters: new Counters(),
      monotonic_us: clock.monotonic_us,
      suspend: ({ key }) => {
        registry.suspend(key, "budget limit exceeded", { cause: "budget_exceeded" })
          .catch(() => {});
      },
    });
    if (checkAction === undefined) throw new Error("the policy service has no checkAction");
    return {
      audit,
      registry,
      rooms,
      check: async (request, metadata) => {
        const context = contextOf(metadata);
        const response = await checkAction(request, context);
        return { response, trailers: context.trailers };
      },
      reload: async (form) => {
        world.policy_form = form;
        const next = policyForm(form, this.#epoch++);
        const after = next.documents.map(({ document }) => document.digest);
        await audit.append(governanceEntry("policy_reload_applied", { after }, clock));
        policy.current = next;
      },
    };
  }

  #host(life: number): AuditHost {
    const { disk, clock, scheduler } = this.#world;
    return {
      disk: disk.mount(),
      now_ms: clock.now_ms,
      monotonic_ms: () => clock.monotonic_us() / 1_000,
      later: (callback, delay_ms) =>
        scheduler.after(delay_ms * 1_000, "audit timer", () => {
          if (life === this.#life) callback();
        }),
      turn: () => scheduler.sleep(0, "audit turn"),
    };
  }
}

function contextOf(metadata: Metadata): CallContext {
  return {
    method: "/assembly.policy.v1.PolicyService/CheckAction",
    metadata,
    signal: NEVER,
    deadline_ms: undefined,
    peer: { address: "simulated" } as unknown as CallContext["peer"],
    headers: new Metadata(),
    trailers: new Metadata(),
    sendHeaders: () => {},
    compression: "identity",
  };
}

const NEVER = new AbortController().signal;

/** What a client is told when the gateway refuses to answer. */
export function codeOf(error: unknown): string {
  return error instanceof GrpcError ? `code ${error.code}` : `failure ${String(error)}`;
}
