/**
 * Approvals through the whole gateway, over its own gRPC port.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Channel, codeName, createClient, GrpcError, Metadata } from "../../grpc/mod.ts";
import { ApprovalService } from "../../proto/gen/assembly/approval/v1/approval_pb.ts";
import { ApprovalAdminService } from "../../proto/gen/assembly/admin/v1/approvals_pb.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { IdentityService } from "../../proto/gen/assembly/admin/v1/identity_pb.ts";
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import { InvalidationService } from "../../proto/gen/assembly/gateway/v1/invalidation_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import {
  CheckActionRequestSchema,
  type CheckActionResponse,
  PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { SqliteStore } from "../../storage/sqlite/store.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { parseArguments } from "../config.ts";
import { type Gateway, startGateway } from "../server.ts";

const POLICY = `tools:
  deploy: { allow: true, requires_approval_if: 'tool == "deploy"' }
  mail:
    allow: true
    requires_approval_if: 'tool == "mail"'
`;

class World {
  gateway!: Gateway;
  channel!: Channel;
  operator!: Metadata;
  #offset_ms = 0;

  private constructor(readonly directory: string) {}

  static async with(
    use: (world: World) => Promise<void>,
    prepare: (state_dir: string) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const world = new World(await Deno.makeTempDir({ prefix: "approvals-" }));
    await Deno.writeTextFile(`${world.directory}/policy.yaml`, POLICY);
    await prepare(`${world.directory}/state`);
    await world.start();
    try {
      await use(world);
    } finally {
      await world.stop();
      await Deno.remove(world.directory, { recursive: true });
    }
  }

  async start(): Promise<void> {
    const parsed = parseArguments([
      ...["--policy", `${this.directory}/policy.yaml`],
      ...["--state-dir", `${this.directory}/state`],
      ...["--listen", "127.0.0.1:0", "--grace-ms", "300"],
    ]);
    assert.ok(parsed.action === "run");
    this.gateway = await startGateway(parsed.config, {
      ...SYSTEM_CLOCK,
      now_ms: () => Date.now() + this.#offset_ms,
    });
    this.channel = new Channel(this.gateway.listeners[0] ?? "");
    const token = (await Deno.readTextFile(`${this.directory}/state/operator.token`)).trim();
    this.operator = new Metadata().set("authorization", `Bearer ${token}`);
  }

  async stop(): Promise<void> {
    await this.channel.close();
    await this.gateway.stop("test");
  }

  advance(ms: number): void {
    this.#offset_ms += ms;
  }

  get admin() {
    return createClient(ApprovalAdminService, this.channel);
  }

  get reference() {
    return createClient(ApprovalService, this.channel);
  }

  /** The one pending request, once it is there. */
  async pending() {
    for (;;) {
      const { approvals } = await this.admin.listApprovals({}, { metadata: this.operator });
      const [first] = approvals;
      if (first !== undefined) return first;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Resolves once a request has that status. */
  async becomes(requestId: string, status: string): Promise<void> {
    for (;;) {
      const { approval } = await this.admin.getApproval({ requestId }, { metadata: this.operator });
      if (approval?.status === status) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async events(agent: TestAgent): Promise<string[]> {
    const { entries } = await this.gateway.audit.list({ limit: 50 });
    return entries.map((entry) => JSON.parse(entry.line)).filter((entry) =>
      JSON.parse(entry.payload).agent_id === agent.did
    ).map((entry) => entry.event_type).toReversed();
  }
}

function call(agent: TestAgent, args = "{}", tool = "deploy") {
  return create(CheckActionRequestSchema, {
    agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
    credentialToken: agent.token,
    traceId: "trace-1",
    spanId: "span-1",
    actionType: 2,
    context: {
      action: {
        case: "toolCall",
        value: { toolName: tool, argsJson: new TextEncoder().encode(args) },
      },
    },
  });
}

function ask(world: World, agent: TestAgent, args?: string): Promise<CheckActionResponse> {
  return createClient(PolicyService, world.channel).checkAction(call(agent, args));
}

/** The deferred form: the answer and the token it came with. */
async function defer(world: World, agent: TestAgent, args = "{}", resume = "") {
  const metadata = new Metadata().set("aasm-approval", "defer");
  if (resume !== "") metadata.set("aasm-resume", resume);
  let token = "";
  const response = await createClient(PolicyService, world.channel).checkAction(call(agent, args), {
    metadata,
    onTrailers: (trailers) => token = trailers.get("aasm-resume") ?? "",
  });
  return { response, token };
}

function bearer(token: string): { metadata: Metadata } {
  return { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
}

function shown({ decision, reason, policyRule }: CheckActionResponse): unknown[] {
  return [decision, reason, policyRule];
}

async function codeOf(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof GrpcError, String(error));
  return codeName(error.code);
}

Deno.test("A1: a held call is allowed once another agent of the team approves over the reference's service", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const peer = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const held = ask(world, agent);
    const { requestId } = await world.pending();
    const { requests } = await world.reference.listPending({}, bearer(peer.token));
    assert.deepEqual(
      requests.map((request) => [
        request.requestId,
        request.agentId,
        request.action,
        request.conditionTriggered,
        request.timeoutSecs,
        request.teamId,
        request.routingStatus,
      ]),
      [[
        requestId,
        agent.did,
        "action_type=2",
        "requires_approval",
        300n,
        "t1",
        "routed_to_team_admin",
      ]],
    );
    const mine = world.reference.decide({ requestId, decision: 1 }, bearer(agent.token));
    assert.equal(await codeOf(mine), "PERMISSION_DENIED", "A6");
    const decided = await world.reference.decide({ requestId, decision: 1 }, bearer(peer.token));
    assert.deepEqual([decided.success, decided.errorMessage], [true, ""]);
    const response = await held;
    assert.deepEqual(shown(response), [1, "", "requires_approval"]);
    assert.equal(response.approvalId, requestId);
    const again = await world.reference.decide({ requestId, decision: 1 }, bearer(peer.token));
    assert.equal(again.success, false, "A5");
    assert.match(again.errorMessage, /^already decided/);
    await world.becomes(requestId, "spent");
    assert.deepEqual(await world.events(agent), [
      "ApprovalRequested",
      "ApprovalRouted",
      "GovernanceMutation",
      "ApprovalGranted",
      "GovernanceMutation",
      "GovernanceMutation",
    ]);
  });
});

