/** The ledger over the gateway's own gRPC port: reserve by CheckAction, end, read, survive. */
import assert from "node:assert/strict";
import {
  type CallOptions,
  Channel,
  Code,
  createClient,
  GrpcError,
  Metadata,
} from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import { LedgerService } from "../../proto/gen/assembly/admin/v1/ledger_pb.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { SqliteStore } from "../../storage/sqlite/store.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import { parseArguments } from "../config.ts";
import { startGateway } from "../server.ts";

interface Running {
  readonly directory: string;
  readonly channel: Channel;
  readonly operator: CallOptions;
}

const POLICY = `tools: { llm_call: { allow: true } }
budget: { daily_limit_usd: 1, org_daily_limit_usd: 2 }
`;

async function withDirectory(
  policy: string,
  use: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ledger-" });
  try {
    await Deno.writeTextFile(`${directory}/policy.yaml`, policy);
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function running(
  directory: string,
  use: (running: Running) => Promise<void>,
  flags: readonly string[] = [],
): Promise<void> {
  const parsed = parseArguments([
    ...["--policy", `${directory}/policy.yaml`, "--state-dir", `${directory}/state`],
    ...["--listen", "127.0.0.1:0", "--grace-ms", "200", ...flags],
  ]);
  assert.ok(parsed.action === "run");
  const gateway = await startGateway(parsed.config);
  const channel = new Channel(gateway.listeners[0] ?? "");
  try {
    const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
    const metadata = new Metadata().set("authorization", `Bearer ${token}`);
    await use({ directory, channel, operator: { metadata } });
  } finally {
    await channel.close();
    await gateway.stop("test");
  }
}

const withGateway = (policy: string, use: (running: Running) => Promise<void>) =>
  withDirectory(policy, (directory) => running(directory, use));

interface Asked {
  readonly decision: number;
  readonly reason: string;
  readonly reservation: string;
}

async function askModel(
  channel: Channel,
  agent: TestAgent,
  tokens: number,
  metadata = new Metadata(),
): Promise<Asked> {
  const policy = createClient(PolicyService, channel);
  const seen: { trailers?: Metadata } = {};
  const answer = await policy.checkAction({
    agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
    credentialToken: agent.token,
    traceId: "trace",
    context: {
      action: {
        case: "llmCall",
        value: { model: "claude-3-opus", promptTokens: tokens, containsPii: false },
      },
    },
  }, { metadata, onTrailers: (trailers) => seen.trailers = trailers });
  const reservation = seen.trailers?.get("aasm-reservation") ?? "";
  return { decision: answer.decision, reason: answer.reason, reservation };
}

function credentials(agent: TestAgent): CallOptions {
  return { metadata: new Metadata().set("x-aa-credential-token", agent.token) };
}

async function codeOf(call: Promise<unknown>): Promise<Code> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    return error.code;
  }
  throw new assert.AssertionError({ message: "the call was answered" });
}

const SETTLING = () => new Metadata().set("aasm-settle", "1");

Deno.test("a model call is reserved, settled by its agent alone, and what is left can be spent", async () => {
  await withGateway(POLICY, async ({ channel, operator }) => {
    const ledger = createClient(LedgerService, channel);
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    const other = await registerAgent(channel, { org: "o1", team: "t2" });
    const metadata = SETTLING().set("aasm-max-output-tokens", "10000");
    const { decision, reservation } = await askModel(channel, agent, 1_000, metadata);
    assert.equal(decision, 1);
    assert.match(reservation, /^[0-9a-f]{8}-/);
    assert.equal((await askModel(channel, agent, 20_000)).reason, "daily budget exceeded");
    const settle = {
      reservationId: reservation,
      inputTokens: 1_000n,
      outputTokens: 100n,
    };
    assert.equal(
      await codeOf(ledger.settleReservation(settle, credentials(other))),
      Code.PERMISSION_DENIED,
    );
    assert.equal(await codeOf(ledger.settleReservation(settle)), Code.UNAUTHENTICATED);
    assert.equal(
      await codeOf(ledger.settleReservation({ ...settle, outputTokens: -1n }, credentials(agent))),
      Code.INVALID_ARGUMENT,
    );
    const done = await ledger.settleReservation(settle, credentials(agent));
    assert.deepEqual([done.outcome, done.charged?.microUsd], ["settled", 22_500n]);
    assert.equal(done.reserved?.microUsd, 765_000n);
    const again = await ledger.settleReservation(settle, credentials(agent));
    assert.equal(again.outcome, "repeated");
    assert.equal((await askModel(channel, agent, 20_000)).decision, 1);
    const released = await ledger.releaseReservation(
      { reservationId: reservation },
      operator,
    ).then(() => "released", (error) => error.code);
    assert.equal(released, Code.FAILED_PRECONDITION);
  });
});

