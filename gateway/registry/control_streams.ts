/**
 * The open control streams: at most one an agent, each with a bounded queue
 * (contract `wire` §1.2, `policy-and-gateway` §7.7).
 *
 * @module
 */
import type { RegistryChange } from "./changes.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** What the gateway tells an agent. */
export type ControlCommand =
  | { readonly kind: "suspend"; readonly reason: string }
  | { readonly kind: "resume"; readonly note: string }
  | {
    readonly kind: "policy_update";
    readonly new_policy_id: string;
    readonly policy_bytes: Uint8Array;
  }
  | { readonly kind: "kill"; readonly reason: string };

/** What became of a command. */
export type Delivery = "queued" | "not_connected" | "overflowed";

/** Why a stream ended. */
export type StreamEnd =
  | "replaced"
  | "deregistered"
  | "killed"
  /** The token that opened it was rotated or revoked. */
  | "token_ended"
  | "cancelled"
  | "overflowed"
  | "stopped";

/**
 * An agent did not read its commands: its stream was ended, so that it connects again and is told
 * how it stands instead of missing a command silently.
 */
export class ControlOverflow extends Error {
  override readonly name = "ControlOverflow";

  constructor() {
    const limit = REGISTRY_LIMITS.control_queue_commands;
    super(`${limit} commands are waiting unread: connect again`);
  }
}

/** Where changes come from. */
export interface ChangeSource {
  onApplied(listener: (change: RegistryChange) => void): () => void;
}

/** The control streams of one gateway. They follow the registry by themselves. */
export class ControlStreams {
  readonly #streams = new Map<string, ControlStream>();
  #overflows = 0;

  /** @param source Status changes are pushed to the agents they are about. */
  constructor(source: ChangeSource) {
    source.onApplied((change) => this.#follow(change));
  }

  /** Streams open now. */
  get size(): number {
    return this.#streams.size;
  }

  /** Streams ended because their queue was full. */
  get overflows(): number {
    return this.#overflows;
  }

  /** Whether an agent listens. */
  isConnected(key: string): boolean {
    return this.#streams.has(key);
  }

  /**
   * Opens the stream of an agent; the one it had before ends.
   *
   * @param first Commands that tell how the agent stands now.
   * @param signal Ends the stream: cancelled, deadline passed, connection lost.
   */
  open(
    key: string,
    first: readonly ControlCommand[],
    signal: AbortSignal,
  ): AsyncIterable<ControlCommand> {
    this.#streams.get(key)?.end("replaced");
    // A stream ends once, and the one before has ended by now: the key is this stream's.
    const stream = new ControlStream(first, () => this.#streams.delete(key));
    this.#streams.set(key, stream);
    const cancel = () => stream.end("cancelled");
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    return stream;
  }

  /** Puts a command into an agent's queue. */
  send(key: string, command: ControlCommand): Delivery {
    const stream = this.#streams.get(key);
    if (stream === undefined) return "not_connected";
    if (stream.push(command)) return "queued";
    this.#overflows++;
    stream.end("overflowed");
    return "overflowed";
  }

  /** Ends every stream: the gateway stops. */
  stop(): void {
    for (const stream of this.#streams.values()) stream.end("stopped");
  }

  #follow({ action, after, reason }: RegistryChange): void {
    const { key, state } = after;
    if (state.status === "deregistered") this.#streams.get(key)?.end("deregistered");
    else if (action === "agent_killed") {
      this.send(key, { kind: "kill", reason: state.status === "active" ? "" : state.reason });
      this.#streams.get(key)?.end("killed");
    } else if (TOKEN_ENDS.has(action)) this.#streams.get(key)?.end("token_ended");
    else if (state.status === "suspended") {
      if (action === "agent_suspended") this.send(key, { kind: "suspend", reason: state.reason });
    } else if (action === "agent_resumed") this.send(key, { kind: "resume", note: reason });
  }
}

/** Changes after which a stream was opened with a token that is no more. */
const TOKEN_ENDS: ReadonlySet<RegistryChange["action"]> = new Set([
  "agent_token_rotated",
  "agent_token_reissued",
  "agent_token_revoked",
]);

/** One stream: commands in, an asynchronous sequence out. Read by one reader. */
class ControlStream implements AsyncIterable<ControlCommand> {
  readonly #queue: ControlCommand[];
  readonly #ended: () => unknown;
  #end: StreamEnd | undefined;
  #wake: () => void = () => {};

  constructor(first: readonly ControlCommand[], ended: () => unknown) {
    this.#queue = [...first];
    this.#ended = ended;
  }

  push(command: ControlCommand): boolean {
    if (this.#queue.length >= REGISTRY_LIMITS.control_queue_commands) return false;
    this.#queue.push(command);
    this.#wake();
    return true;
  }

  end(reason: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#ended();
    this.#wake();
  }

  /**
   * Gives the queued commands, also those from before the end.
   *
   * @throws {ControlOverflow} after the last one, when the queue was full.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ControlCommand> {
    try {
      while (true) {
        const command = this.#queue.shift();
        if (command !== undefined) {
          yield command;
          continue;
        }
        if (this.#end === "overflowed") throw new ControlOverflow();
        if (this.#end !== undefined) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    } finally {
      // The reader went away without a signal.
      this.end("cancelled");
    }
  }
}