Deno.test("the reference's Decide answers each bad input as the contract says", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const peer = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const other = await registerAgent(world.channel, { org: "o1", team: "t2" });
    const child = await registerAgent(world.channel, { org: "o1", team: "t1", parent: agent.did });
    const loner = await registerAgent(world.channel);
    const { response } = await defer(world, agent);
    const { approvalId: requestId } = response;
    const decide = (request: Parameters<typeof world.reference.decide>[0], by = peer) =>
      world.reference.decide(request, bearer(by.token));
    assert.equal(await codeOf(decide({ requestId: "x", decision: 1 })), "INVALID_ARGUMENT");
    assert.equal(await codeOf(decide({ requestId })), "INVALID_ARGUMENT");
    assert.equal(await codeOf(decide({ requestId, decision: 7 as 1 })), "INVALID_ARGUMENT");
    assert.equal(
      await codeOf(decide({ requestId, decision: 2, reason: " " })),
      "INVALID_ARGUMENT",
      "A2",
    );
    assert.equal(await codeOf(decide({ requestId, decision: 1 }, other)), "PERMISSION_DENIED");
    assert.equal(await codeOf(decide({ requestId, decision: 1 }, loner)), "PERMISSION_DENIED");
    assert.equal(
      await codeOf(decide({ requestId, decision: 1 }, child)),
      "PERMISSION_DENIED",
      "trap 37",
    );
    assert.equal(
      await codeOf(world.reference.decide({ requestId, decision: 1 })),
      "UNAUTHENTICATED",
    );
    const unknown = await decide({ requestId: crypto.randomUUID(), decision: 1 });
    assert.match(unknown.errorMessage, /^not found/);
    const { requests } = await world.reference.listPending({}, bearer(other.token));
    assert.deepEqual(requests, [], "another team's requests are not listed");
  });
});

Deno.test("A3: an operator's rejection reaches the waiting call; A4: nobody's answer denies it", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const held = ask(world, agent);
    const { requestId } = await world.pending();
    const options = { metadata: world.operator };
    assert.equal(
      await codeOf(world.admin.rejectApproval({ requestId }, options)),
      "INVALID_ARGUMENT",
    );
    await world.admin.rejectApproval({ requestId, reason: "no" }, options);
    assert.deepEqual(shown(await held), [2, "no", "requires_approval"]);
    const unanswered = ask(world, agent);
    await world.pending();
    world.advance(300_000);
    assert.deepEqual(shown(await unanswered), [2, "approval timed out", "requires_approval"]);
  });
});