Deno.test("a declared number that is none fails the call by name", async () => {
  await withGateway(POLICY, async ({ channel }) => {
    const agent = await registerAgent(channel, {});
    const metadata = SETTLING().set("aasm-max-output-tokens", "-1");
    assert.equal(await codeOf(askModel(channel, agent, 10, metadata)), Code.INVALID_ARGUMENT);
  });
});

Deno.test("budgets, tree, forecast and prices are shown to who may read them", async () => {
  await withGateway(POLICY, async ({ channel, operator }) => {
    const ledger = createClient(LedgerService, channel);
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    await askModel(channel, agent, 1_000);
    const { rows, state } = await ledger.getBudgets({}, operator);
    assert.equal(state, "enforcing");
    assert.deepEqual([...new Set(rows.map((row) => row.scope))], [
      "agent",
      "team",
      "org",
      "subtree",
      "global",
    ]);
    const org = rows.find((row) => row.scope === "org" && row.window === "daily");
    assert.deepEqual([org?.spent, org?.limit, org?.percentUsed], [15_000n, 2_000_000n, 1]);
    assert.match(org?.rule ?? "", /policy\.yaml:2 budget\.org_daily_limit_usd/);
    const paged = await ledger.getBudgets({ pageSize: 1 }, operator);
    const more = await ledger.getBudgets({ pageToken: paged.nextPageToken }, operator);
    assert.equal(paged.rows.length + more.rows.length, rows.length);
    const { roots } = await ledger.getBudgetTree({}, operator);
    const leaf = roots[0]?.children[0]?.children[0];
    assert.deepEqual([roots[0]?.label, roots[0]?.children[0]?.label], ["o1", "t1"]);
    assert.deepEqual([leaf?.ownDailyMicroUsd, leaf?.dailyLimitMicroUsd], [15_000n, 1_000_000n]);
    const forecast = await ledger.getForecast({}, operator);
    assert.equal(forecast.rows[0]?.spentMicroUsd, 15_000n);
    assert.match(forecast.method, /^linear/);
    const prices = await ledger.getPricing({}, operator);
    assert.deepEqual([prices.version, prices.models.length], ["built-in", 8]);
    assert.equal(prices.unknown?.inputPicoUsd, 30_000_000n);
    for (const call of [ledger.getBudgets({}), ledger.getBudgets({}, credentials(agent))]) {
      assert.equal(await codeOf(call), Code.UNAUTHENTICATED);
    }
    assert.equal(
      await codeOf(ledger.getBudgets({ scope: "planet" }, operator)),
      Code.INVALID_ARGUMENT,
    );
  });
});

Deno.test("what was spent survives a restart", async () => {
  await withDirectory(POLICY, async (directory) => {
    let agent: TestAgent | undefined;
    await running(directory, async ({ channel }) => {
      agent = await registerAgent(channel, {});
      assert.equal((await askModel(channel, agent, 60_000)).decision, 1);
    });
    await running(directory, async ({ channel }) => {
      assert.ok(agent !== undefined);
      const { reason } = await askModel(channel, agent, 10_000);
      assert.equal(reason, "daily budget exceeded");
    });
  });
});

