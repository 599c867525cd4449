/**
 * What the carriers of one server's calls share, and the counting they do alike.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import type { Deadlines } from "../deadlines.ts";
import type { Peer } from "../peer.ts";
import type { Route } from "./route.ts";
import type { ServerCounters } from "./stats.ts";
import type { ServerEvent } from "./types.ts";

/** One server, as its connections and web handlers see it. */
export interface ServerShare {
  readonly bounds: Bounds;
  readonly routes: ReadonlyMap<string, Route>;
  readonly counters: ServerCounters;
  readonly deadlines: Deadlines;
  readonly emit: ((event: ServerEvent) => void) | undefined;
}

/** What is counted of a call. */
interface CountedCall {
  readonly method: string;
  started_ms: number;
}

/** A call begins. */
export function countStarted(share: ServerShare, call: CountedCall): void {
  share.counters.calls_started++;
  share.counters.calls_open++;
  if (share.emit !== undefined) call.started_ms = performance.now();
}

/** A call has its status. */
export function countEnded(share: ServerShare, call: CountedCall, code: Code, peer: Peer): void {
  const { counters, emit } = share;
  counters.calls_open--;
  if (code === Code.OK) counters.calls_ok++;
  else counters.calls_failed++;
  emit?.({
    type: "call_ended",
    method: call.method,
    code,
    duration_ms: performance.now() - call.started_ms,
    peer,
  });
}

/** A bound or rule turned a peer away. */
export function countRefused(share: ServerShare, refusal: Refusal, peer: Peer): void {
  share.counters.refuse(refusal);
  share.emit?.({ type: "refused", refusal, peer });
}
