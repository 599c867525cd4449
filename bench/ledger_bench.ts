/**
 * Two measures of the ledger.
 *
 * Durable reservations a second: a ledger over SQLite in this process; each reservation is waited
 * for until it is on disk. Many callers on one limit: a real gateway process, a thousand concurrent
 * callers, each a registered agent of its own over shared connections, spending one team limit until
 * it is denied. Overspend is what the ledger holds beyond the limit; fairness is Jain's index of
 * what each caller got (1 is equal shares).
 *
 * `deno run --allow-read --allow-write --allow-net=127.0.0.1 --allow-run bench/ledger_bench.ts`
 * prints a table, then JSON. Load and gateway share the machine's cores.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { llmCall } from "../core/action.ts";
import { compilePolicySet } from "../core/policy/compile.ts";
import { loadPolicy } from "../core/policy/load.ts";
import { conservationProblem, DEFAULT_PRICING } from "../core/ledger/mod.ts";
import type { Principal } from "../core/principal.ts";
import { Journal } from "../gateway/ledger/journal.ts";
import { Ledger } from "../gateway/ledger/ledger.ts";
import { loadLedger } from "../gateway/ledger/load.ts";
import { Channel, createClient, Metadata } from "../grpc/mod.ts";
import { planLaunch } from "../launch/main.ts";
import { LedgerService } from "../proto/gen/assembly/admin/v1/ledger_pb.ts";
import { PolicyService } from "../proto/gen/assembly/policy/v1/policy_pb.ts";
import { SqliteStore } from "../storage/sqlite/store.ts";
import { registerAgent, type TestAgent } from "../tests/harness/agent.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const seconds = Number(Deno.args[0] ?? 3);
const CALLERS = 1_000;
const CONNECTIONS = 20;
/** Prompt tokens of one call: 15,000 micro-dollars of opus. */
const TOKENS = 1_000;
const CALL_MICRO_USD = 15_000;
/** Room for five calls of each caller. */
const LIMIT_CALLS = 5 * CALLERS;