Deno.test("trap 35: a damaged ledger denies what has a price by name, shows itself, and stops nothing else", async () => {
  await withDirectory(POLICY, async (directory) => {
    let agent: TestAgent | undefined;
    await running(directory, async ({ channel }) => {
      agent = await registerAgent(channel, {});
      await askModel(channel, agent, 1_000);
    });
    const store = await SqliteStore.open({ path: `${directory}/state/registry.db` });
    await store.commit([
      { kind: "put_record", collection: "ledger_accounts", key: "global", value: "{}" },
    ]);
    await store.close();
    await running(directory, async ({ channel, operator }) => {
      assert.ok(agent !== undefined);
      const { reason } = await askModel(channel, agent, 1);
      assert.equal(reason, "budget ledger unavailable");
      const status = await createClient(AdminService, channel).getStatus({}, operator);
      const component = status.components.find(({ name }) => name === "budget ledger");
      assert.equal(component?.state, "unavailable");
      assert.match(component?.detail ?? "", /`global` of ledger_accounts/);
      const ledger = createClient(LedgerService, channel);
      assert.equal((await ledger.getBudgets({}, operator)).state, "unavailable");
      assert.equal(await codeOf(ledger.getBudgetTree({}, operator)), Code.UNAVAILABLE);
    });
  });
});

Deno.test("the gateway prices by the file it was given, and does not start on a bad one", async () => {
  await withDirectory(POLICY, async (directory) => {
    const file = `${directory}/prices.json`;
    const row = { provider: "anthropic", model: "claude3opus", output_per_1k_usd: "1" };
    const flags = ["--pricing", file];
    await Deno.writeTextFile(file, JSON.stringify([{ ...row, input_per_1k_usd: "0.5" }]));
    await running(directory, async ({ channel }) => {
      const agent = await registerAgent(channel, {});
      assert.equal((await askModel(channel, agent, 1_000)).decision, 1);
      assert.equal((await askModel(channel, agent, 1_001)).reason, "daily budget exceeded");
    }, flags);
    await Deno.writeTextFile(file, JSON.stringify([{ ...row, input_per_1k_usd: "-1" }]));
    await assert.rejects(
      running(directory, () => Promise.resolve(), flags),
      /cannot read pricing file .*models\[0\]: `input_per_1k_usd`/,
    );
  });
});

Deno.test("an agent suspended for its budget resumes with a heartbeat once there is room again", async () => {
  const suspending = POLICY.replace(
    "budget: { daily_limit_usd: 1,",
    "budget: { action_on_exceed: suspend, daily_limit_usd: 0.99,",
  );
  await withDirectory(suspending, async (directory) => {
    let agent: TestAgent | undefined;
    const mustStop = async (channel: Channel, { org, team, did, token }: TestAgent) => {
      const { shouldSuspend } = await createClient(AgentLifecycleService, channel).heartbeat({
        agentId: { orgId: org, teamId: team, agentId: did },
        credentialToken: token,
      });
      return shouldSuspend;
    };
    await running(directory, async ({ channel }) => {
      const one = agent = await registerAgent(channel, { org: "o1", team: "t1" });
      assert.equal((await askModel(channel, one, 66_000)).decision, 1);
      assert.equal((await askModel(channel, one, 1_000)).reason, "daily budget exceeded");
      const started_ms = Date.now();
      while (!(await mustStop(channel, one))) {
        assert.ok(Date.now() - started_ms < 10_000, "the agent is not suspended");
      }
      assert.equal((await askModel(channel, one, 1)).reason, "agent suspended");
    });
    const raised = suspending.replace("daily_limit_usd: 0.99,", "daily_limit_usd: 1.5,");
    await Deno.writeTextFile(`${directory}/policy.yaml`, raised);
    await running(directory, async ({ channel }) => {
      assert.ok(agent !== undefined);
      assert.equal(await mustStop(channel, agent), false);
      assert.equal((await askModel(channel, agent, 1_000)).decision, 1);
    });
  });
});

Deno.test("a condition can ask what the team's monthly limit leaves", async () => {
  const policy = `tools:
  llm_call: { allow: true }
  search: { allow: true, requires_approval_if: "team.budget_remaining < 1" }
budget: { team_monthly_limit_usd: 1.5 }
`;
  await withGateway(policy, async ({ channel }) => {
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    const client = createClient(PolicyService, channel);
    const search = async () => {
      const { decision } = await client.checkAction({
        agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
        credentialToken: agent.token,
        context: { action: { case: "toolCall", value: { toolName: "search" } } },
      }, { metadata: new Metadata().set("aasm-approval", "defer") });
      return decision;
    };
    assert.equal(await search(), 1);
    assert.equal((await askModel(channel, agent, 40_000)).decision, 1);
    assert.equal(await search(), 3, "sixty cents are spent: a person must agree");
  });
});
