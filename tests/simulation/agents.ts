/**
 * The agents of a run: they register, have parents, send calls of every kind, heartbeats and
 * nonsense, and try again what was not answered.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import {
  type ActionContext,
  ActionContextSchema,
  type CheckActionRequest,
  CheckActionRequestSchema,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { AgentIdSchema } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { Metadata } from "../../grpc/mod.ts";
import { registryKeyOf } from "../../gateway/identity/keys.ts";
import type { LeavingAnswer } from "./books/answers.ts";
import { Client, type Outcome } from "./client.ts";
import type { Checked, Running, SimulatedGateway } from "./gateway.ts";
import { LOG_PATH, type World } from "./world.ts";

/** Names of an agent; its key in the registry follows from them. */
export interface AgentName {
  readonly org_id: string;
  readonly team_id: string;
  readonly agent_id: string;
}

const THINK_US = 400_000;
const THINK_LONG_US = 600_000_000;
const SECRET = "AKIAIOSFODNN7EXAMPLE";
const encoder = new TextEncoder();

/** One agent's life. */
export class SimulatedAgent {
  readonly key: string;
  #token = "";
  #calls = 0;
  readonly #client: Client;
  readonly #random: World["random"];

  constructor(
    private readonly world: World,
    private readonly gateway: SimulatedGateway,
    readonly name: AgentName,
    private readonly parent: AgentName | undefined,
  ) {
    this.key = registryKeyOf(name);
    this.#client = new Client(world, gateway);
    this.#random = world.random.fork(`agent ${name.agent_id}`);
  }

