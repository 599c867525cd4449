/**
 * A pipeline over a spool that a test can break, and everything it told.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { audit } from "../../proto/mod.ts";
import { ManualTimers, SeenMetrics } from "../_fixture.ts";
import type { Origin, SpoolPart, SpoolRecord } from "../parts.ts";
import { SpoolError, type SpoolFailure } from "../spool/failure.ts";
import { openPipeline, type Pipeline, type PipelineOptions } from "./pipeline.ts";

/** A spool in memory: refuses when told to, and says what it holds. */
export class MemorySpool implements SpoolPart {
  readonly id = "00000000-0000-4000-8000-000000000001";
  readonly records: SpoolRecord[] = [];
  /** Refusal of every append, while set. */
  refusal: SpoolFailure | undefined;
  /** While set, appends wait for it. */
  gate: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();

  /** @inheritdoc */
  append = async (kind: SpoolRecord["kind"], bytes: Uint8Array): Promise<number> => {
    if (this.refusal !== undefined) throw new SpoolError(this.refusal, `spool ${this.refusal}`);
    await this.gate;
    const seq = this.records.length + 1;
    this.records.push({ seq, kind, bytes: bytes.slice() });
    return seq;
  };

  /** @inheritdoc */
  writable = (signal: AbortSignal): Promise<void> => {
    if (this.refusal !== "full") return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    return Promise.race([this.#room.promise, promise]);
  };

  /** @inheritdoc */
  state = (): "ready" | "full" | "failed" => {
    return this.refusal === undefined ? "ready" : this.refusal === "full" ? "full" : "failed";
  };

  /** Takes records again. */
  relieve(): void {
    this.refusal = undefined;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }
}

/** A pipeline with everything around it. */
export class PipelineBench implements AsyncDisposable {
  readonly timers = new ManualTimers();
  readonly metrics = new SeenMetrics();
  readonly spool = new MemorySpool();
  readonly violations: {
    readonly connection: number;
    readonly violation: audit.PolicyViolation;
  }[] = [];
  readonly pipeline: Pipeline;
  #next_id = 0;

  constructor(options: Partial<PipelineOptions> = {}) {
    this.pipeline = openPipeline({
      agent: { agent_id: "agent-1", team_id: "red", org_id: "acme" },
      spool: this.spool,
      clients: {
        violation: (connection, violation) => this.violations.push({ connection, violation }),
        approvalDecided: () => {},
      },
      metrics: this.metrics,
      timers: this.timers,
      newId: () => `00000000-0000-4000-8000-${(++this.#next_id).toString(16).padStart(12, "0")}`,
      ...options,
    });
  }

  /** Ends the pipeline. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.pipeline.close();
  }
}

/** An event of the given shape. */
export function eventOf(
  init: MessageInitShape<typeof audit.AuditEventSchema> = {},
): audit.AuditEvent {
  return create(audit.AuditEventSchema, { eventId: "0123456789abcdef-00000abc-0001", ...init });
}

/** An event with a tool call's arguments. */
export function toolEvent(args: string | Uint8Array): audit.AuditEvent {
  const argsJson = typeof args === "string" ? new TextEncoder().encode(args) : args;
  return eventOf({
    actionType: 2,
    labels: { "aa.sdk_version": "0.4.0" },
    detail: { case: "toolCall", value: { toolName: "read_file", argsJson } },
  });
}

/** A client's connection that signed version `0.4.0`. */
export function fromClient(sdk_version = "0.4.0", id = 1): Origin {
  return {
    source: "sdk",
    connection: { id, sdk_version, handshake: "public_id", applies_redactions: false },
  };
}

/** The arguments an event's tool call carries, as text. */
export function argsOf(event: audit.AuditEvent): string {
  if (event.detail.case !== "toolCall") throw new Error("no tool call");
  return new TextDecoder().decode(event.detail.value.argsJson);
}
