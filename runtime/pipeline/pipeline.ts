/**
 * What agents and sidecars report, on its way: enriched, redacted, kept on disk, and only then
 * passed on (contract `interception` §1.4).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { LIMITS } from "../../core/limits.ts";
import type { Scanner } from "../../core/scanner/mod.ts";
import { audit, common } from "../../proto/mod.ts";
import {
  type ClientMessages,
  connectionOf,
  type MetricsPart,
  type Origin,
  type PipelinePart,
  type SpoolPart,
} from "../parts.ts";
import { SpoolError } from "../spool/failure.ts";
import type { Timers } from "../timers.ts";
import { Enforcer, SDK_VERSION_LABEL } from "./enforce/enforce.ts";
import { type AgentIdentity, type Enrichment, pidOf } from "./enrichment.ts";
import { isTamperSuspected, sdkVerdict } from "./identity.ts";
import { PIPELINE_LIMITS } from "./limits.ts";
import { actionName, tamperEvent } from "./own_events.ts";
import { PipelineError, Room } from "./room.ts";
import { storedBytes } from "./stored_copy.ts";
import { type PipelineItem, Subscribers, type Subscription } from "./subscribers.ts";

/** How to open a pipeline; absent numbers have the contract's defaults. */
export interface PipelineOptions {
  readonly agent: AgentIdentity;
  readonly spool: SpoolPart;
  readonly clients: ClientMessages;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  /** Identity of an event that has none; a UUID. */
  readonly newId: () => string;
  readonly scanner?: Scanner;
  /** Lowest client version that is not suspect. */
  readonly minimum_sdk_version?: string;
  /** Rule name by the name of the action it blocks, from the local policy. */
  readonly blocked_actions?: ReadonlyMap<string, string>;
  /** AA_PIPELINE_INPUT_BUFFER. */
  readonly input_buffer_rows?: number;
  /** AA_PIPELINE_BATCH_SIZE. */
  readonly batch_rows?: number;
  /** AA_PIPELINE_FLUSH_INTERVAL_MS. */
  readonly flush_interval_ms?: number;
  /** AA_PIPELINE_BROADCAST_CAPACITY. */
  readonly subscriber_rows?: number;
  /** AA_ENFORCEMENT_MAX_FIELD_BYTES. */
  readonly field_bytes?: number;
}

/** What a pipeline is doing, for status and metrics. */
export interface PipelineStatus {
  /** From reporters; what the runtime says itself is only kept. */
  readonly received: number;
  readonly kept: number;
  /** Events that were not taken: the spool failed, or the runtime stopped. Their reporters know. */
  readonly refused: number;
  readonly subscribers: readonly { readonly name: string; readonly lost: number }[];
}

/** An event on its way, redacted. */
interface Prepared {
  readonly event: audit.AuditEvent;
  readonly enrichment: Enrichment;
  readonly received_us: number;
  readonly bytes: Uint8Array;
  /** The rule it breaks, when it breaks one: it waits for no batch then. */
  readonly violation: audit.PolicyViolation | undefined;
  /** Whether the client is told of the violation; not of what makes it suspect itself. */
  readonly told: boolean;
}

/** The pipeline. Open it with {@linkcode openPipeline}. */
export class Pipeline implements PipelinePart, AsyncDisposable {
  readonly #options: PipelineOptions;
  readonly #enforcer: Enforcer;
  readonly #room: Room;
  readonly #subscribers: Subscribers;
  readonly #stop = new AbortController();
  #sequence = 0;
  #received = 0;
  #kept = 0;
  #refused = 0;
  #batch: PipelineItem[] = [];
  #batch_end: AbortController | undefined;
  #closing: Promise<void> | undefined;

