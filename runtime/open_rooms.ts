/**
 * The rooms behind the socket, opened in the order in which they need each other: what keeps, what
 * takes events, who decides, and what empties the record into the gateway and NATS.
 *
 * @module
 */
import { VERSION } from "../core/version.ts";
import { Channel } from "../grpc/mod.ts";
import { witnessedDecisions, witnessedPipeline } from "./attestation/witnessing.ts";
import { type Correlation, openCorrelation } from "./correlation/room.ts";
import { loadLocalPolicy, type LocalPolicy } from "./decisions/fallback.ts";
import { gatewayOver } from "./decisions/gateway_client.ts";
import { type OpenDecisions, openDecisions } from "./decisions/open.ts";
import { NATS_READER, NatsPublisher, type NatsSetUp, setUpNats } from "./nats/publisher.ts";
import { serverOf } from "./nats/config.ts";
import { openBroker } from "./open_broker.ts";
import { OrderFile } from "./orders/order_file.ts";
import type { SpoolSink } from "./parts.ts";
import { openPipeline, type Pipeline } from "./pipeline/pipeline.ts";
import type { Rooms, Shared } from "./rooms.ts";
import { readSecretLine } from "./secret_file.ts";
import { Forwarder } from "./spool/forwarder.ts";
import { FORWARD_LIMITS } from "./spool/limits.ts";
import { openSpool, type Spool } from "./spool/spool.ts";

/** Name of the gateway among the spool's readers. */
const GATEWAY_READER = "gateway";

/**
 * Opens every room that the configuration asks for.
 *
 * @throws {Error} naming the room that could not be opened; those before it are closed
 */
export async function openRooms(shared: Shared): Promise<Rooms> {
  const { attestation, config, log } = shared;
  const local_policy = await loadLocalPolicy(config.local_policy?.path ?? "");
  if (local_policy.state === "missing" && config.local_policy?.defaulted === false) {
    log("warn", "the local policy is not there: nothing is decided by it", {
      path: local_policy.path,
    });
  }
  const nats_set_up = await natsOf(shared);
  const token = await readSecretLine(config.gateway?.token_file);

  await using opened = new AsyncDisposableStack();
  const spool = opened.use(await spoolOf(shared, nats_set_up.state === "configured"));
  const kept = opened.use(pipelineOf(shared, spool, local_policy));
  const correlation = opened.use(correlationOf(shared, kept));
  const pipeline = witnessedPipeline(kept, attestation);
  // What deciding itself puts on record is no report of a client's.
  const deciding = await decisionsOf(shared, opened, {
    spool,
    pipeline: kept,
    local_policy,
    token,
  });
  const decisions = witnessedDecisions(deciding.decisions, attestation);
  const orders = ordersOf(shared, deciding);
  if (orders !== undefined) opened.use(orders);
  const forwarder = forwarderOf(shared, spool, deciding.sink);
  if (forwarder !== undefined) opened.use(forwarder);
  const nats = await publisherOf(shared, spool, nats_set_up);
  if (nats !== undefined) opened.use(nats);
  const broker = await openBroker(shared, decisions, pipeline, token ?? "");
  if (broker !== undefined) opened.defer(() => broker.close());

  const ends = opened.move();
  return {
    decisions,
    pipeline,
    brokerServing: () => broker?.serving() === true,
    failed: () => spool.state() === "failed" || orders?.status.state === "damaged",
    states: () => ({
      spool: spool.status,
      pipeline: kept.status,
      correlation: correlation.status(),
      decisions: deciding.status(),
      orders: orders?.status ?? { state: "unconfigured" },
      gateway: forwarder?.status ?? { state: "unconfigured" },
      nats: nats?.status ?? nats_set_up.state,
      broker: broker?.status() ?? { state: "unconfigured" },
    }),
    close: async (signal) => {
      // Before the record goes out: the broker's last counts belong to it.
      await broker?.close();
      // What was accepted goes out now if it can; what cannot stays on disk.
      await Promise.all([forwarder?.flush(signal), nats?.flush(signal)]);
      await ends.disposeAsync();
    },
  };
}

async function spoolOf(shared: Shared, with_nats: boolean): Promise<Spool> {
  const { config, own_uid, timers, log, metrics, newId } = shared;
  const spool = await openSpool({
    path: config.spool,
    uid: own_uid,
    readers: [
      ...config.gateway === undefined ? [] : [{ name: GATEWAY_READER, role: "required" } as const],
      ...with_nats ? [{ name: NATS_READER, role: "mirror" } as const] : [],
    ],
    timers,
    newId,
    onPassedOver: (reader, rows) => {
      metrics.add("aa_spool_passed_over_total", rows, { reader });
      log("warn", "a mirror of the spool missed records", { reader, rows });
    },
  });
  const { failure } = spool.status;
  if (failure === undefined) return spool;
  await spool.close();
  throw new Error(`the spool cannot be opened: ${failure.message}`);
}