Deno.test("an operator sees what is approved and must name its digest; the arguments come back redacted", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const options = { metadata: world.operator };
    const args = JSON.stringify({ to: "prod", key: "AKIAIOSFODNN7EXAMPLE" });
    const held = ask(world, agent, args);
    const { requestId } = await world.pending();
    const { approval, shownText, shownTextHeld } = await world.admin.getApproval(
      { requestId },
      options,
    );
    assert.ok(approval && shownTextHeld);
    assert.match(shownText, /"to":"prod".*\[REDACTED:AwsAccessKey\]/);
    assert.equal(approval.rule, "tools.deploy.requires_approval_if");
    assert.match(approval.ruleAt, /policy\.yaml:2:\d+$/);
    assert.match(approval.digest, /^sha256:[0-9a-f]{64}$/);
    const approve = (expectedDigest: string) =>
      world.admin.approveApproval({ requestId, expectedDigest }, options);
    assert.equal(await codeOf(approve("")), "INVALID_ARGUMENT");
    assert.equal(await codeOf(approve(`sha256:${"0".repeat(64)}`)), "FAILED_PRECONDITION");
    assert.equal((await approve(approval.digest)).approval?.status, "approved");
    const response = await held;
    assert.equal(response.decision, 4, "trap 7: what is released is still redacted");
    assert.equal(await codeOf(approve(approval.digest)), "ABORTED");
  });
});

Deno.test("deferred: PENDING at once, allowed once with the token, refused when mutated or repeated", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const { response, token } = await defer(world, agent, '{"n":1}');
    assert.deepEqual([response.decision, response.policyRule], [3, "requires_approval"]);
    assert.match(token, /^aasm_resume_/);
    const { digest, requestId } = await world.pending();
    assert.equal(response.approvalId, requestId);
    await world.admin.approveApproval({ requestId, expectedDigest: digest }, {
      metadata: world.operator,
    });
    const mutated = await defer(world, agent, '{"n":2}', token);
    assert.equal(mutated.response.decision, 2);
    assert.match(mutated.response.reason, /resume refused: .*its action changed/);
    assert.equal((await defer(world, agent, '{"n":1}', token)).response.decision, 1);
    const second = await defer(world, agent, '{"n":1}', token);
    assert.deepEqual(shown(second.response), [
      2,
      "the approval has been used: ask again",
      "requires_approval",
    ]);
  });
});

Deno.test("trap 41: a pending request survives the gateway; its grant serves the agent's next identical call once", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const { token } = await defer(world, agent);
    const { requestId, digest } = await world.pending();
    await world.stop();
    await world.start();
    const options = { metadata: world.operator };
    const held = await world.admin.getApproval({ requestId }, options);
    assert.equal(held.shownTextHeld, false, "no argument is on the disk");
    await world.admin.approveApproval({ requestId, expectedDigest: digest }, options);
    await world.stop();
    await world.start();
    assert.equal((await ask(world, agent)).decision, 1);
    const used = await defer(world, agent, "{}", token);
    assert.match(used.response.reason, /has been used/);
  });
});

Deno.test("trap 8: an agent that was suspended while a person thought is denied, and its grant is kept", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const held = ask(world, agent);
    const { requestId, digest } = await world.pending();
    const options = { metadata: world.operator };
    const admin = createClient(AdminService, world.channel);
    await admin.suspendAgent({ agent: agent.did, reason: "look" }, options);
    await world.admin.approveApproval({ requestId, expectedDigest: digest }, options);
    assert.deepEqual((await held).reason, "agent suspended");
    await admin.resumeAgent({ agent: agent.did, reason: "fine" }, options);
    assert.equal((await ask(world, agent)).decision, 1);
  });
});

Deno.test("a role that may not decide is refused and the attempt is on record; a tenant hides its requests", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    await defer(world, agent);
    const { requestId, digest: expectedDigest } = await world.pending();
    const iam = createClient(IamService, world.channel);
    const as = async (name: string, role: string, orgId = "", teamId = "") => {
      const made = await iam.createOperator({ name, role, orgId, teamId }, {
        metadata: world.operator,
      });
      return bearer(made.token);
    };
    const attempt = { requestId, expectedDigest };
    const viewer = await as("vera", "viewer");
    assert.equal(await codeOf(world.admin.approveApproval(attempt, viewer)), "PERMISSION_DENIED");
    const { entries } = await world.gateway.audit.list({ limit: 5 });
    const payloads = entries.map((entry) => JSON.parse(JSON.parse(entry.line).payload));
    const refusal = payloads.find((payload) => payload.operation === "approval_answer_refused");
    assert.deepEqual([refusal?.actor, refusal?.code], ["operator:vera", "no_permission"]);
    const developer = await as("dev", "developer", "o1", "t1");
    assert.equal(
      await codeOf(world.admin.approveApproval(attempt, developer)),
      "PERMISSION_DENIED",
    );
    const foreign = await as("eve", "org_admin", "o2");
    assert.equal(await codeOf(world.admin.approveApproval(attempt, foreign)), "NOT_FOUND");
    assert.deepEqual((await world.admin.listApprovals({}, foreign)).approvals, []);
    const lead = await as("lead", "team_admin", "o1", "t1");
    const { approval } = await world.admin.approveApproval(attempt, lead);
    assert.equal(approval?.status, "approved");
    assert.equal(approval?.votes[0]?.by, "operator:lead");
  });
});

