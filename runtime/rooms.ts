/**
 * The rooms behind the socket: who decides, who takes events, who keeps them. Each room that is
 * opened here adds its part, its entry in `/health`, and its end.
 *
 * @module
 */
import type { Attestation } from "./attestation/attestation.ts";
import { witnessedDecisions, witnessedPipeline } from "./attestation/witnessing.ts";
import type { RuntimeConfig } from "./config.ts";
import type { Libc } from "./libc/libc.ts";
import type { Log } from "./log.ts";
import type { ClientMessages, DecisionsPart, MetricsPart, PipelinePart } from "./parts.ts";
import { openPipeline, type Pipeline } from "./pipeline/pipeline.ts";
import { openSpool, type Spool } from "./spool/spool.ts";
import type { Timers } from "./timers.ts";
import { unconfiguredDecisions } from "./unconfigured.ts";

/** What every room may use. */
export interface Shared {
  readonly config: RuntimeConfig;
  readonly metrics: MetricsPart;
  readonly messages: ClientMessages;
  readonly timers: Timers;
  readonly log: Log;
  readonly attestation: Pick<Attestation, "witness">;
  /** The runtime's own user. */
  readonly own_uid: number;
  /** Absent where the kernel is not asked who a peer is. */
  readonly libc?: Libc;
}

/** The opened rooms. */
export interface Rooms {
  readonly decisions: DecisionsPart;
  readonly pipeline: PipelinePart;
  /** One entry a room for `/health`: states and counts, nothing of an agent's. */
  readonly states: () => Readonly<Record<string, unknown>>;
  /** Whether the permission broker's socket is served now. */
  readonly brokerServing: () => boolean;
  /** Whether a room has failed in a way that an operator must see. */
  readonly failed: () => boolean;
  /**
   * Ends the rooms, last opened first. The socket is closed by then.
   *
   * @param signal Aborted when there is no more time.
   */
  readonly close: (signal: AbortSignal) => Promise<void>;
}

/**
 * Opens every room that the configuration asks for.
 *
 * @throws {Error} naming the room that could not be opened; those before it are closed
 */
export async function openRooms(shared: Shared): Promise<Rooms> {
  const { attestation } = shared;
  await using opened = new AsyncDisposableStack();
  const spool = opened.use(await spoolOf(shared));
  const pipeline = opened.use(pipelineOf(shared, spool));
  const decisions = witnessedDecisions(unconfiguredDecisions(), attestation);
  const ends = opened.move();
  return {
    decisions,
    pipeline: witnessedPipeline(pipeline, attestation),
    states: () => ({ spool: spool.status, pipeline: pipeline.status, decisions: "unconfigured" }),
    brokerServing: () => false,
    failed: () => spool.state() === "failed",
    close: () => ends.disposeAsync(),
  };
}

async function spoolOf({ config, own_uid, timers, log, metrics }: Shared): Promise<Spool> {
  const spool = await openSpool({
    path: config.spool,
    uid: own_uid,
    readers: [],
    timers,
    newId: () => crypto.randomUUID(),
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

function pipelineOf({ config, messages, metrics, timers }: Shared, spool: Spool): Pipeline {
  return openPipeline({
    agent: { agent_id: config.agent_id, team_id: config.team_id, org_id: config.org_id },
    spool,
    clients: messages,
    metrics,
    timers,
    newId: () => crypto.randomUUID(),
    input_buffer_rows: config.pipeline.input_buffer,
    batch_rows: config.pipeline.batch_size,
    flush_interval_ms: config.pipeline.flush_interval_ms,
    subscriber_rows: config.pipeline.broadcast_capacity,
    field_bytes: config.pipeline.field_bytes_max,
  });
}
