/**
 * Options of channels and calls.
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import type { Metadata } from "../metadata.ts";

/** TLS of a channel; all texts are PEM. */
export interface ChannelTls {
  /** Authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Client certificate and key, both or neither: mutual TLS. */
  readonly cert?: string;
  readonly key?: string;
  /** Name to ask for and to verify; default the target's host. */
  readonly serverName?: string;
}

/** Waits after failed connects: `initial_ms`, each time 1.6 times more up to `max_ms`, ± 20 %. */
export interface Backoff {
  readonly initial_ms: number;
  readonly max_ms: number;
}

/** Options of a channel. */
export interface ChannelOptions {
  /** Absent: plain text. */
  readonly tls?: ChannelTls;
  /** Sent with every call, before the call's own. */
  readonly metadata?: Metadata;
  /** @default 4 MiB */
  readonly max_receive_message_bytes?: number;
  /** @default 4 MiB */
  readonly max_send_message_bytes?: number;
  /** Silence after which the server is asked for a sign of life. @default off */
  readonly keepalive_interval_ms?: number;
  /** @default 20 s */
  readonly keepalive_timeout_ms?: number;
  /** From the first packet to the server's SETTINGS. @default 5 s */
  readonly connect_timeout_ms?: number;
  /** @default 100 ms to 5 s */
  readonly backoff?: Backoff;
  /** Overrides of single bounds. */
  readonly bounds?: Partial<Bounds>;
}

/** Options of one call. */
export interface CallOptions {
  /** From the call to its status, connecting included. @default none */
  readonly timeout_ms?: number;
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
  /** Called with the response headers. */
  readonly onHeaders?: (metadata: Metadata) => void;
  /** Called with the trailers, whatever the status. */
  readonly onTrailers?: (metadata: Metadata) => void;
}
