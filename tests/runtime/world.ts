/**
 * A gateway and a runtime's deciding room in one process, over a real channel.
 *
 * @module
 */
import { Channel } from "../../grpc/mod.ts";
import { MemorySpool, Told } from "../../runtime/decisions/_fixture.ts";
import { SeenMetrics, until } from "../../runtime/_fixture.ts";
import { gatewayOver, type GatewayPart } from "../../runtime/decisions/gateway_client.ts";
import type { LocalPolicy } from "../../runtime/decisions/fallback.ts";
import { type OpenDecisions, openDecisions } from "../../runtime/decisions/open.ts";
import type { SpoolPart } from "../../runtime/parts.ts";
import { SYSTEM_TIMERS } from "../../runtime/timers.ts";
import type { TestAgent } from "../harness/agent.ts";
import { type EmbeddedGateway, embeddedGateway } from "../harness/embedded_gateway.ts";
import { registerAgent } from "../harness/agent.ts";

/** A runtime's room, and what it was told. */
export interface TestRuntime extends AsyncDisposable {
  readonly room: OpenDecisions;
  /** Empty when another spool was named. */
  readonly spool: MemorySpool;
  readonly told: Told;
  readonly metrics: SeenMetrics;
  /** Calls of each kind that reached the gateway. */
  readonly calls: { check: number; lease: number };
  /** Hands everything that is in the spool to the gateway. */
  flush(): Promise<void>;
}

/** How a runtime is opened. */
export interface RuntimeTerms {
  readonly address: string;
  readonly agent: Pick<TestAgent, "org" | "team" | "did" | "token">;
  readonly fail_closed?: boolean;
  readonly local_policy?: LocalPolicy;
  /** `false`: the credential is learned. @default true */
  readonly knows_token?: boolean;
  readonly spool?: Pick<SpoolPart, "append" | "id">;
  readonly change?: (part: GatewayPart) => GatewayPart;
}

/** Opens a runtime's room against a gateway's address. */
export function openRuntime(terms: RuntimeTerms): TestRuntime {
  const { address, agent } = terms;
  const channel = new Channel(address, { backoff: { initial_ms: 20, max_ms: 100 } });
  const spool = new MemorySpool();
  const told = new Told();
  const metrics = new SeenMetrics();
  const calls = { check: 0, lease: 0 };
  const over = gatewayOver(channel);
  const counted: GatewayPart = {
    ...over,
    check: (query, options) => {
      calls.check++;
      return over.check(query, options);
    },
    lease: (request, token, timeout_ms) => {
      calls.lease++;
      return over.lease(request, token, timeout_ms);
    },
  };
  const room = openDecisions({
    name: { org_id: agent.org, team_id: agent.team, agent_id: agent.did },
    ...(terms.knows_token === false ? {} : { credential_token: agent.token }),
    version: "test",
    gateway: {
      part: terms.change?.(counted) ?? counted,
      timeout_ms: 5_000,
      fail_closed: terms.fail_closed ?? true,
    },
    local_policy: terms.local_policy ?? { state: "missing", path: "/none" },
    spool: terms.spool ?? spool,
    ...{ pipeline: told, messages: told, metrics, timers: SYSTEM_TIMERS },
  });
  let delivered = 0;
  return {
    room,
    spool,
    told,
    metrics,
    calls,
    flush: async () => {
      while (delivered < spool.records.length) {
        const records = spool.records.slice(delivered);
        delivered = await room.sink?.deliver(spool.id, records, new AbortController().signal) ??
          delivered;
      }
    },
    [Symbol.asyncDispose]: async () => {
      await room[Symbol.asyncDispose]();
      await channel.close();
    },
  };
}

/** A gateway with one registered agent and its runtime, which decides locally. */
export interface TestWorld extends AsyncDisposable {
  readonly gateway: EmbeddedGateway;
  readonly agent: TestAgent;
  readonly runtime: TestRuntime;
  /** Puts another policy in force at the gateway. */
  edit(policy: string): Promise<void>;
  /** Payloads of the audit log's entries, oldest first. */
  payloads(): Promise<Record<string, unknown>[]>;
}

/** Opens it, and waits until the runtime may decide. */
export async function openWorld(
  policy: string,
  more: Partial<RuntimeTerms> & { readonly flags?: readonly string[] } = {},
): Promise<TestWorld> {
  const gateway = await embeddedGateway(more.flags, policy);
  const agent = await registerAgent(gateway.channel, { org: "o1", team: "t1" });
  const address = gateway.gateway.listeners[0] ?? "";
  const runtime = openRuntime({ ...more, address, agent });
  if (more.knows_token !== false && more.change === undefined) {
    await until(() => runtime.room.status().decides_locally, "local authority");
  }
  return {
    gateway,
    agent,
    runtime,
    edit: async (text) => {
      await Deno.writeTextFile(`${gateway.directory}/policy.yaml`, text);
      await gateway.gateway.policy.reload();
    },
    payloads: async () => {
      const { entries } = await gateway.gateway.audit.list({ limit: 10_000 });
      return entries.reverse().map(({ line }) =>
        JSON.parse((JSON.parse(line) as { payload: string }).payload) as Record<string, unknown>
      );
    },
    [Symbol.asyncDispose]: async () => {
      await runtime[Symbol.asyncDispose]();
      await gateway[Symbol.asyncDispose]();
    },
  };
}