interface ReservationRow {
  readonly measure: string;
  readonly per_second: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

/** The middle and the slow end of some latencies, in microseconds. */
function percentiles(latencies_ms: number[]): { p50_us: number; p99_us: number } {
  latencies_ms.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round((latencies_ms[Math.floor(latencies_ms.length * share)] ?? 0) * 1_000);
  return { p50_us: at(0.5), p99_us: at(0.99) };
}

async function measureReservations(root: string, in_flight: number): Promise<ReservationRow> {
  const path = `${root}/ledger-${in_flight}.db`;
  const store = await SqliteStore.open({ path });
  const loaded = await loadLedger(store);
  const journal = new Journal({ store, ...loaded });
  const text = "budget: { daily_limit_usd: 1000000, team_monthly_limit_usd: 9000000 }";
  const read = loadPolicy("bench.yaml", text, { reject_blank: true });
  if (!read.ok) throw new Error("the policy of the benchmark is not valid");
  const policy = compilePolicySet([read.document]);
  const ledger = new Ledger({
    state: loaded.state,
    journal,
    pricing: DEFAULT_PRICING,
    ancestors: () => [],
    newId: () => crypto.randomUUID(),
  });
  const principals: Principal[] = Array.from({ length: 100 }, (_, n) => ({
    assurance: "bound",
    agent_id: `agent-${n}`,
    engine_key: `agent-${n}`,
    registry_key: `agent-${n}`,
    org_id: "acme",
    team_id: `team-${n % 10}`,
    status: "active",
  }));
  const action = llmCall("claude-3-opus", TOKENS, false);
  const latencies: number[] = [];
  let count = 0;
  const until = performance.now() + seconds * 1_000;
  const start = performance.now();
  await Promise.all(Array.from({ length: in_flight }, async () => {
    for (let before = performance.now(); before < until;) {
      const principal = principals[count++ % principals.length] as Principal;
      const budgets = policy.index.cascade(principal, action)?.budgets ?? [];
      const now_ms = Date.now();
      const ask = { principal, record: undefined, action, now_ms, trace_id: "", budgets };
      const reserve = ledger.reserve({ ...ask, settles: false });
      if (reserve.outcome !== "reserved") throw new Error(`reservation ${reserve.outcome}`);
      await reserve.durable;
      const after = performance.now();
      if (count % 16 === 0) latencies.push(after - before);
      before = after;
    }
  }));
  const elapsed_s = (performance.now() - start) / 1_000;
  await journal.close();
  const again = await loadLedger(store);
  if (conservationProblem(again.state) !== undefined || again.state.seq !== count) {
    throw new Error("what was acknowledged is not what was stored");
  }
  await store.close();
  return {
    measure: `durable reservations, ${in_flight} in flight`,
    per_second: Math.round(count / elapsed_s),
    ...percentiles(latencies),
  };
}

interface Server {
  readonly address: string;
  stop(): Promise<void>;
}

/** The gateway in a process of its own, under exactly the permissions its flags need. */
async function startGateway(directory: string): Promise<Server> {
  const limit_usd = LIMIT_CALLS * CALL_MICRO_USD / 1e6;
  await Deno.writeTextFile(
    `${directory}/policy.yaml`,
    `tools: { llm_call: { allow: true } }\nbudget: { team_daily_limit_usd: ${limit_usd} }\n`,
  );
  const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  const address = `127.0.0.1:${port}`;
  const flags = [
    ...["--policy", `${directory}/policy.yaml`, "--state-dir", `${directory}/state`],
    ...["--listen", address],
  ];
  const launch = planLaunch("gateway", flags, directory, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--quiet", `--config=${ROOT}deno.json`],
      ...launch.runtime,
      ...launch.permissions,
      launch.entry.href,
      ...flags,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const ready = Promise.withResolvers<void>();
  let said = "";
  child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({
      write: (text) => {
        said += text;
        if (/^ready$/m.test(said)) ready.resolve();
      },
      close: () => ready.reject(new Error(`the gateway ended: ${said}`)),
    }),
  );
  await ready.promise;
  return {
    address,
    stop: async () => {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

interface SharedLimitRow {
  readonly callers: number;
  readonly limit_calls: number;
  readonly allowed: number;
  readonly denied: number;
  /** What the ledger holds beyond the limit, micro-dollars. */
  readonly overspend_micro_usd: number;
  /** Jain's index of the callers' allowed calls. */
  readonly fairness: number;
  readonly least: number;
  readonly most: number;
  readonly requests_per_s: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

async function measureSharedLimit(directory: string): Promise<SharedLimitRow> {
  const server = await startGateway(directory);
  const channels = Array.from({ length: CONNECTIONS }, () => new Channel(server.address));
  try {
    const agents: TestAgent[] = [];
    for (let n = 0; n < CALLERS; n++) {
      agents.push(await registerAgent(channels[0] as Channel, { org: "acme", team: "shared" }));
    }
    const latencies: number[] = [];
    const allowed = new Array<number>(CALLERS).fill(0);
    let denied = 0;
    const start = performance.now();
    await Promise.all(agents.map(async (agent, at) => {
      const client = createClient(PolicyService, channels[at % CONNECTIONS] as Channel);
      while (true) {
        const before = performance.now();
        const { decision, reason } = await client.checkAction({
          agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
          credentialToken: agent.token,
          context: {
            action: { case: "llmCall", value: { model: "claude-3-opus", promptTokens: TOKENS } },
          },
        });
        latencies.push(performance.now() - before);
        if (decision === 1) {
          allowed[at] = (allowed[at] ?? 0) + 1;
          continue;
        }
        if (reason !== "daily budget exceeded") throw new Error(`denied: ${reason}`);
        denied++;
        return;
      }
    }));
    const elapsed_s = (performance.now() - start) / 1_000;
    const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
    const { rows } = await createClient(LedgerService, channels[0] as Channel).getBudgets(
      { scope: "team", id: "shared" },
      { metadata: new Metadata().set("authorization", `Bearer ${token}`) },
    );
    const spent = Number(rows.find((row) => row.limit !== undefined)?.spent ?? NaN);
    const sum = allowed.reduce((all, one) => all + one, 0);
    const squares = allowed.reduce((all, one) => all + one * one, 0);
    if (spent !== sum * CALL_MICRO_USD) throw new Error("the ledger counts other than the callers");
    return {
      callers: CALLERS,
      limit_calls: LIMIT_CALLS,
      allowed: sum,
      denied,
      overspend_micro_usd: Math.max(0, spent - LIMIT_CALLS * CALL_MICRO_USD),
      fairness: Math.round(sum * sum / (CALLERS * squares) * 1_000) / 1_000,
      least: Math.min(...allowed),
      most: Math.max(...allowed),
      requests_per_s: Math.round((sum + denied) / elapsed_s),
      ...percentiles(latencies),
    };
  } finally {
    for (const channel of channels) await channel.close();
    await server.stop();
  }
}

const root = await Deno.makeTempDir({ prefix: "ledger-bench-" });
try {
  const reservations: ReservationRow[] = [];
  for (const in_flight of [1, 64, 1_000]) {
    reservations.push(await measureReservations(root, in_flight));
  }
  console.table(reservations);
  const shared_limit = await measureSharedLimit(root);
  console.table([shared_limit]);
  console.log(JSON.stringify({ deno: Deno.version.deno, reservations, shared_limit }));
} finally {
  await Deno.remove(root, { recursive: true });
}
