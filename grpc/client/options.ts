/**
 * Options of channels and calls.
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import { checkedCompression, type Compression } from "../compression.ts";
import type { Metadata } from "../metadata.ts";
import type { Backoff } from "./backoff.ts";
import { LOAD_BALANCING, type LoadBalancing } from "./balancer.ts";
import { type CallCredentials, PLAINTEXT_REFUSAL } from "./credentials.ts";
import type { ClientInterceptor } from "./interceptor.ts";
import type { Resolve } from "./resolver.ts";
import type { RetryOptions } from "./retry.ts";

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

/** Options of a channel. */
export interface ChannelOptions {
  /** Absent: plain text. */
  readonly tls?: ChannelTls;
  /** Sent with every call, before the call's own. */
  readonly metadata?: Metadata;
  /** Around every call of every client, the first outermost. */
  readonly interceptors?: readonly ClientInterceptor[];
  /** Asked for with every call, before the call's own; needs `tls`. */
  readonly credentials?: CallCredentials;
  /** Lets credentials travel without TLS, for anyone on the way to read. @default false */
  readonly allow_plaintext_credentials?: boolean;
  /** @default 4 MiB */
  readonly max_receive_message_bytes?: number;
  /** @default 4 MiB */
  readonly max_send_message_bytes?: number;
  /**
   * Silence after which the server is asked for a sign of life (gRFC A8). Servers other than this
   * module's may end the connection when it is below 5 minutes; the interval then doubles.
   * @default off
   */
  readonly keepalive_interval_ms?: number;
  /** @default 20 s */
  readonly keepalive_timeout_ms?: number;
  /** Asks while no call is open, too. @default false */
  readonly keepalive_permit_without_calls?: boolean;
  /**
   * From the first packet to the server's SETTINGS; after failures at least as long as the backoff
   * they cost. @default 5 s
   */
  readonly connect_timeout_ms?: number;
  /** @default 100 ms to 5 s */
  readonly backoff?: Backoff;
  /**
   * How calls are spread over the addresses of the target. `round_robin` over one host name lists
   * the name's addresses with `resolve`. @default pick_first
   */
  readonly load_balancing?: LoadBalancing;
  /**
   * Lists the addresses of a target that is one host name. @default none for `pick_first`:
   * connecting resolves the name; `resolveByDns` for `round_robin`
   */
  readonly resolve?: Resolve;
  /** Least time between two resolutions, which failing connections ask for. @default 30 s */
  readonly resolve_interval_ms?: number;
  /** Time without a call after which every connection is closed. @default 30 min */
  readonly idle_timeout_ms?: number;
  /** What `:authority` says. @default the server name of `tls`, or the target's host, and port */
  readonly authority?: string;
  /**
   * Which failed calls are sent again. @default none; calls no server began are sent again at once
   * in any case
   */
  readonly retry?: RetryOptions;
  /**
   * How requests travel. With `gzip`, messages of at least `compression_min_bytes` that get smaller
   * are compressed; a server that does not read gzip answers UNIMPLEMENTED. Compressed responses are
   * read in any case. What `ServerOptions.compression` says of time and secrets holds
   * here, too. @default identity
   */
  readonly compression?: Compression;
  /** Overrides of single bounds. */
  readonly bounds?: Partial<Bounds>;
}

/** Options of one call. */
export interface CallOptions {
  /** From the call to its status, connecting included. @default none */
  readonly timeout_ms?: number;
  /**
   * Waits while the server cannot be reached, instead of ending with UNAVAILABLE: until the
   * deadline, a cancel, or the channel's close. @default false
   */
  readonly wait_for_ready?: boolean;
  /** How the requests of this call travel. @default what the channel's options say */
  readonly compression?: Compression;
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
  /** Asked for before each attempt; needs a channel with `tls`. */
  readonly credentials?: CallCredentials;
  /** Called with the response headers. */
  readonly onHeaders?: (metadata: Metadata) => void;
  /** Called with the trailers, whatever the status. */
  readonly onTrailers?: (metadata: Metadata) => void;
}

const AUTHORITY = /^[\x21-\x7e]+$/;

/**
 * @param over_unix whether the target is, or lists, a Unix socket
 * @throws TypeError when options contradict each other or the target
 * @throws RangeError when a time is no time
 */
export function checkOptions(options: ChannelOptions, over_unix: boolean): void {
  const { tls, authority, load_balancing, backoff, credentials } = options;
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    throw new TypeError("tls has one of `cert` and `key`: give both or neither");
  }
  if (tls !== undefined && over_unix) {
    throw new TypeError("tls over a Unix socket is not supported: leave `tls` out");
  }
  if (load_balancing !== undefined && !LOAD_BALANCING.includes(load_balancing)) {
    throw new TypeError(
      `load_balancing is \`${load_balancing}\`: expected \`pick_first\` or \`round_robin\``,
    );
  }
  if (authority !== undefined && !AUTHORITY.test(authority)) {
    throw new TypeError(`authority \`${authority}\` is no host with an optional port`);
  }
  if (credentials !== undefined && tls === undefined && !options.allow_plaintext_credentials) {
    throw new TypeError(PLAINTEXT_REFUSAL);
  }
  checkTime("connect_timeout_ms", options.connect_timeout_ms);
  checkTime("resolve_interval_ms", options.resolve_interval_ms);
  checkTime("idle_timeout_ms", options.idle_timeout_ms);
  // No pause at all would dial as fast as the machine can.
  checkTime("backoff.initial_ms", backoff?.initial_ms, 1);
  checkTime("backoff.max_ms", backoff?.max_ms, 1);
}

function checkTime(name: string, value: number | undefined, min = 0): void {
  if (value === undefined || (typeof value === "number" && value >= min)) return;
  throw new RangeError(`\`${name}\` is \`${value}\`: expected milliseconds of at least ${min}`);
}

/**
 * What makes no sense in options is the caller's mistake, not a failed call.
 *
 * @throws RangeError when the timeout is no number
 * @throws TypeError when the compression is unknown
 */
export function checkCallOptions({ timeout_ms, compression }: CallOptions): void {
  checkedCompression(compression);
  if (timeout_ms === undefined || !Number.isNaN(timeout_ms)) return;
  throw new RangeError(`timeout_ms is \`${timeout_ms}\`: expected a number of milliseconds`);
}