  /** @private Use {@linkcode openPipeline}. */
  constructor(options: PipelineOptions) {
    this.#options = options;
    const { metrics, timers, scanner, field_bytes } = options;
    this.#enforcer = new Enforcer({
      metrics,
      timers,
      ...(scanner === undefined ? {} : { scanner }),
      ...(field_bytes === undefined ? {} : { field_bytes }),
    });
    this.#room = new Room({
      rows_max: options.input_buffer_rows ?? PIPELINE_LIMITS.input_buffer_rows,
      bytes_max: PIPELINE_LIMITS.input_buffer_bytes,
      waiting_max: PIPELINE_LIMITS.waiting_reporters,
    });
    this.#subscribers = new Subscribers(
      options.subscriber_rows ?? PIPELINE_LIMITS.subscriber_rows,
      metrics,
    );
  }

  /**
   * Takes one event over and redacts it in place. Resolves once it is on disk; waits while there is
   * no room here or in the spool.
   *
   * @throws {PipelineError} `overloaded`, `closed`. @throws {SpoolError} When the spool has failed.
   * Nothing of the event is kept then, and who reported it must not go on as if it were.
   */
  async report(event: audit.AuditEvent, origin: Origin): Promise<void> {
    if (origin.source !== "runtime") {
      this.#received++;
      this.#options.metrics.add("aa_events_received_total");
    }
    try {
      const turn = this.#room.enter();
      if (turn !== undefined) await turn;
    } catch (error) {
      this.#refused++;
      throw error;
    }
    let held = 0;
    try {
      const [prepared, ...own] = this.#prepare(event, origin);
      for (const { bytes } of [prepared, ...own]) held += bytes.length;
      this.#room.hold(held);
      this.#showRoom();
      const seqs = await Promise.all([prepared, ...own].map(({ bytes }) => this.#keep(bytes)));
      for (const [index, one] of [prepared, ...own].entries()) {
        this.#passOn(one, seqs[index] ?? 0, origin);
      }
    } catch (error) {
      this.#refused++;
      throw error;
    } finally {
      this.#room.leave(held);
      this.#showRoom();
    }
  }

  /**
   * Listens to everything that is on disk, in batches. A listener that is too slow loses its own
   * oldest events, counted in `aa_pipeline_lost_total` by its name.
   *
   * @throws {RangeError} With more listeners than `PIPELINE_LIMITS.subscribers`.
   */
  subscribe(name: string): Subscription {
    return this.#subscribers.add(name);
  }

  /** State and counters. */
  get status(): PipelineStatus {
    return {
      received: this.#received,
      kept: this.#kept,
      refused: this.#refused,
      subscribers: this.#subscribers.status(),
    };
  }

  /** Passes on what waits for its batch. */
  flush(): void {
    this.#batch_end?.abort();
    this.#batch_end = undefined;
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0) this.#subscribers.give(batch);
  }

  /** Keeps what was taken, passes it on, and takes nothing more. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** @inheritdoc */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    const out = this.#room.close();
    this.#stop.abort();
    await out;
    this.flush();
    this.#subscribers.close();
  }

  /** The redacted event, and what the runtime itself has to say of it. */
  #prepare(event: audit.AuditEvent, origin: Origin): [Prepared, ...Prepared[]] {
    const { metrics, minimum_sdk_version: minimum, newId } = this.#options;
    const claimed = event.labels[SDK_VERSION_LABEL];
    const enforced = this.#enforcer.enforce(event);
    const verified = origin.source === "sdk" ? origin.connection.sdk_version : "";
    const verdict = origin.source === "sdk"
      ? sdkVerdict({
        claimed,
        verified: verified === "" ? undefined : verified,
        ...(minimum === undefined ? {} : { minimum }),
      })
      : undefined;
    const { forged_trust_markers, suspect } = enforced;
    const pid = pidOf(origin);
    const known = {
      received_at_ms: this.#options.timers.now_ms(),
      source: origin.source,
      connection_id: connectionOf(origin)?.id ?? 0,
      ...(pid === undefined ? {} : { pid }),
      claimed_agent_id: this.#assign(event),
      ...(verdict === undefined ? {} : { sdk_verdict: verdict }),
      forged_trust_markers,
    };
    const first = this.#prepared(event, known, suspect);
    if (!isTamperSuspected(verdict ?? "ok", forged_trust_markers)) return [first];
    if (verdict !== undefined && verdict !== "ok" && verdict !== "unverifiable") {
      metrics.add("aa_runtime_sdk_tamper_suspected_total", 1, { kind: verdict });
    }
    if (forged_trust_markers > 0) {
      metrics.add("aa_runtime_sdk_tamper_suspected_total", 1, { kind: "forged_trust_marker" });
    }
    const tamper = tamperEvent(newId(), event, verdict, forged_trust_markers);
    this.#assign(tamper);
    return [first, { ...this.#prepared(tamper, known, suspect), told: false }];
  }

  #prepared(
    event: audit.AuditEvent,
    known: Omit<Enrichment, "sequence">,
    suspect: boolean,
  ): Prepared {
    const enrichment = { ...known, sequence: ++this.#sequence };
    event.occurredAt ??= create(common.TimestampSchema, { unixMs: BigInt(known.received_at_ms) });
    const bytes = storedBytes(event, enrichment, suspect);
    const received_us = this.#options.timers.monotonic_us();
    const violation = this.#violationOf(event);
    return { event, enrichment, received_us, bytes, violation, told: true };
  }

  /**
   * Puts the runtime's agent in the event, whatever it says: an agent reports for itself alone, and
   * its organisation and team are an operator's word.
   *
   * @returns The agent that the event named; empty when it named none.
   */
  #assign(event: audit.AuditEvent): string {
    const { agent_id, org_id, team_id } = this.#options.agent;
    const claimed = event.agentId?.agentId ?? "";
    event.agentId = create(common.AgentIdSchema, {
      agentId: agent_id,
      orgId: org_id,
      teamId: team_id,
    });
    event.teamId = team_id;
    if (event.eventId === "") event.eventId = this.#options.newId();
    return claimed.slice(0, LIMITS.identifier_bytes);
  }

  #violationOf(event: audit.AuditEvent): audit.PolicyViolation | undefined {
    if (event.detail.case === "violation") return event.detail.value;
    const action = actionName(event.actionType);
    const rule = this.#options.blocked_actions?.get(action);
    if (rule === undefined) return undefined;
    return create(audit.PolicyViolationSchema, {
      policyRule: rule,
      blockedAction: action,
      reason: `blocked by rule: ${rule}`,
    });
  }

  async #keep(bytes: Uint8Array): Promise<number> {
    const { spool, timers } = this.#options;
    let refused = 0;
    while (true) {
      try {
        return await spool.append("event", bytes);
      } catch (error) {
        const code = error instanceof SpoolError ? error.code : undefined;
        if (code !== "full" && code !== "disk_full" && code !== "queue_full") throw error;
        if (code !== "queue_full") {
          await spool.writable(this.#stop.signal);
          if (this.#stop.signal.aborted) throw stopping();
        }
        // Others wait for the same room; asking again at once would keep everybody else waiting.
        if (code === "queue_full" || refused++ > 0) {
          await timers.sleep(PIPELINE_LIMITS.spool_retry_ms, NEVER);
        }
      }
    }
  }

  #passOn(one: Prepared, spool_seq: number, origin: Origin): void {
    const { metrics, clients } = this.#options;
    this.#kept++;
    const { event, enrichment, received_us } = one;
    const item: PipelineItem = { event, enrichment, received_us, spool_seq };
    if (one.violation !== undefined) {
      metrics.add("aa_policy_violations_total");
      this.#subscribers.give([item]);
      const connection = connectionOf(origin);
      if (one.told && connection !== undefined) clients.violation(connection.id, one.violation);
      return;
    }
    this.#batch.push(item);
    if (this.#batch.length >= (this.#options.batch_rows ?? PIPELINE_LIMITS.batch_rows)) {
      this.flush();
    } else if (this.#batch_end === undefined) void this.#flushLater();
  }

  async #flushLater(): Promise<void> {
    const end = new AbortController();
    this.#batch_end = end;
    const wait_ms = this.#options.flush_interval_ms ?? PIPELINE_LIMITS.flush_interval_ms;
    await this.#options.timers.sleep(wait_ms, end.signal);
    if (this.#batch_end === end) this.flush();
  }

  #showRoom(): void {
    this.#options.metrics.set("aa_channel_utilization_ratio", this.#room.utilisation);
  }
}

/** A queue for the disk empties by itself, also while the runtime stops. */
const NEVER = new AbortController().signal;

function stopping(): PipelineError {
  return new PipelineError(
    "closed",
    "event not kept: the spool is full and the runtime is stopping",
  );
}

/** Opens a pipeline over an open spool. */
export function openPipeline(options: PipelineOptions): Pipeline {
  return new Pipeline(options);
}
