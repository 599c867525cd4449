/** What a runtime is told, lent and believed, over the gateway's own gRPC port. */
import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Channel,
  Code,
  createClient,
  GrpcError,
  Metadata,
} from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { AlertService } from "../../proto/gen/assembly/admin/v1/alerts_pb.ts";
import { IdentityService } from "../../proto/gen/assembly/admin/v1/identity_pb.ts";
import { OperationsService } from "../../proto/gen/assembly/admin/v1/operations_pb.ts";
import {
  type FollowEvent,
  type FollowRequest,
  FollowRequestSchema,
  RuntimeDecisionSchema,
  RuntimeService,
  type RuntimeSnapshot,
} from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import { parseArguments } from "../config.ts";
import { type Gateway, startGateway } from "../server.ts";

interface World {
  readonly directory: string;
  readonly gateway: Gateway;
  readonly channel: Channel;
  readonly operator: CallOptions;
}

async function withGateway(
  files: Readonly<Record<string, string>>,
  use: (world: World, restart: () => Promise<World>) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "runtimes-" });
  await Deno.mkdir(`${directory}/policies`);
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/policies/${name}`, text);
  }
  let world = await opened(directory);
  const close = async () => {
    await world.channel.close();
    await world.gateway.stop("test");
  };
  try {
    await use(world, async () => {
      await close();
      world = await opened(directory);
      return world;
    });
  } finally {
    await close();
    await Deno.remove(directory, { recursive: true });
  }
}

async function opened(directory: string): Promise<World> {
  const parsed = parseArguments([
    ...["--policy", `${directory}/policies`, "--state-dir", `${directory}/state`],
    ...["--listen", "127.0.0.1:0", "--grace-ms", "200"],
  ]);
  assert.ok(parsed.action === "run");
  const gateway = await startGateway(parsed.config);
  const channel = new Channel(gateway.listeners[0] ?? "");
  const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
  const operator = { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
  return { directory, gateway, channel, operator };
}

const credential = (agent: TestAgent): CallOptions => ({
  metadata: new Metadata().set("x-aa-credential-token", agent.token),
});

/** A runtime's end of the stream. */
class Follow {
  readonly #requests: FollowRequest[] = [];
  #wake: () => void = () => {};
  readonly #events: AsyncIterator<FollowEvent>;
  #number = 0n;

  constructor(channel: Channel, agent: TestAgent, readonly runtime_id = crypto.randomUUID()) {
    const client = createClient(RuntimeService, channel);
    const agentId = { orgId: agent.org, teamId: agent.team, agentId: agent.did };
    this.#requests.push(create(FollowRequestSchema, {
      kind: { case: "hello", value: { agentId, runtimeId: runtime_id, version: "1" } },
    }));
    this.#events = client.follow(this.#sending(), credential(agent))[Symbol.asyncIterator]();
  }

  async *#sending(): AsyncGenerator<FollowRequest> {
    while (true) {
      const next = this.#requests.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  ping(epoch: bigint): void {
    const value = { number: ++this.#number, epoch };
    this.#requests.push(create(FollowRequestSchema, { kind: { case: "ping", value } }));
    this.#wake();
  }

  async next(): Promise<FollowEvent["kind"]> {
    const next = await this.#events.next();
    assert.ok(next.done !== true, "the stream ended");
    return next.value.kind;
  }

  async snapshot(): Promise<RuntimeSnapshot> {
    const kind = await this.next();
    assert.ok(kind.case === "snapshot", kind.case);
    return kind.value;
  }

  async end(): Promise<void> {
    await this.#events.return?.(undefined);
  }
}

async function codeOf(work: () => Promise<unknown>): Promise<Code> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    return error.code;
  }
  throw new assert.AssertionError({ message: "it was answered" });
}

const TOOLS = "tools: { search: { allow: true, limit_per_hour: 320 } }\n";
const GLOBAL = `scope: global\n${TOOLS}`;

Deno.test("a runtime is told the documents that may govern its agent, and no others", async () => {
  await withGateway({
    "a.yaml": GLOBAL,
    "b.yaml": `scope: team:t1\n${TOOLS}`,
    "c.yaml": `scope: team:t2\n${TOOLS}`,
    "d.yaml": `scope: tool:search\n${TOOLS}`,
  }, async ({ channel }) => {
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    const follow = new Follow(channel, agent);
    const { policy, principal, orders, suspended } = await follow.snapshot();
    assert.deepEqual(policy?.documents.map(({ file }) => file), ["a.yaml", "b.yaml", "d.yaml"]);
    assert.equal(principal?.status, "active");
    assert.equal(principal?.tokenSha256.length, 32);
    assert.deepEqual(orders, []);
    assert.equal(suspended, "");
    await follow.end();
  });
});

Deno.test("a changed policy, an order and a suspension reach the runtime at once, in epochs that ascend", async () => {
  await withGateway({ "a.yaml": GLOBAL }, async ({ channel, directory, gateway, operator }) => {
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    const follow = new Follow(channel, agent);
    const first = await follow.snapshot();
    follow.ping(first.epoch);
    const pong = await follow.next();
    assert.ok(pong.case === "pong" && pong.value.authorityMs > 0 && pong.value.number === 1n);

    await Deno.writeTextFile(`${directory}/policies/a.yaml`, "scope: global\ntools: {}\n");
    await gateway.policy.reload();
    const second = await follow.snapshot();
    assert.ok(second.epoch > first.epoch);
    assert.notEqual(second.policy?.digest, first.policy?.digest);
    const service = createClient(RuntimeService, channel);
    assert.equal((await service.listRuntimes({}, operator)).allAcknowledged, false);
    follow.ping(second.epoch);
    assert.equal((await follow.next()).case, "pong");
    assert.equal((await service.listRuntimes({}, operator)).allAcknowledged, true);

    const operations = createClient(OperationsService, channel);
    await operations.pause({ target: `agent:${agent.did}`, reason: "look" }, operator);
    const third = await follow.snapshot();
    assert.equal(third.policy, undefined, "an unchanged policy is not sent again");
    assert.deepEqual(third.orders.map(({ opId, signal }) => [opId, signal]), [
      [`agent:${agent.did}`, "pause"],
    ]);

    const admin = createClient(AdminService, channel);
    await admin.suspendAgent({ agent: agent.did, reason: "test" }, operator);
    assert.equal((await follow.snapshot()).principal?.status, "suspended");
    await createClient(IdentityService, channel).revokeAgentToken(
      { agent: agent.did, reason: "test" },
      operator,
    );
    await assert.rejects(async () => {
      while (true) await follow.next();
    }, (error) => error instanceof GrpcError && error.code === Code.UNAUTHENTICATED);
  });
});

Deno.test("a runtime has no more authority than its agent: another's name, or no token, is refused", async () => {
  await withGateway({ "a.yaml": GLOBAL }, async ({ channel }) => {
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    const other = await registerAgent(channel, { org: "o1", team: "t2" });
    const posing = new Follow(channel, { ...agent, did: other.did, team: other.team });
    assert.equal(await codeOf(() => posing.next()), Code.PERMISSION_DENIED);
    const nameless = new Follow(channel, { ...agent, token: "x" });
    assert.equal(await codeOf(() => nameless.next()), Code.UNAUTHENTICATED);
    const service = createClient(RuntimeService, channel);
    assert.equal(await codeOf(() => service.report({}, {})), Code.UNAUTHENTICATED);
    assert.equal(await codeOf(() => service.lease({}, {})), Code.UNAUTHENTICATED);
    assert.equal(
      await codeOf(() => service.listRuntimes({}, credential(agent))),
      Code.UNAUTHENTICATED,
    );
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 2_000; round++) {
    if (await holds()) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  assert.fail("it did not come to hold");
}

const sample = (tool: string) => ({
  action: { case: "toolCall" as const, value: { toolName: tool } },
});

Deno.test("a lease takes its rate tokens at once, a part of the limit at most, and only while followed", async () => {
  await withGateway({ "a.yaml": GLOBAL }, async ({ channel }) => {
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    const service = createClient(RuntimeService, channel);
    const follow = new Follow(channel, agent);
    const { gatewayId, epoch } = await follow.snapshot();
    const ask = (calls: number, more = {}) =>
      service.lease({
        ...{ runtimeId: follow.runtime_id, gatewayId, epoch },
        asks: [{ classId: "c", sample: sample("search"), calls }],
        ...more,
      }, credential(agent));
    const [grant] = (await ask(1_000)).grants;
    assert.equal(grant?.calls, 20, "a sixteenth of 320");
    assert.ok((grant?.lastsMs ?? 0) > 0);
    assert.match(
      (await ask(1, { gatewayId: crypto.randomUUID() })).grants[0]?.refusal ?? "",
      /anew/,
    );
    assert.match((await ask(1, { epoch: epoch + 9n })).grants[0]?.refusal ?? "", /on its way/);
    assert.match((await ask(0)).grants[0]?.refusal ?? "", /at least 1/);
    const denied = await service.lease({
      ...{ runtimeId: follow.runtime_id, gatewayId, epoch },
      asks: [{ classId: "c", sample: sample("rm"), calls: 1 }],
    }, credential(agent));
    assert.notEqual(denied.grants[0]?.refusal, "");
    // 300 are left of 320: fifteen more of twenty, then none.
    let left = 0;
    for (let time = 0; time < 20; time++) left += (await ask(20)).grants[0]?.calls ?? 0;
    assert.equal(left, 300);
    await follow.end();
  });
});

function decisionBytes(more: Record<string, unknown> = {}): Uint8Array {
  return toBinary(
    RuntimeDecisionSchema,
    create(RuntimeDecisionSchema, {
      decidedAtUnixMs: BigInt(Date.now()),
      decision: 1,
      actionType: 2,
      action: sample("search"),
      traceId: "t",
      spanId: "s",
      because: "policy",
      ...more,
    }),
  );
}

async function entriesOf(world: World): Promise<Record<string, unknown>[]> {
  const { entries } = await world.gateway.audit.list({ limit: 1_000 });
  return entries.reverse().map(({ line }) => {
    const entry = JSON.parse(line) as { payload: string };
    return JSON.parse(entry.payload) as Record<string, unknown>;
  }).filter((payload) => payload["spool_id"] !== undefined);
}

Deno.test("reported decisions are taken once each, in order, also over a restart; gaps are refused by name", async () => {
  await withGateway({ "a.yaml": GLOBAL }, async (world, restart) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const other = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const spoolId = crypto.randomUUID();
    const content = decisionBytes();
    const records = (count: number) =>
      Array.from({ length: count }, () => ({ kind: "decision", content }));
    let service = createClient(RuntimeService, world.channel);
    const report = (firstSeq: bigint, count: number, as = agent, adopt = false) =>
      service.report({ spoolId, firstSeq, records: records(count), adopt }, credential(as));
    assert.equal(await codeOf(() => report(5n, 1)), Code.NOT_FOUND);
    assert.equal((await report(1n, 3)).durableThrough, 3n);
    assert.equal((await report(1n, 3)).durableThrough, 3n, "a replay is acknowledged again");
    assert.equal((await report(2n, 4)).durableThrough, 5n, "what is new of it is taken");
    assert.equal(await codeOf(() => report(7n, 1)), Code.FAILED_PRECONDITION);
    assert.equal(await codeOf(() => report(6n, 1, other)), Code.PERMISSION_DENIED);
    const again = await restart();
    service = createClient(RuntimeService, again.channel);
    assert.equal((await report(4n, 4)).durableThrough, 7n);
    const entries = await entriesOf(again);
    assert.deepEqual(entries.map((entry) => entry["spool_seq"]), [1, 2, 3, 4, 5, 6, 7]);
    for (const entry of entries) {
      assert.equal(entry["decided_by"], "runtime");
      assert.equal(entry["spool_id"], spoolId);
    }
  });
});

Deno.test("an unknown spool that begins late is adopted only by name, and that is on record", async () => {
  await withGateway({ "a.yaml": GLOBAL }, async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const service = createClient(RuntimeService, world.channel);
    const spoolId = crypto.randomUUID();
    const request = {
      ...{ spoolId, firstSeq: 40n, adopt: true },
      records: [{ kind: "decision", content: decisionBytes() }],
    };
    assert.equal((await service.report(request, credential(agent))).durableThrough, 40n);
    const [adopted, entry] = await entriesOf(world);
    assert.equal(adopted?.["action"], "runtime_spool_adopted");
    assert.equal(adopted?.["begins_at"], 40);
    assert.equal(entry?.["spool_seq"], 40);
  });
});

Deno.test("an allow that the gateway's policy of that moment denies is marked and told; unreadable records are too", async () => {
  await withGateway({ "a.yaml": GLOBAL }, async (world) => {
    const agent = await registerAgent(world.channel, { org: "o1", team: "t1" });
    const service = createClient(RuntimeService, world.channel);
    const follow = new Follow(world.channel, agent);
    const policyDigest = (await follow.snapshot()).policy?.digest ?? "";
    const forbidden = decisionBytes({
      policyDigest,
      action: { action: { case: "fileOp", value: { operation: "read", path: "/x" } } },
    });
    await Deno.writeTextFile(
      `${world.directory}/policies/a.yaml`,
      "scope: global\nfilesystem: { read: { allow: [/home] } }\n",
    );
    await world.gateway.policy.reload();
    const denying = (await follow.snapshot()).policy?.digest ?? "";
    const lying = decisionBytes({
      policyDigest: denying,
      action: { action: { case: "fileOp", value: { operation: "read", path: "/etc/passwd" } } },
    });
    await service.report({
      ...{ spoolId: crypto.randomUUID(), firstSeq: 1n },
      records: [
        { kind: "decision", content: forbidden },
        { kind: "decision", content: lying },
        { kind: "decision", content: new Uint8Array([1, 2, 3]) },
        { kind: "decision", content: decisionBytes({ policyDigest: "sha256:gone" }) },
        {
          kind: "decision",
          content: decisionBytes({
            because: "local_rules",
            action: { action: { case: "fileOp", value: { operation: "read", path: "/etc/x" } } },
          }),
        },
      ],
    }, credential(agent));
    const entries = await entriesOf(world);
    assert.equal(entries[0]?.["recheck"], "agrees");
    assert.match(String(entries[1]?.["recheck"]), /denied: path not in filesystem allowlist/);
    assert.equal(entries[2]?.["action"], "runtime_record_unreadable");
    assert.equal(entries[3]?.["recheck"], "unknown_policy");
    assert.match(String(entries[4]?.["recheck"]), /denied/, "local rules are held to policy, too");
    const alerts = createClient(AlertService, world.channel);
    await until(async () => {
      const listed = await alerts.listAlerts({}, world.operator);
      const sources = listed.alerts.map(({ source }) => source);
      return ["runtime_disagrees", "runtime_record_unreadable", "runtime_decided_alone"]
        .every((source) => sources.includes(source));
    });
    await follow.end();
  });
});
