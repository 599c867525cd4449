/**
 * What the socket knows of the rooms behind it, and they of each other's surroundings.
 * `open_rooms.ts` opens them.
 *
 * @module
 */
import type { Attestation } from "./attestation/attestation.ts";
import type { RuntimeConfig } from "./config.ts";
import type { Libc } from "./libc/libc.ts";
import type { Log } from "./log.ts";
import type { ClientMessages, DecisionsPart, MetricsPart, PipelinePart } from "./parts.ts";
import type { Timers } from "./timers.ts";

/** What every room may use. */
export interface Shared {
  readonly config: RuntimeConfig;
  readonly metrics: MetricsPart;
  readonly messages: ClientMessages;
  readonly timers: Timers;
  readonly log: Log;
  readonly attestation: Pick<Attestation, "witness">;
  readonly newId: () => string;
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
