/**
 * The whole gateway with transport workers, held against the same gateway without.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Channel, Code, createClient, GrpcError, Metadata } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import { AuditService } from "../../proto/gen/assembly/audit/v1/audit_pb.ts";
import {
  CheckActionRequestSchema,
  PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { registerAgent } from "../../tests/harness/agent.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { type GatewayConfig, parseArguments } from "../config.ts";
import { type Gateway, startGateway } from "../server.ts";

const POLICY = "tools:\n  bash: { allow: false }\n  search: { allow: true }\n" +
  "  deploy: { allow: false }\n";

interface Running {
  readonly gateway: Gateway;
  readonly target: string;
  readonly operator: Metadata;
  /** The threads of its transport, in the order they were started. */
  readonly threads: readonly Worker[];
}

/** A port nobody listens on just now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Runs with the policy in a file of its own. */
async function withPolicy(use: (policy_file: string) => Promise<void>): Promise<void> {
  const policy_file = await Deno.makeTempFile({ prefix: "policy-", suffix: ".yaml" });
  try {
    await Deno.writeTextFile(policy_file, POLICY);
    await use(policy_file);
  } finally {
    await Deno.remove(policy_file);
  }
}

/** A gateway whose clock stands still, so that two of them record the same. */
async function withGateway(
  policy_file: string,
  workers: number,
  use: (running: Running) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gateway-" });
  const flags = ["--transport-workers", String(workers), "--allow-shared-port"];
  const parsed = parseArguments([
    ...["--policy", policy_file, "--state-dir", `${directory}/state`],
    ...["--listen", `127.0.0.1:${freePort()}`, "--grace-ms", "2000", ...flags],
  ]);
  assert.equal(parsed.action, "run", JSON.stringify(parsed));
  const now_ms = 1_800_000_000_000;
  const clock = {
    ...SYSTEM_CLOCK,
    now_ms: () => now_ms,
    now_ns: () => BigInt(now_ms) * 1_000_000n,
    monotonic_us: () => 0,
  };
  const threads: Worker[] = [];
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      if (options?.name === "transport") threads.push(this);
    }
  };
  try {
    const gateway = await startGateway((parsed as { config: GatewayConfig }).config, clock);
    try {
      const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
      const operator = new Metadata().set("authorization", `Bearer ${token}`);
      await use({ gateway, target: gateway.listeners[0] ?? "", operator, threads });
    } finally {
      await gateway.stop("test");
    }
  } finally {
    globalThis.Worker = RealWorker;
    await Deno.remove(directory, { recursive: true });
  }
}

