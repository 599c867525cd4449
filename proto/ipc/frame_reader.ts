/**
 * Reading frames from a stream that is cut anywhere.
 *
 * One buffer a reader. It grows by doubling as bytes arrive, so that a peer holds memory only for
 * what it sent; each byte is moved a bounded number of times however the stream is cut; what comes
 * out is the caller's own copy, so that a message that is kept keeps no buffer alive.
 *
 * @module
 */
import { IPC_LIMITS } from "./limits.ts";
import { hasBody, type Sender } from "./tags.ts";

/** One frame; `body` is empty for a frame that has none. */
export interface Frame {
  /** One of the sender's tags (`tags.ts`). */
  readonly tag: number;
  /** The reader keeps no part of it. */
  readonly body: Uint8Array;
}

/** The stream is no sequence of frames. There is no error frame: the connection is closed. */
export class FrameError extends Error {
  /** For logs and `instanceof` across realms. */
  override readonly name = "FrameError";
  /** What is wrong with the stream. */
  readonly reason: "unknown_tag" | "oversized" | "length_overflow";

  /** Made by the readers of this file. */
  constructor(reason: FrameError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Free space below which the buffer is cleared or grown before more is read into it. */
const SPACE_MIN_BYTES = 4_096;
const FIRST_BUFFER_BYTES = 4_096;

/** The bytes that arrived and were not yet taken. */
class Arrived {
  /** Small for a peer that has said nothing yet; the usual size once a frame of its was taken. */
  #buffer = new Uint8Array(FIRST_BUFFER_BYTES);
  /** First byte not yet taken. */
  #start = 0;
  #end = 0;

  get capacity(): number {
    return this.#buffer.length;
  }

  get length(): number {
    return this.#end - this.#start;
  }

  at(offset: number): number {
    return this.#buffer[this.#start + offset] ?? 0;
  }

  /** Room behind what arrived. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#start === this.#end) {
      // Nothing is waiting: start over, and let go of what a large frame made it grow to.
      const taken = this.#start > 0;
      this.#start = this.#end = 0;
      if (taken && this.#buffer.length !== IPC_LIMITS.read_buffer_bytes) {
        this.#buffer = new Uint8Array(IPC_LIMITS.read_buffer_bytes);
      }
    } else if (this.#buffer.length - this.#end < SPACE_MIN_BYTES) {
      this.#makeRoom();
    }
    return this.#buffer.subarray(this.#end);
  }

  /**
   * A cut frame goes to the front once, and only the doubling moves it again: no byte is moved
   * more often than that, whatever the sizes of frames and chunks.
   */
  #makeRoom(): void {
    const waiting = this.length;
    if (this.#start >= SPACE_MIN_BYTES) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const grown = new Uint8Array(grownTo(this.#buffer.length));
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = grown;
    }
    this.#start = 0;
    this.#end = waiting;
  }

  filled(bytes: number): void {
    this.#end += bytes;
  }

  push(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      const space = this.space();
      const part = rest.subarray(0, space.length);
      space.set(part);
      this.filled(part.length);
      rest = rest.subarray(part.length);
    }
  }

  take(header: number, length: number): Uint8Array {
    const from = this.#start + header;
    this.#start = from + length;
    return this.#buffer.slice(from, from + length);
  }
}

/** Room for the largest frame and one more read; beyond it only where whole frames are not taken. */
const WHOLE_FRAME_BYTES = IPC_LIMITS.frame_body_bytes_max + IPC_LIMITS.read_buffer_bytes;

function grownTo(bytes: number): number {
  return bytes < WHOLE_FRAME_BYTES ? Math.min(bytes * 2, WHOLE_FRAME_BYTES) : bytes * 2;
}

/** What a length prefix says, with the bytes it takes itself. */
interface Prefix {
  readonly bytes: number;
  readonly length: number;
}

