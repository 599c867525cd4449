/**
 * Counters of a server.
 *
 * @module
 */

import type { Refusal } from "../bounds.ts";

/** Counters since the server was made; `_open` ones are current. */
export interface ServerStats {
  readonly connections_accepted: number;
  readonly connections_open: number;
  readonly calls_started: number;
  readonly calls_open: number;
  readonly calls_ok: number;
  readonly calls_failed: number;
  /** Received bytes waiting in unfinished or unread messages. */
  readonly buffered_bytes: number;
  /** Bytes of response messages waiting for their peers. */
  readonly pending_bytes: number;
  /** Calls open, and those whose handler still runs after its stream or connection is gone. */
  readonly calls_held: number;
  /** How often each bound or rule turned a peer away; absent means never. */
  readonly refused: Readonly<Partial<Record<Refusal, number>>>;
}

/** The same, writable, for the server's own rooms. */
export class ServerCounters implements ServerStats {
  connections_accepted = 0;
  connections_open = 0;
  calls_started = 0;
  calls_open = 0;
  calls_ok = 0;
  calls_failed = 0;
  buffered_bytes = 0;
  pending_bytes = 0;
  calls_held = 0;
  readonly refused: Partial<Record<Refusal, number>> = {};

  refuse(refusal: Refusal): void {
    this.refused[refusal] = (this.refused[refusal] ?? 0) + 1;
  }
}
