/**
 * Orders given at this runtime itself, with or without a gateway (trap R12): a file that an
 * operator edits. A file, because whoever gives orders must not be the agent, and a file can belong
 * to somebody else: the runtime and its agent are one user, so that nothing which that user may ask
 * of a socket would be an operator's word.
 *
 * ```
 * # op          one a line: pause or terminate
 * pause *
 * terminate agent:coder-1
 * pause 4bf92f3577b34da6:00f067aa0ba902b7
 * ```
 *
 * Taking a line out ends its order. A file that cannot be understood pauses everything until it can.
 *
 * @module
 */
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import { LOCAL_ORDER_LIMITS } from "./limits.ts";

/** What an order makes of the queries it governs: they wait, or are denied. */
export type OrderSignal = "pause" | "terminate";

/** What a text says. */
export type ParsedOrders =
  | { readonly ok: true; readonly orders: ReadonlyMap<string, OrderSignal> }
  | { readonly ok: false; readonly why: string };

/**
 * Reads the orders of a text. A termination of an operation wins over a pause of it.
 */
export function parseOrders(text: string): ParsedOrders {
  const orders = new Map<string, OrderSignal>();
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.replace(/(^|\s)#.*$/, "").trim();
    if (words === "") continue;
    const match = /^(pause|terminate)\s+(\S{1,512})$/.exec(words);
    const signal = match?.[1];
    const op_id = match?.[2];
    const known = op_id !== undefined && (op_id === "*" || /^[^:]+:.+$/.test(op_id));
    if ((signal !== "pause" && signal !== "terminate") || !known) {
      return {
        ok: false,
        why: `line ${
          index + 1
        } is no order: expected pause or terminate, then *, agent:ID or TRACE:SPAN`,
      };
    }
    if (orders.get(op_id) !== "terminate") orders.set(op_id, signal);
    if (orders.size > LOCAL_ORDER_LIMITS.orders_max) {
      return { ok: false, why: `it holds more than ${LOCAL_ORDER_LIMITS.orders_max} orders` };
    }
  }
  return { ok: true, orders };
}

/** A file as it was found. */
export interface FoundFile {
  readonly uid: number | null;
  readonly mode: number | null;
  readonly size: number;
  /** Read only after the rest was looked at. */
  readonly text: () => string;
}

/** What the orders need. */
export interface OrderFileOptions {
  readonly path: string;
  readonly own_uid: number;
  readonly timers: Timers;
  readonly log: Log;
  /** Puts an order in force, or ends it. */
  readonly apply: (op_id: string, signal: OrderSignal | "resume") => void;
  /** The file now; `undefined` while there is none. @default the file system */
  readonly find?: (path: string) => FoundFile | undefined;
}

/** How the file stands. */
export interface OrderFileStatus {
  readonly state: "none" | "in_force" | "damaged";
  readonly orders: number;
  /** Why it is damaged; empty otherwise. */
  readonly detail: string;
}

/** What holds while the file cannot be understood. */
const DAMAGED: ReadonlyMap<string, OrderSignal> = new Map([["*", "pause"]]);

/** Follows the file. Call {@linkcode OrderFile.look} once before the first query. */
export class OrderFile implements AsyncDisposable {
  readonly #options: OrderFileOptions;
  readonly #stopped = new AbortController();
  #in_force: ReadonlyMap<string, OrderSignal> = new Map();
  #status: OrderFileStatus = { state: "none", orders: 0, detail: "" };
  #running: Promise<void> | undefined;

  constructor(options: OrderFileOptions) {
    this.#options = options;
  }

  /** How the file stood when it was looked at last. */
  get status(): OrderFileStatus {
    return this.#status;
  }

  /** Looks again and again until it is disposed of. */
  start(): void {
    this.#running ??= this.#follow();
  }

  /** Looks at the file and puts in force what it says. */
  look(): void {
    const { state, orders, detail } = this.#read();
    if (state === "damaged" && this.#status.detail !== detail) {
      const { path, log } = this.#options;
      log("error", "local orders cannot be understood: every query waits", { path, why: detail });
    }
    this.#status = { state, orders: state === "damaged" ? 0 : orders.size, detail };
    this.#replace(orders);
  }

  /** @inheritdoc */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { timers } = this.#options;
    while (!this.#stopped.signal.aborted) {
      await timers.sleep(LOCAL_ORDER_LIMITS.interval_ms, this.#stopped.signal);
      if (!this.#stopped.signal.aborted) this.look();
    }
  }

  #read(): {
    readonly state: OrderFileStatus["state"];
    readonly orders: ReadonlyMap<string, OrderSignal>;
    readonly detail: string;
  } {
    const damaged = (detail: string) => ({ state: "damaged" as const, orders: DAMAGED, detail });
    try {
      const found = (this.#options.find ?? findFile)(this.#options.path);
      if (found === undefined) return { state: "none", orders: new Map(), detail: "" };
      const refusal = this.#distrust(found);
      if (refusal !== undefined) return damaged(refusal);
      const parsed = parseOrders(found.text());
      if (!parsed.ok) return damaged(parsed.why);
      const state = parsed.orders.size === 0 ? "none" : "in_force";
      return { state, orders: parsed.orders, detail: "" };
    } catch (error) {
      return damaged(`it cannot be read: ${error instanceof Error ? error.name : "unknown"}`);
    }
  }

  #distrust({ uid, mode, size }: FoundFile): string | undefined {
    if (uid !== null && uid !== 0 && uid !== this.#options.own_uid) {
      return `it belongs to user ${uid}, neither root nor the runtime's`;
    }
    if (mode !== null && (mode & 0o022) !== 0) return "others may write to it: `chmod 644` it";
    if (size > LOCAL_ORDER_LIMITS.file_bytes_max) {
      return `it is longer than ${LOCAL_ORDER_LIMITS.file_bytes_max} bytes`;
    }
    return undefined;
  }

  /** New orders before old ones end, so that nothing slips through between two of them. */
  #replace(orders: ReadonlyMap<string, OrderSignal>): void {
    const { apply } = this.#options;
    const before = this.#in_force;
    this.#in_force = orders;
    for (const [op_id, signal] of orders) {
      if (before.get(op_id) === signal) continue;
      // A termination stands against a pause, so that it is ended first to become one.
      if (before.get(op_id) === "terminate") apply(op_id, "resume");
      apply(op_id, signal);
    }
    for (const op_id of before.keys()) if (!orders.has(op_id)) apply(op_id, "resume");
  }
}

function findFile(path: string): FoundFile | undefined {
  try {
    const { uid, mode, size } = Deno.statSync(path);
    return { uid, mode, size, text: () => Deno.readTextFileSync(path) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
