/**
 * Spools, sinks and records for the tests of this room.
 *
 * @module
 */
import { ManualTimers, SeenMetrics } from "../_fixture.ts";
import type { SpoolRecord, SpoolSink } from "../parts.ts";
import { Forwarder } from "./forwarder.ts";
import { openSpool, type Spool, type SpoolOptions } from "./spool.ts";

/** A spool in a folder, with one required reader `gateway` unless told otherwise. */
export function openAt(folder: string, options: Partial<SpoolOptions> = {}): Promise<Spool> {
  return openSpool({
    path: `${folder}/spool.db`,
    uid: Deno.uid(),
    readers: [{ name: "gateway", role: "required" }],
    timers: new ManualTimers(),
    newId: () => crypto.randomUUID(),
    ...options,
  });
}

/** Bytes of record number `index`, recognisable. */
export function recordNumber(index: number, length = 24): Uint8Array {
  return new TextEncoder().encode(`record ${index} `.padEnd(length, "."));
}

/** Which number a record's bytes say. */
export function numberIn(bytes: Uint8Array): number {
  return Number(/record (\d+)/.exec(new TextDecoder().decode(bytes))?.[1]);
}

/** A receiver that remembers, drops what it has by (spool id, seq), and fails when told to. */
export class RememberingSink implements SpoolSink {
  /** Bytes by `<spool id>/<seq>`. */
  readonly taken = new Map<string, Uint8Array>();
  /** Positions in the order they first came. */
  readonly order: number[] = [];
  calls = 0;
  duplicates = 0;
  /** What to do before, or instead of, taking: `after` loses the answer only. */
  fails: "no" | "before" | "after" = "no";
  /** Overrides the answer. */
  says: ((through: number) => number) | undefined;

  /** @inheritdoc */
  deliver = (spool_id: string, records: readonly SpoolRecord[]): Promise<number> => {
    this.calls++;
    if (this.fails === "before") return Promise.reject(new Error("gateway away"));
    for (const { seq, bytes } of records) {
      const key = `${spool_id}/${seq}`;
      if (this.taken.has(key)) {
        this.duplicates++;
        continue;
      }
      this.taken.set(key, bytes.slice());
      this.order.push(seq);
    }
    if (this.fails === "after") return Promise.reject(new Error("answer lost"));
    const through = records.at(-1)?.seq ?? 0;
    return Promise.resolve(this.says?.(through) ?? through);
  };
}

/** A forwarder of the reader `gateway`. */
export function forwarderOf(
  spool: Spool,
  sink: SpoolSink,
  timers: ManualTimers,
  metrics = new SeenMetrics(),
  more: { readonly gather_ms?: number } = {},
): Forwarder {
  const forwarder = new Forwarder({
    name: "gateway",
    spool_id: spool.id,
    reader: spool.reader("gateway"),
    sink,
    timers,
    random: () => 0.5,
    metrics,
    ...more,
  });
  spool.onAppended(() => forwarder.wake());
  return forwarder;
}
