/**
 * Operator control and invalidation over the gateway's own gRPC port.
 */
import assert from "node:assert/strict";
import { type Channel, Code, createClient, Metadata } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { EnforcementMode } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { OperationsService } from "../../proto/gen/assembly/admin/v1/operations_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import {
  type InvalidationEvent,
  InvalidationService,
} from "../../proto/gen/assembly/gateway/v1/invalidation_pb.ts";
import {
  type OpControlMessage,
  OpControlSignal,
  PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import {
  codeOf,
  gatewayOver,
  withGateway as inDirectory,
} from "../../tests/harness/local_gateway.ts";

const POLICY = "tools:\n  search: { allow: true }\n";
const withGateway = (flags: readonly string[], use: Parameters<typeof inDirectory>[2]) =>
  inDirectory(POLICY, flags, use);

function tokenOf(agent: TestAgent): Metadata {
  return new Metadata().set("x-aa-credential-token", agent.token);
}

function idOf(agent: TestAgent) {
  return { orgId: agent.org, teamId: agent.team, agentId: agent.did };
}

async function firstOf<T>(stream: AsyncIterable<T>, count: number): Promise<T[]> {
  const read: T[] = [];
  for await (const one of stream) {
    read.push(one);
    if (read.length === count) break;
  }
  return read;
}

const SIGNAL_NAMES = ["", "pause", "resume", "terminate"];
const shown = ({ opId, signal }: OpControlMessage) => `${SIGNAL_NAMES[signal]} ${opId}`;

Deno.test("OpControlStream: needs the agent, its own token, and its own triple", async () => {
  await withGateway([], async ({ channel }) => {
    const policy = createClient(PolicyService, channel);
    const agent = await registerAgent(channel, { team: "a" });
    const other = await registerAgent(channel, { team: "b" });
    const open = (agentId: ReturnType<typeof idOf> | undefined, metadata?: Metadata) =>
      codeOf(firstOf(
        policy.opControlStream(
          agentId === undefined ? {} : { agentId },
          metadata === undefined ? {} : { metadata },
        ),
        1,
      ));
    assert.equal(await open(undefined, tokenOf(agent)), Code.INVALID_ARGUMENT);
    assert.equal(await open(idOf(agent)), Code.UNAUTHENTICATED);
    const unknown = new Metadata().set("x-aa-credential-token", "nobody");
    assert.equal(await open(idOf(agent), unknown), Code.UNAUTHENTICATED);
    assert.equal(await open(idOf(other), tokenOf(agent)), Code.PERMISSION_DENIED);
  });
});

Deno.test("trap 9.1: a caller on this machine listens without a token only where an operator opted in", async () => {
  await withGateway(["--op-control-loopback"], async ({ channel, operator }) => {
    const policy = createClient(PolicyService, channel);
    const operations = createClient(OperationsService, channel);
    const agent = await registerAgent(channel);
    await operations.terminate({ target: `agent:${agent.did}`, reason: "test" }, operator);
    const [message] = await firstOf(policy.opControlStream({ agentId: idOf(agent) }), 1);
    assert.ok(message);
    assert.equal(shown(message), `terminate agent:${agent.did}`);
    const wrong = new Metadata().set("x-aa-credential-token", "nobody");
    const presented = firstOf(
      policy.opControlStream({ agentId: idOf(agent) }, { metadata: wrong }),
      1,
    );
    assert.equal(await codeOf(presented), Code.UNAUTHENTICATED, "a wrong token is never ignored");
  });
});

Deno.test("a fleet halt is told, survives a restart, and needs the admin permission to give and to lift", async () => {
  await withGateway([], async ({ directory, channel, operator, gateway }) => {
    const operations = createClient(OperationsService, channel);
    const admin = createClient(AdminService, channel);
    const { token } = await admin.createOperatorToken({ name: "w", scope: "write" }, operator);
    const writer = { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
    const halt = { action: "terminate", reason: "incident" };
    assert.equal(await codeOf(operations.haltAll(halt)), Code.UNAUTHENTICATED);
    assert.equal(await codeOf(operations.haltAll(halt, writer)), Code.PERMISSION_DENIED);
    assert.equal(
      await codeOf(operations.haltAll({ ...halt, reason: " " }, operator)),
      Code.INVALID_ARGUMENT,
    );
    assert.equal(
      await codeOf(operations.haltAll({ ...halt, action: "resume" }, operator)),
      Code.INVALID_ARGUMENT,
    );
    assert.equal(
      await codeOf(operations.terminate({ target: "*", reason: "no" }, operator)),
      Code.INVALID_ARGUMENT,
      "the fleet is not reached through a single order",
    );
    const agent = await registerAgent(channel);
    const listening = firstOf(
      createClient(PolicyService, channel).opControlStream({ agentId: idOf(agent) }, {
        metadata: tokenOf(agent),
      }),
      1,
    );
    // The halt is told whether the subscription is there before it or after.
    const { auditIndex } = await operations.haltAll(halt, operator);
    assert.deepEqual((await listening).map(shown), ["terminate *"]);
    const { entries } = await gateway.audit.list({ limit: 1 });
    assert.equal(entries[0]?.seq, auditIndex);
    assert.match(entries[0]?.line ?? "", /operations_terminated/);
    assert.match(entries[0]?.line ?? "", /operator:local/);
    await channel.close();
    await gateway.stop("restart");
    await gatewayOver(directory, [], async (second) => {
      const client = createClient(OperationsService, second.channel);
      assert.equal((await client.listOps({}, second.operator)).fleet, "terminated");
      await client.liftHalt({ reason: "over" }, second.operator);
      assert.equal((await client.listOps({}, second.operator)).fleet, "running");
    });
  });
});

Deno.test("a signal reaches a subscriber that waits, and pausing, resuming and ending are answered with both states", async () => {
  await withGateway([], async ({ channel, operator }) => {
    const operations = createClient(OperationsService, channel);
    const agent = await registerAgent(channel);
    const target = { target: `agent:${agent.did}`, reason: "test" };
    const listening = firstOf(
      createClient(PolicyService, channel).opControlStream({ agentId: idOf(agent) }, {
        metadata: tokenOf(agent),
      }),
      3,
    );
    let told = 0;
    const deadline_ms = Date.now() + 20_000;
    while (told === 0) {
      assert.ok(Date.now() < deadline_ms, "the subscription never arrived");
      const paused = await operations.pause(target, operator);
      assert.deepEqual([paused.stateBefore, paused.stateNow], ["running", "paused"]);
      told = paused.subscribersTold;
      if (told === 0) await operations.resume(target, operator);
    }
    await operations.resume(target, operator);
    await operations.terminate(target, operator);
    const messages = await listening;
    assert.deepEqual(messages.map(({ signal }) => signal), [
      OpControlSignal.PAUSE,
      OpControlSignal.RESUME,
      OpControlSignal.TERMINATE,
    ]);
    assert.ok(messages.every(({ opId }) => opId === `agent:${agent.did}`));
    const sequences = messages.map(({ sequence }) => sequence);
    assert.deepEqual(sequences, sequences.toSorted((a, b) => a < b ? -1 : 1));
    assert.equal(await codeOf(operations.resume(target, operator)), Code.FAILED_PRECONDITION);
    const { orders } = await operations.listOps({}, operator);
    assert.deepEqual(orders.map((order) => `${order.target} ${order.state} ${order.actor}`), [
      `agent:${agent.did} terminated operator:local`,
    ]);
    assert.equal(
      await codeOf(operations.pause({ target: "agent:nobody", reason: "r" }, operator)),
      Code.NOT_FOUND,
    );
    assert.equal(
      await codeOf(operations.pause({ target: "t:s", reason: "r" }, operator)),
      Code.NOT_FOUND,
    );
  });
});

Deno.test("trap 6: a paused or ended agent, operation or fleet is denied by the gateway itself, even while observed", async () => {
  await withGateway([], async ({ channel, operator }) => {
    const operations = createClient(OperationsService, channel);
    const agent = await registerAgent(channel);
    const other = await registerAgent(channel);
    const ask = async (who: TestAgent, spanId = "s") => {
      const { decision, reason } = await createClient(PolicyService, channel).checkAction({
        agentId: idOf(who),
        credentialToken: who.token,
        traceId: "t",
        spanId,
        context: { action: { case: "toolCall", value: { toolName: "search" } } },
      });
      return `${decision} ${reason}`;
    };
    await createClient(AdminService, channel).setEnforcementMode({
      agent: agent.did,
      mode: EnforcementMode.OBSERVE,
      reason: "trial",
      expiresAtUnixMs: BigInt(Date.now() + 3_600_000),
    }, operator);
    assert.equal(await ask(agent), "1 ");
    const op = { target: "t:s", reason: "r" };
    await operations.pause(op, operator);
    assert.equal(await ask(agent), "2 operation paused by an operator");
    assert.equal(await ask(agent, "s2"), "1 ", "its other operations go on");
    await operations.resume(op, operator);
    const whole = { target: `agent:${agent.did}`, reason: "r" };
    await operations.terminate(whole, operator);
    assert.equal(await ask(agent), "2 agent terminated by an operator");
    assert.equal(await ask(other), "1 ");
    await operations.haltAll({ action: "pause", reason: "r" }, operator);
    assert.equal(await ask(other), "2 all operations paused by an operator");
    const { explanation } = await createClient(AdminService, channel).explainAction({
      request: {
        agentId: idOf(other),
        credentialToken: other.token,
        context: { action: { case: "toolCall", value: { toolName: "search" } } },
      },
    }, operator);
    assert.match(explanation?.summary ?? "", /an operator stopped this/);
    await operations.liftHalt({ reason: "r" }, operator);
    assert.equal(await ask(other), "1 ");
    const { ops } = await operations.listOps({}, operator);
    assert.deepEqual(ops.map(({ opId, state }) => `${opId} ${state}`).toSorted(), [
      "t:s running",
      "t:s running",
      "t:s2 running",
    ]);
  });
});

/** A subscription that a test writes to by hand. */
function subscription(channel: Channel, agent: TestAgent | undefined) {
  const { readable, writable } = new TransformStream<
    Parameters<
      ReturnType<typeof createClient<typeof InvalidationService>>["subscribe"]
    >[0] extends AsyncIterable<infer M> ? M : never
  >();
  const events = createClient(InvalidationService, channel).subscribe(
    readable,
    agent === undefined ? {} : { metadata: tokenOf(agent) },
  );
  return { events, writer: writable.getWriter() };
}

async function next(events: AsyncIterator<InvalidationEvent>): Promise<InvalidationEvent> {
  const { value, done } = await events.next();
  assert.ok(done !== true);
  return value;
}

Deno.test("Subscribe: needs a token and an assembly_id in the first message", async () => {
  await withGateway([], async ({ channel }) => {
    const agent = await registerAgent(channel);
    const anonymous = subscription(channel, undefined);
    anonymous.writer.write({ assemblyId: "a" }).catch(() => {});
    assert.equal(await codeOf(firstOf(anonymous.events, 1)), Code.UNAUTHENTICATED);
    const blank = subscription(channel, agent);
    blank.writer.write({ assemblyId: "" }).catch(() => {});
    assert.equal(await codeOf(firstOf(blank.events, 1)), Code.INVALID_ARGUMENT);
    const silent = subscription(channel, agent);
    silent.writer.close().catch(() => {});
    assert.equal(await codeOf(firstOf(silent.events, 1)), Code.INVALID_ARGUMENT);
  });
});

Deno.test("trap 59: a reload is announced with its epoch, replayed on reconnect until acknowledged", async () => {
  await withGateway([], async ({ directory, gateway, channel }) => {
    const agent = await registerAgent(channel, { team: "t" });
    const edit = async (text: string) => {
      await Deno.writeTextFile(`${directory}/policy.yaml`, text);
      await gateway.policy.reload();
    };
    const first = subscription(channel, agent);
    first.writer.write({ assemblyId: "runtime-1" }).catch(() => {});
    const events = first.events[Symbol.asyncIterator]();
    const pending = next(events);
    // Announcements before the subscription arrived are not its own: edit until one comes.
    let edits = 0;
    let event: InvalidationEvent | undefined;
    pending.then((got) => event = got);
    const deadline_ms = Date.now() + 20_000;
    while (event === undefined) {
      assert.ok(Date.now() < deadline_ms, "nothing was announced");
      await edit(`tools:\n  search: { allow: ${edits++ % 2 === 0} }\n# ${edits}\n`);
    }
    assert.equal(event.seq, 1n);
    assert.equal(event.payload.case, "policyInvalidated");
    assert.equal(event.payload.value?.agentId, "");
    await edit("tools:\n  search: { allow: true }\n# last\n");
    const epoch = BigInt(gateway.policy.status().epoch);
    let last = event;
    while (last.payload.case === "policyInvalidated" && last.payload.value.policyVersion < epoch) {
      const following = await next(events);
      assert.equal(following.seq, last.seq + 1n, "numbers have no gap");
      last = following;
    }
    first.writer.abort().catch(() => {});
    await events.return?.();

    const second = subscription(channel, agent);
    second.writer.write({
      assemblyId: "runtime-1",
      kind: { case: "initial", value: { lastSeqSeen: last.seq - 1n } },
    }).catch(() => {});
    const [replayed] = await firstOf(second.events, 1);
    assert.equal(replayed?.seq, last.seq, "what was not seen comes again");

    const beyond = subscription(channel, agent);
    beyond.writer.write({
      assemblyId: "runtime-1",
      kind: { case: "initial", value: { lastSeqSeen: last.seq + 1_000n } },
    }).catch(() => {});
    assert.equal(await codeOf(firstOf(beyond.events, 1)), Code.OUT_OF_RANGE);
  });
});

Deno.test("an agent that is deregistered is told so on its stream, and hears nothing more", async () => {
  await withGateway([], async ({ channel }) => {
    const agent = await registerAgent(channel);
    const { events, writer } = subscription(channel, agent);
    writer.write({ assemblyId: "a" }).catch(() => {});
    const ended = codeOf(firstOf(events, 1));
    // The stream may arrive before or after the end of the registration: either way it is refused.
    await createClient(AgentLifecycleService, channel).deregister({
      agentId: idOf(agent),
      credentialToken: agent.token,
      reason: "done",
    });
    assert.equal(await ended, Code.UNAUTHENTICATED);
  });
});