/** `undefined` while the prefix is cut. */
function readPrefix(arrived: Arrived, offset: number, length_max: number): Prefix | undefined {
  let length = 0;
  for (let index = 0; index < IPC_LIMITS.frame_length_bytes_max; index++) {
    if (offset + index >= arrived.length) return undefined;
    const byte = arrived.at(offset + index);
    if (index === 9 && byte > 1) {
      throw new FrameError("length_overflow", "frame length does not fit 64 bits");
    }
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) {
      if (length > length_max) {
        throw new FrameError(
          "oversized",
          `frame of \`${length}\` bytes is refused: at most ${length_max}`,
        );
      }
      return { bytes: index + 1, length };
    }
  }
  throw new FrameError("length_overflow", "frame length does not fit 64 bits");
}

/** Reads length-delimited bodies without tags: what `frameBody` writes. */
export class BodyReader {
  readonly #arrived = new Arrived();

  /** Takes the next bytes of the stream, any number of them. */
  push(chunk: Uint8Array): void {
    this.#arrived.push(chunk);
  }

  /**
   * Takes the next body out of what arrived.
   *
   * @returns The next whole body; `undefined` until more bytes arrive.
   * @throws {FrameError} when what arrived can become no body
   */
  next(): Uint8Array | undefined {
    const prefix = readPrefix(this.#arrived, 0, IPC_LIMITS.frame_body_bytes_max);
    if (prefix === undefined || this.#arrived.length < prefix.bytes + prefix.length) {
      return undefined;
    }
    return this.#arrived.take(prefix.bytes, prefix.length);
  }
}

/**
 * Reads one direction of a connection.
 *
 * @example
 * ```ts
 * import { FrameReader } from "@agent-assembly/proto/ipc";
 *
 * const reader = new FrameReader("client");
 * reader.push(Uint8Array.of(4, 2, 1));
 * reader.next(); // the heartbeat
 * reader.next(); // undefined: an event report with a body of one byte that has not arrived
 * ```
 */
export class FrameReader {
  readonly #arrived = new Arrived();
  readonly #sender: Sender;
  /**
   * Longest body taken now. Lower it while a peer is a stranger; raise it later.
   * @default IPC_LIMITS.frame_body_bytes_max
   */
  body_bytes_max: number;

  /**
   * Reads frames of one sender.
   *
   * @param sender Whose frames they are: the tags of the two directions differ.
   */
  constructor(sender: Sender, body_bytes_max: number = IPC_LIMITS.frame_body_bytes_max) {
    this.#sender = sender;
    this.body_bytes_max = body_bytes_max;
  }

  /** Bytes of memory held. */
  get capacity_bytes(): number {
    return this.#arrived.capacity;
  }

  /** Bytes that arrived and belong to no frame yet taken. */
  get waiting_bytes(): number {
    return this.#arrived.length;
  }

  /** Takes the next bytes of the stream, any number of them. */
  push(chunk: Uint8Array): void {
    this.#arrived.push(chunk);
  }

  /** Room to read into directly; say with {@linkcode filled} how much of it was. */
  space(): Uint8Array<ArrayBuffer> {
    return this.#arrived.space();
  }

  /** The first `bytes` of the last {@linkcode space} now hold the next bytes of the stream. */
  filled(bytes: number): void {
    this.#arrived.filled(bytes);
  }

  /**
   * Takes the next frame out of what arrived.
   *
   * @returns The next whole frame; `undefined` until more bytes arrive.
   * @throws {FrameError} when what arrived can become no frame; every later call throws it again
   */
  next(): Frame | undefined {
    if (this.#arrived.length === 0) return undefined;
    const tag = this.#arrived.at(0);
    const body = hasBody(this.#sender, tag);
    if (body === undefined) {
      throw new FrameError("unknown_tag", `frame tag \`${tag}\` is unknown: expected 1 to 5`);
    }
    if (!body) return { tag, body: this.#arrived.take(1, 0) };
    const prefix = readPrefix(this.#arrived, 1, this.body_bytes_max);
    const header = 1 + (prefix?.bytes ?? 0);
    if (prefix === undefined || this.#arrived.length < header + prefix.length) return undefined;
    return { tag, body: this.#arrived.take(header, prefix.length) };
  }
}
