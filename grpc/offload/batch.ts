/**
 * What travels between a front and its origin: batches of frames, each batch one array of bytes.
 * Both ends are this module, but a front talks to strangers all day: its origin reads a batch as it
 * would read a stranger's, within bounds, and gives the front up when one does not parse.
 *
 * @module
 */

/** Kinds of frames. What follows the kind and the call's number is said beside each. */
export const FrameKind = {
  /** Front: a connection's number, then who its peer is, as JSON. */
  PEER: 1,
  /** Front: the connection of that number will open no more calls. */
  PEER_GONE: 2,
  /** Front: method, connection, milliseconds left or NaN, metadata. */
  OPEN: 3,
  /**
   * Both: one message with its gRPC prefix, or nothing; before it, of a front whether it is the
   * last, of an origin whether it may be compressed.
   */
  DATA: 4,
  /** Both: bytes of messages the other side may send beyond those it may already. */
  CREDIT: 5,
  /** Front: why the call has ended at the peer. */
  CANCEL: 6,
  /** Origin: whether messages may be compressed, response metadata. */
  HEAD: 7,
  /** Origin: code, text, the error's metadata, its details, trailers. Each call gets one, at last. */
  END: 8,
} as const;

/** A batch that does not parse: a mistake of this module, or of what runs in its place. */
export class BatchError extends Error {
  override readonly name = "BatchError";
}

/** A batch starts with how many batches of the other side were taken since the last one. */
export const BATCH_HEAD_BYTES = 4;

/** A batch without frames, which says only how many were taken. */
export function emptyBatch(acknowledged: number): Uint8Array<ArrayBuffer> {
  const batch = new Uint8Array(BATCH_HEAD_BYTES);
  new DataView(batch.buffer).setUint32(0, acknowledged);
  return batch;
}

const INITIAL_BYTES = 8 * 1024;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** Collects the frames of the next batch. */
export class BatchWriter {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = BATCH_HEAD_BYTES;

  /** Bytes collected, with the head. */
  get length(): number {
    return this.#length;
  }

  get empty(): boolean {
    return this.#length === BATCH_HEAD_BYTES;
  }

  /** Takes the batch out, in memory of its own. */
  take(acknowledged: number): Uint8Array<ArrayBuffer> {
    this.#view.setUint32(0, acknowledged);
    const batch = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(INITIAL_BYTES);
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = BATCH_HEAD_BYTES;
    return batch;
  }

  /** Begins a frame. */
  frame(kind: number, id: number): void {
    const offset = this.#reserve(5);
    this.#bytes[offset] = kind;
    this.#view.setUint32(offset + 1, id);
  }

  u8(value: number): void {
    const offset = this.#reserve(1);
    this.#bytes[offset] = value;
  }

  u32(value: number): void {
    const offset = this.#reserve(4);
    this.#view.setUint32(offset, value);
  }

  f64(value: number): void {
    const offset = this.#reserve(8);
    this.#view.setFloat64(offset, value);
  }

  /** A message behind its gRPC prefix (compressed flag 0, length). */
  message(message: Uint8Array): void {
    this.u32(message.length + 5);
    const offset = this.#reserve(message.length + 5);
    this.#bytes[offset] = 0;
    this.#view.setUint32(offset + 1, message.length);
    this.#bytes.set(message, offset + 5);
  }

  /** A text of any characters. */
  text(text: string): void {
    const bytes = ENCODER.encode(text);
    this.u32(bytes.length);
    const offset = this.#reserve(bytes.length);
    this.#bytes.set(bytes, offset);
  }

  /** Header fields as they travel: characters up to U+00FF. */
  fields(fields: readonly string[]): void {
    this.u32(fields.length);
    for (const field of fields) {
      this.u32(field.length);
      const offset = this.#reserve(field.length);
      for (let index = 0; index < field.length; index++) {
        this.#bytes[offset + index] = field.charCodeAt(index);
      }
    }
  }

  #reserve(count: number): number {
    const offset = this.#length;
    const length = offset + count;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, length));
      grown.set(this.#bytes.subarray(0, offset));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = length;
    return offset;
  }
}

/** Reads a batch. Every method throws BatchError when the batch ends too early. */
export class BatchReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#position === this.bytes.length;
  }

  u8(): number {
    return this.bytes[this.#take(1)] ?? 0;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  /** Where the next `length` bytes begin; they are passed over. */
  span(length: number): number {
    return this.#take(length);
  }

  text(): string {
    const length = this.u32();
    const start = this.#take(length);
    return DECODER.decode(this.bytes.subarray(start, start + length));
  }

  fields(): string[] {
    const count = this.u32();
    // Each field has a length of four bytes: no count makes more room than the batch has bytes.
    if (count % 2 !== 0 || count * 4 > this.bytes.length - this.#position) {
      throw new BatchError(`a list of ${count} fields does not fit its batch`);
    }
    const fields: string[] = [];
    for (let index = 0; index < count; index++) fields.push(this.#latin1());
    return fields;
  }

  #latin1(): string {
    const length = this.u32();
    const start = this.#take(length);
    let text = "";
    for (let index = start; index < start + length; index++) {
      text += String.fromCharCode(this.bytes[index] ?? 0);
    }
    return text;
  }

  #take(count: number): number {
    const start = this.#position;
    if (count > this.bytes.length - start) throw new BatchError("a batch ends inside a frame");
    this.#position = start + count;
    return start;
  }
}
