/**
 * A gateway's log as files, so that the one verifier reads it like a directory.
 *
 * @module
 */
import { parseTreeHead } from "../core/audit/checkpoint.ts";
import { decodeBundle, TILE_WIDTH, tilePath } from "../core/audit/tiles.ts";
import type { LogReader } from "../core/audit/verify/mod.ts";
import { CommandError } from "./exit_code.ts";
import type { GatewayConnection } from "./gateway_connection.ts";

/** Name of the entries' file in an audit directory. */
const LOG_FILE = "gateway-default.jsonl";
const TREE_PREFIX = "log/";
const NEWLINE = new Uint8Array([10]);

/** The checkpoint of a gateway, with the key it says signs it. Nothing here is verified. */
export interface OfferedCheckpoint {
  readonly note: string;
  readonly verifier_key: string;
  readonly origin: string;
  /** Entries it covers. */
  readonly size: number;
}

/**
 * Asks for the checkpoint.
 *
 * @throws {CommandError} when it cannot be read.
 */
export async function offeredCheckpoint(gateway: GatewayConnection): Promise<OfferedCheckpoint> {
  const { note, verifierKey } = await gateway.admin.getCheckpoint({}, await gateway.operator());
  try {
    const { origin, size } = parseTreeHead(note.slice(0, note.indexOf("\n\n") + 1));
    return { note, verifier_key: verifierKey, origin, size };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`the gateway sent no usable checkpoint: ${why}`);
  }
}

/** The log up to a checkpoint, read over gRPC. */
export class RemoteLog implements LogReader {
  constructor(
    private readonly gateway: GatewayConnection,
    private readonly checkpoint: OfferedCheckpoint,
  ) {}

  async read(name: string): Promise<Uint8Array | undefined> {
    // The checkpoint stays the one that was judged: the log may have grown since.
    if (name === `${TREE_PREFIX}checkpoint`) return new TextEncoder().encode(this.checkpoint.note);
    return name.startsWith(TREE_PREFIX)
      ? await this.#resource(name.slice(TREE_PREFIX.length))
      : undefined;
  }

  stream(name: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    return Promise.resolve(name === LOG_FILE ? this.#lines() : undefined);
  }

  async *#lines(): AsyncGenerator<Uint8Array> {
    for await (const entry of this.entries()) {
      yield entry;
      yield NEWLINE;
    }
  }

  /** JSON lines of the entries under the checkpoint, oldest first, without newlines. */
  async *entries(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index * TILE_WIDTH < this.checkpoint.size; index++) {
      const width = Math.min(TILE_WIDTH, this.checkpoint.size - index * TILE_WIDTH);
      const entries = await this.#bundle(index, width);
      if (entries === undefined) return;
      yield* entries.slice(0, width);
    }
  }

  /** A partial bundle gives way to the full one; the first entries are the same. */
  async #bundle(index: number, width: number): Promise<Uint8Array[] | undefined> {
    const bundle = { kind: "entries", level: 0, index } as const;
    const bytes = await this.#resource(tilePath({ ...bundle, width })) ??
      await this.#resource(tilePath({ ...bundle, width: TILE_WIDTH }));
    return bytes && decodeBundle(bytes);
  }

  async #resource(path: string): Promise<Uint8Array | undefined> {
    const { content, found } = await this.gateway.admin.readLogResource(
      { path },
      await this.gateway.operator(),
    );
    return found ? content : undefined;
  }
}