function pipelineOf(shared: Shared, spool: Spool, local_policy: LocalPolicy): Pipeline {
  const { config, messages, metrics, timers, newId } = shared;
  return openPipeline({
    agent: { agent_id: config.agent_id, team_id: config.team_id, org_id: config.org_id },
    spool,
    clients: messages,
    metrics,
    timers,
    newId,
    blocked_actions: blockedActions(local_policy),
    input_buffer_rows: config.pipeline.input_buffer,
    batch_rows: config.pipeline.batch_size,
    flush_interval_ms: config.pipeline.flush_interval_ms,
    subscriber_rows: config.pipeline.broadcast_capacity,
    field_bytes: config.pipeline.field_bytes_max,
  });
}

function correlationOf(shared: Shared, pipeline: Pipeline): Correlation {
  const { config, metrics, timers, newId } = shared;
  return openCorrelation({
    pipeline,
    metrics,
    timers,
    newId,
    window_ms: config.pipeline.correlation_window_ms,
    interval_ms: config.pipeline.correlation_interval_ms,
  });
}

/** The first rule that blocks an action names it. */
function blockedActions(local_policy: LocalPolicy): ReadonlyMap<string, string> {
  const blocked = new Map<string, string>();
  for (const rule of local_policy.state === "loaded" ? local_policy.rules : []) {
    for (const action of rule.blocked_actions) {
      if (!blocked.has(action)) blocked.set(action, rule.name);
    }
  }
  return blocked;
}

async function decisionsOf(
  shared: Shared,
  opened: AsyncDisposableStack,
  parts: {
    readonly spool: Spool;
    readonly pipeline: Rooms["pipeline"];
    readonly local_policy: LocalPolicy;
    readonly token: string | undefined;
  },
): Promise<OpenDecisions> {
  const { config, messages, metrics, timers, newId } = shared;
  const { gateway } = config;
  const channel = gateway === undefined ? undefined : opened.use(await channelOf(gateway));
  return opened.use(openDecisions({
    name: { org_id: config.org_id, team_id: config.team_id, agent_id: config.agent_id },
    ...parts.token === undefined ? {} : { credential_token: parts.token },
    version: VERSION,
    ...gateway === undefined || channel === undefined ? {} : {
      gateway: {
        part: gatewayOver(channel),
        timeout_ms: gateway.timeout_ms,
        fail_closed: !gateway.fail_open,
      },
    },
    local_policy: parts.local_policy,
    spool: parts.spool,
    pipeline: parts.pipeline,
    messages,
    metrics,
    timers,
    newId,
  }));
}

/** In force before the first query can come. */
function ordersOf(shared: Shared, deciding: OpenDecisions): OrderFile | undefined {
  const { config, own_uid, timers, log } = shared;
  if (config.orders === undefined) return undefined;
  const orders = new OrderFile({
    path: config.orders,
    own_uid,
    timers,
    log,
    apply: (op_id, signal) => deciding.order(op_id, signal),
  });
  orders.look();
  orders.start();
  return orders;
}

async function channelOf(gateway: NonNullable<Shared["config"]["gateway"]>): Promise<Channel> {
  const { address, ca_file } = gateway;
  if (!address.tls) return new Channel(address.target);
  const tls = ca_file === undefined ? {} : { ca: await Deno.readTextFile(ca_file) };
  return new Channel(address.target, { tls });
}

function forwarderOf(
  shared: Shared,
  spool: Spool,
  sink: SpoolSink | undefined,
): Forwarder | undefined {
  if (sink === undefined) return undefined;
  const forwarder = new Forwarder({
    name: GATEWAY_READER,
    spool_id: spool.id,
    reader: spool.reader(GATEWAY_READER),
    sink,
    timers: shared.timers,
    random: () => Math.random(),
    metrics: shared.metrics,
    gather_ms: FORWARD_LIMITS.gather_ms,
  });
  spool.onAppended(() => forwarder.wake());
  return forwarder;
}

async function natsOf({ config, log }: Shared): Promise<NatsSetUp> {
  const set_up = await setUpNats(config.nats?.config_file);
  if (set_up.state === "degraded") {
    log("warn", "nothing is published to NATS", { detail: set_up.detail });
  }
  if (set_up.state !== "configured" || config.nats === undefined) return set_up;
  // The process may reach one server and read those files only that stand in its flags.
  const server = serverOf(set_up.config.url);
  const ungranted = Object.entries(set_up.config.tls ?? {})
    .find(([, file]) => !config.nats?.tls_files.includes(file));
  if (server === config.nats.server && ungranted === undefined) return set_up;
  const detail = ungranted === undefined
    ? `the file names the server \`${server}\`: give --nats-server ${server}`
    : `the file names \`${ungranted[1]}\`: give --nats-${ungranted[0]} ${ungranted[1]}`;
  log("warn", "nothing is published to NATS", { detail });
  return { state: "degraded", detail };
}

async function publisherOf(
  shared: Shared,
  spool: Spool,
  set_up: NatsSetUp,
): Promise<NatsPublisher | undefined> {
  if (set_up.state !== "configured") return undefined;
  const { config, metrics, timers } = shared;
  return await NatsPublisher.open(set_up.config, {
    agent: { agent_id: config.agent_id, team_id: config.team_id, org_id: config.org_id },
    spool,
    metrics,
    timers,
    random: () => Math.random(),
  });
}