  /** Lives until the run ends. */
  async live(): Promise<void> {
    const random = this.#random;
    while (true) {
      await this.world.scheduler.sleep(random.wait(THINK_US, THINK_LONG_US, 0.02), "agent thinks");
      if (this.#token === "" && random.chance(0.9)) await this.#register();
      else if (random.chance(0.06)) await this.#heartbeat();
      else if (random.chance(0.02)) await this.#forgetToken();
      else if (random.chance(0.25)) await this.#burst();
      else await this.#check(this.#action());
    }
  }

  /** Several calls at once, some of them the same bytes. */
  async #burst(): Promise<void> {
    const shared = this.#action();
    const calls = Array.from(
      { length: this.#random.wait(8, 30, 0.2) },
      () => this.#check(this.#random.chance(0.4) ? shared : this.#action()),
    );
    await Promise.all(calls);
  }

  async #register(): Promise<void> {
    const parent = this.parent === undefined ? {} : { parent_agent_id: this.parent.agent_id };
    const outcome = await this.#client.call("register", ({ registry }) =>
      registry.register({
        ...this.name,
        ...parent,
        public_key: "ab".repeat(32),
        name: this.name.agent_id,
        framework: "simulated",
        version: "1",
        tool_names: [],
        metadata: {},
      }));
    this.#note("register", outcome);
    if (outcome.kind === "answered") this.#token = outcome.value.credential_token;
    // The answer with the token was lost: an operator ends that registration.
    else if (outcome.kind === "refused" && outcome.reason.includes("already")) {
      await this.#deregister();
    }
  }

  async #forgetToken(): Promise<void> {
    this.#token = "";
    await this.#deregister();
  }

  async #deregister(): Promise<void> {
    const { answers } = this.world;
    const outcome = await this.#client.call(
      "deregister",
      ({ registry }) =>
        answers.releasing(this.key, () => registry.deregister(this.key, "lost its token")),
    );
    this.#note("deregister", outcome);
  }

  async #heartbeat(): Promise<void> {
    const outcome = await this.#client.call("heartbeat", (running) => {
      return Promise.resolve(running.registry.heartbeat(this.key)?.state.status ?? "unknown");
    });
    this.#note("heartbeat", outcome);
  }

  async #check(context: ActionContext | undefined): Promise<void> {
    const trace_id = `${this.name.agent_id}:${this.#calls++}`;
    const request = this.#request(trace_id, context);
    const metadata = new Metadata();
    if (this.#random.chance(0.5)) metadata.set("aasm-approval", "defer");
    const settles = this.#random.chance(0.5);
    if (settles) metadata.set("aasm-settle", "1");
    let answer: LeavingAnswer | undefined;
    const outcome = await this.#client.call("check", async (running) => {
      answer = await this.#serve(running, request, metadata);
      return answer;
    });
    if (outcome.kind === "answered") {
      this.world.answers.received(outcome.value, this.world.disk.durable(LOG_PATH));
      const { reservation_id } = outcome.value;
      if (settles && reservation_id !== undefined) void this.#end(reservation_id);
    }
    const said = answer === undefined ? "" : ` ${answer.decision}@${answer.index}`;
    this.world.trace.note(`${trace_id}: ${outcome.kind}${said}`);
  }

  /** Settles or gives back what a call has reserved: soon, late, twice, wrongly or never. */
  async #end(id: string): Promise<void> {
    const random = this.#random;
    if (random.chance(0.15)) return;
    const wait_us = random.wait(2_000_000, 900_000_000, 0.1);
    await this.world.scheduler.sleep(wait_us, "agent works");
    for (let times = random.pick([1, 1, 1, 2]); times > 0; times--) {
      const usage = random.chance(0.2) ? undefined : {
        input_tokens: random.pick([0, 10, 4_000, 200_000, -1, NaN]),
        output_tokens: random.pick([0, 100, 8_000]),
        cached_input_tokens: 0,
        wall_ms: random.below(10_000),
      };
      const settler = random.chance(0.9)
        ? { kind: "agent", agent_key: random.chance(0.95) ? this.key : "somebody" } as const
        : { kind: "operator" } as const;
      const outcome = await this.#client.call(
        "settle",
        ({ rooms }) => rooms.end(id, settler, usage),
      );
      const said = outcome.kind !== "answered"
        ? outcome.kind
        : outcome.value.ok
        ? outcome.value.outcome
        : outcome.value.refusal.code;
      this.world.trace.note(`${this.name.agent_id}: settle ${said}`);
    }
  }

  async #serve(
    running: Running,
    request: CheckActionRequest,
    metadata: Metadata,
  ): Promise<LeavingAnswer> {
    const { world } = this;
    const arrived_step = world.verdict.step;
    const { response, trailers }: Checked = await running.check(request, metadata);
    const answer: LeavingAnswer = {
      // Another name is another agent, one that was never registered (contract §13.3 #39).
      agent_key: registryKeyOf({ ...this.name, agent_id: request.agentId?.agentId ?? "" }),
      trace_id: request.traceId,
      decision: response.decision,
      index: trailers.get("aasm-audit-index"),
      reservation_id: trailers.get("aasm-reservation"),
      arrived_step,
    };
    // A killed process sends nothing, whatever its code was about to do.
    if (this.gateway.isAlive(running)) world.answers.leaves(answer, world.disk.seen(LOG_PATH));
    return answer;
  }

  #request(trace_id: string, context: ActionContext | undefined): CheckActionRequest {
    const random = this.#random;
    const { org_id, team_id, agent_id } = this.name;
    const claimed = random.chance(0.01) ? `${agent_id}\u0000` : agent_id;
    return create(CheckActionRequestSchema, {
      agentId: create(AgentIdSchema, { orgId: org_id, teamId: team_id, agentId: claimed }),
      credentialToken: random.chance(0.02) ? "stolen" : this.#token,
      traceId: trace_id,
      actionType: random.below(9),
      ...(context === undefined ? {} : { context }),
    });
  }

  #action(): ActionContext | undefined {
    const random = this.#random;
    if (random.chance(0.02)) return undefined;
    return create(ActionContextSchema, { action: this.#actionOf(random.below(20)) });
  }

  #actionOf(kind: number): ActionContext["action"] {
    const random = this.#random;
    const make = (value: object) => value as never;
    if (kind < 7) {
      const model = random.pick(["gpt-4o", "claude-3-haiku", "gpt-4", "nobody-knows"]);
      const promptTokens = random.pick([0, 10, 500, 4_000, -5, 2_147_483_647]);
      return { case: "llmCall", value: make({ model, promptTokens }) };
    }
    if (kind < 15) {
      const toolName = random.pick(["search", "deploy", "refund", "bash", "deploy", "write"]);
      const secret = random.chance(0.1) ? { key: SECRET } : {};
      const args = JSON.stringify({ to: random.below(3), ...secret });
      return { case: "toolCall", value: make({ toolName, argsJson: encoder.encode(args) }) };
    }
    if (kind < 17) {
      const url = random.pick(["https://api.example.com/x", "https://evil.test/", "not a url"]);
      return { case: "networkCall", value: make({ url, method: "GET" }) };
    }
    if (kind < 19) return { case: "fileOp", value: make({ operation: "write", path: "/etc/x" }) };
    return { case: "processExec", value: make({ command: "ls", args: [] }) };
  }

  #note(what: string, outcome: Outcome<unknown>): void {
    const reason = outcome.kind === "refused" ? ` ${outcome.reason}` : "";
    this.world.trace.note(`${this.name.agent_id}: ${what} ${outcome.kind}${reason}`);
  }
}
