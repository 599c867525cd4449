/**
 * What an origin and a front say to each other beside their batches: rare, so they are plain
 * objects. A batch is a bare array of bytes.
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import type { ListenOptions } from "../server/listener.ts";
import type { ServerStats } from "../server/stats.ts";

/** A method a front relays. */
export interface OffloadedMethod {
  readonly path: string;
  readonly kind: "unary" | "server_streaming" | "client_streaming" | "bidi_streaming";
}

/** What an origin tells its front. */
export type OriginMessage =
  | {
    readonly type: "start";
    /** The index of a method is its number in batches. */
    readonly methods: readonly OffloadedMethod[];
    readonly bounds: Bounds;
  }
  | { readonly type: "listen"; readonly options: ListenOptions }
  /** Stops accepting at an address it was `bound` to. */
  | { readonly type: "unlisten"; readonly address: string }
  /** Asks for a sign of life. */
  | { readonly type: "ping" }
  | { readonly type: "drain"; readonly grace_ms: number };

/** What a front tells its origin. */
export type FrontMessage =
  /** The thread runs and waits for `start`. */
  | { readonly type: "ready" }
  | { readonly type: "bound"; readonly address: string; readonly port: number | undefined }
  | { readonly type: "listen_failed"; readonly name: string; readonly text: string }
  | { readonly type: "pong"; readonly stats: ServerStats }
  | { readonly type: "drained"; readonly stats: ServerStats };