Deno.test("watching: agents are told of their team's new requests only, operators of every change", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const peer = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const other = await registerAgent(world.channel, { org: "o1", team: "t2" });
    const stop = new AbortController();
    const next = async (stream: AsyncIterable<{ requestId: string }>) => {
      for await (const event of stream) return event.requestId;
      return "ended";
    };
    const stream = (by: TestAgent) =>
      world.reference.watchApprovals({}, { ...bearer(by.token), signal: stop.signal });
    const own = next(stream(peer));
    const foreign = next(stream(other)).catch(() => "cancelled");
    const changes: string[] = [];
    const watched = (async () => {
      const options = { metadata: world.operator, signal: stop.signal };
      for await (const notice of world.admin.watchApprovals({ backlog: true }, options)) {
        changes.push(notice.change);
        if (notice.change === "revoked") return;
      }
    })();
    // The streams are open once a first request, made again and again, is seen.
    let seen: string | undefined;
    own.then((id) => seen = id);
    for (let n = 0; seen === undefined || changes.length === 0; n++) {
      await defer(world, agent, `{"n":${n}}`);
    }
    await createClient(AgentLifecycleService, world.channel).deregister({
      agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
      credentialToken: agent.token,
      reason: "done",
    });
    await watched;
    stop.abort();
    assert.equal(await foreign, "cancelled");
    assert.ok(changes.every((change) => ["pending", "submitted", "revoked"].includes(change)));
  });
});

Deno.test("an agent that is killed loses its pending requests and its unused grants", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const options = { metadata: world.operator };
    await defer(world, agent, '{"n":1}');
    const { requestId: granted, digest } = await world.pending();
    await world.admin.approveApproval({ requestId: granted, expectedDigest: digest }, options);
    const { response: { approvalId } } = await defer(world, agent, '{"n":2}');
    await createClient(IdentityService, world.channel).killAgent({
      agent: agent.did,
      reason: "rogue",
    }, options);
    for (const requestId of [granted, approvalId]) await world.becomes(requestId, "revoked");
  });
});

Deno.test("trap 59: an approval that times out is announced to the runtimes of its tenant, as denied", async () => {
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const stop = new AbortController();
    const opened = Promise.withResolvers<void>();
    const requests = async function* () {
      yield {
        assemblyId: "runtime-1",
        kind: { case: "initial" as const, value: { lastSeqSeen: 0n } },
      };
      opened.resolve();
      await new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
    };
    const announced = (async () => {
      const stream = createClient(InvalidationService, world.channel).subscribe(requests(), {
        ...bearer(agent.token),
        signal: stop.signal,
      });
      for await (const { payload } of stream) {
        if (payload.case === "approvalResolved") return payload.value;
      }
      return undefined;
    })();
    await opened.promise;
    let value: Awaited<typeof announced>;
    announced.then((found) => value = found);
    const ids: string[] = [];
    // Until the subscription stands, what ends is announced to nobody: one after the other times out.
    for (let n = 0; value === undefined; n++) {
      ids.push((await defer(world, agent, `{"n":${n}}`)).response.approvalId);
      world.advance(300_000);
      await Promise.race([announced, new Promise((resolve) => setTimeout(resolve, 500))]);
    }
    stop.abort();
    assert.ok(ids.includes(value.requestId));
    assert.equal(value.decision, 2);
  });
});

Deno.test("trap 14: a stored queue that cannot be read denies by name, and status says which record", async () => {
  const corrupt = async (state_dir: string) => {
    await Deno.mkdir(state_dir);
    const store = await SqliteStore.open({ path: `${state_dir}/registry.db` });
    await store.commit([{
      kind: "put_record",
      collection: "approval_history",
      key: "odd",
      value: "[]",
    }]);
    await store.close();
  };
  await World.with(async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const response = await ask(world, agent);
    assert.equal(response.decision, 2);
    assert.match(response.reason, /^the stored approval queue is damaged: record `odd`/);
    const options = { metadata: world.operator };
    const { components } = await createClient(AdminService, world.channel).getStatus({}, options);
    const room = components.find(({ name }) => name === "approvals");
    assert.equal(room?.state, "unavailable");
    assert.equal(await codeOf(world.admin.listApprovals({}, options)), "UNAVAILABLE");
  }, corrupt);
});