function toolCall(tool: string, args = "{}", trace = "trace-1") {
  return create(CheckActionRequestSchema, {
    agentId: { orgId: "acme", teamId: "ops", agentId: "agent-1" },
    traceId: trace,
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

/** Everything a caller is told of one call. */
async function told(call: (options: object) => Promise<unknown>): Promise<unknown> {
  let trailers: unknown;
  const metadata = new Metadata().set("aasm-explain", "1");
  const onTrailers = (received: Metadata) => trailers = [...received.fields];
  try {
    return { answer: await call({ metadata, onTrailers }), trailers };
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    return { code: error.code, text: error.message, fields: [...error.metadata.fields], trailers };
  }
}

async function* events() {
  yield await Promise.resolve({ eventId: "e-1" });
}

async function script({ target }: Running): Promise<unknown[]> {
  const channel = new Channel(target);
  const policy = createClient(PolicyService, channel);
  const agents = createClient(AgentLifecycleService, channel);
  const audit = createClient(AuditService, channel);
  const admin = createClient(AdminService, channel);
  const said: unknown[] = [];
  const ask = async (call: (options: object) => Promise<unknown>) => said.push(await told(call));
  try {
    for (const tool of ["bash", "search", "deploy", "unknown"]) {
      await ask((options) => policy.checkAction(toolCall(tool), options));
    }
    await ask((o) => policy.checkAction(toolCall("search", `{"key":"AKIAIOSFODNN7EXAMPLE"}`), o));
    await ask((options) => policy.checkAction({}, options));
    await ask((options) => policy.checkAction({ traceId: "t".repeat(2_000) }, options));
    const requests = ["bash", "search", "bash"].map((tool) => toolCall(tool));
    await ask((options) => policy.batchCheck({ requests }, options));
    await ask((options) => agents.heartbeat({ credentialToken: "no such token" }, options));
    await ask((options) => agents.register({ name: "unproven" }, options));
    await ask((options) => audit.reportEvents({ events: [{ eventId: "e" }] }, options));
    await ask((options) => audit.streamEvents(events(), options));
    await ask(async (options) => {
      for await (const _ of agents.controlStream({ credentialToken: "none" }, options));
    });
    await ask((options) => policy.checkAction(toolCall("search"), { ...options, timeout_ms: 0 }));
    await ask((options) => admin.getStatus({}, options));
    return said;
  } finally {
    await channel.close();
  }
}

/** What was recorded of each event. */
async function record({ gateway }: Running): Promise<unknown[]> {
  const { entries } = await gateway.audit.list({ limit: 1_000 });
  return entries.map(({ line }) => {
    const { payload, event_type } = JSON.parse(line);
    return [event_type, JSON.parse(payload)];
  });
}

Deno.test("the same calls through transport workers have the same answers, trailers and record", async () => {
  const said: unknown[][] = [];
  const recorded: unknown[][] = [];
  await withPolicy(async (policy_file) => {
    for (const workers of [0, 1, 2]) {
      await withGateway(policy_file, workers, async (running) => {
        assert.equal(running.threads.length, workers);
        said.push(await script(running));
        recorded.push(await record(running));
      });
    }
  });
  assert.equal(said[0]?.length, 15);
  assert.ok((recorded[0]?.length ?? 0) >= 8, "decisions are recorded");
  for (const other of [1, 2]) {
    assert.deepEqual(said[other], said[0]);
    assert.deepEqual(recorded[other], recorded[0]);
  }
});

Deno.test("agents register, prove themselves and hear commands through a transport worker", async () => {
  await withPolicy((policy_file) =>
    withGateway(policy_file, 1, async ({ target, operator }) => {
      const channel = new Channel(target);
      const agent = await registerAgent(channel);
      const control = createClient(AgentLifecycleService, channel).controlStream({
        agentId: { agentId: agent.did, orgId: agent.org, teamId: agent.team },
        credentialToken: agent.token,
      })[Symbol.asyncIterator]();
      const command = control.next();
      command.catch(() => {});
      const admin = createClient(AdminService, channel);
      await until(async () => {
        await admin.suspendAgent({ agent: agent.did, reason: "test" }, { metadata: operator })
          .catch(() => {});
        return await Promise.race([command.then(() => true), pause(20).then(() => false)]);
      }, "the command arrives");
      assert.equal((await command).value?.command.case, "suspend");
      await channel.close();
    })
  );
});

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline_ms = performance.now() + 20_000;
  while (!await condition()) {
    assert.ok(performance.now() < deadline_ms, `never came to pass: ${what}`);
    await pause(5);
  }
}

Deno.test("a worker killed under load takes its own calls only, is replaced, and no answer is without its record", async () => {
  await withPolicy((policy_file) =>
    withGateway(policy_file, 2, async (running) => {
      const { target, operator, gateway, threads } = running;
      const acknowledged: string[] = [];
      const failures = new Map<number, Code[]>();
      let over = false;
      const agents = Array.from({ length: 24 }, async (_, agent) => {
        const channel = new Channel(target);
        const policy = createClient(PolicyService, channel);
        for (let call = 0; !over; call++) {
          const trace = `agent-${agent}-call-${call}`;
          try {
            await policy.checkAction(toolCall("search", "{}", trace), { timeout_ms: 10_000 });
            acknowledged.push(trace);
          } catch (error) {
            assert.ok(error instanceof GrpcError, String(error));
            failures.set(agent, [...failures.get(agent) ?? [], error.code]);
          }
        }
        await channel.close();
      });
      await until(() => acknowledged.length > 200, "the load runs");
      threads[0]?.postMessage({ type: "a message no front knows" });
      const admin = new Channel(target);
      const status = () =>
        createClient(AdminService, admin).getStatus({}, {
          metadata: operator,
          wait_for_ready: true,
        });
      await until(async () => {
        const { counters } = await status();
        return counters["transport_workers.running"] === 2n &&
          counters["transport_workers.replaced"] === 1n;
      }, "the worker is replaced");
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 200, "the load goes on");
      over = true;
      await Promise.all(agents);
      // The system spreads 24 connections over both workers: all on one happens once in 2^23 runs.
      assert.ok(
        failures.size > 0 && failures.size < 24,
        `${failures.size} of 24 were on the worker`,
      );
      for (const codes of failures.values()) {
        assert.ok(codes.every((code) => code === Code.UNAVAILABLE), codes.join());
        assert.ok(codes.length <= 3, "one broken call, not more than its reconnecting");
      }
      const component = (await status()).components.find(({ name }) =>
        name === "transport workers"
      );
      assert.equal(component?.state, "enforcing");
      assert.match(component?.detail ?? "", /2 of 2 .* 1 ended and were replaced/);
      await admin.close();
      const lines = await allTraces(gateway);
      for (const trace of acknowledged) assert.ok(lines.has(trace), `${trace} was acknowledged`);
    })
  );
});

/** Every trace the log speaks of. */
async function allTraces(gateway: Gateway): Promise<Set<string>> {
  const { directory } = gateway.audit.status();
  const traces = new Set<string>();
  for await (const file of Deno.readDir(directory)) {
    if (!file.name.endsWith(".jsonl")) continue;
    const text = await Deno.readTextFile(`${directory}/${file.name}`);
    for (const [trace] of text.matchAll(/agent-\d+-call-\d+/g)) traces.add(trace);
  }
  return traces;
}

Deno.test("a port another program listens on is named when a worker cannot have it", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const directory = await Deno.makeTempDir({ prefix: "gateway-" });
  const parsed = parseArguments([
    ...["--policy", "none", "--state-dir", `${directory}/state`, "--transport-workers", "1"],
    ...["--listen", `127.0.0.1:${taken.addr.port}`],
  ]);
  assert.equal(parsed.action, "run");
  await assert.rejects(
    startGateway((parsed as { config: GatewayConfig }).config),
    /cannot listen on `127\.0\.0\.1:\d+`: another program listens there/,
  );
  await Deno.remove(directory, { recursive: true });
});
