/**
 * A response body that is pulled by its reader: bytes wait here, counted, until the reader takes
 * them, and whoever writes can wait with them.
 *
 * @module
 */

/** What a body tells its exchange. */
export interface ResponseBodyOwner {
  /** So many bytes have left for the reader. */
  onLeft(bytes: number): void;
  /** The last byte has left. */
  onFinished(): void;
  /** The reader went away. */
  onCancelled(): void;
}

/** Bytes handed to the platform at once: what it holds beyond our counting stays near this. */
const PIECE_BYTES = 64 * 1024;

/** One response body. */
export class ResponseBody {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes that wait for the reader. */
  waiting_bytes = 0;

  readonly #owner: ResponseBodyOwner;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  /** Bytes of the first chunk that have left. */
  #offset = 0;
  #ended = false;
  #over = false;
  /** Settles a pull that found nothing. */
  #pull: (() => void) | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;

  constructor(owner: ResponseBodyOwner) {
    this.#owner = owner;
    this.stream = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#onPull(),
      cancel: () => this.#finish(() => owner.onCancelled()),
    }, { highWaterMark: 0 });
  }

  /** Adds bytes behind those that wait. */
  push(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#over || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.waiting_bytes += bytes.length;
    this.#continue();
  }

  /** No more bytes come. */
  end(): void {
    this.#ended = true;
    this.#continue();
  }

  /** Drops what has not begun to leave; what has begun stays whole. */
  dropUnsent(): void {
    const begun = this.#offset > 0 ? 1 : 0;
    let bytes = 0;
    for (const chunk of this.#chunks.splice(begun)) bytes += chunk.length;
    this.waiting_bytes -= bytes;
    this.#owner.onLeft(bytes);
  }

  /**
   * Ends the body where it stands. The reader notices: no protocol's response ends without its last
   * frame, and a body of known length is then too short.
   */
  abort(): void {
    this.#finish(() => {
      this.#controller?.close();
      this.#owner.onFinished();
    });
  }

  #finish(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#chunks.length = 0;
    const bytes = this.waiting_bytes;
    this.waiting_bytes = 0;
    this.#owner.onLeft(bytes);
    tell();
    this.#pull?.();
    this.#pull = undefined;
  }

  #onPull(): Promise<void> | void {
    if (this.#give()) return;
    return new Promise((resolve) => {
      this.#pull = resolve;
    });
  }

  #continue(): void {
    if (this.#pull === undefined || !this.#give()) return;
    this.#pull?.();
    this.#pull = undefined;
  }

  /** Gives the reader what it asked for, if it is there. */
  #give(): boolean {
    if (this.#over) return true;
    const chunk = this.#chunks[0];
    if (chunk === undefined) {
      if (this.#ended) this.abort();
      return this.#ended;
    }
    const piece = chunk.subarray(this.#offset, this.#offset + PIECE_BYTES);
    this.#offset += piece.length;
    if (this.#offset === chunk.length) {
      this.#chunks.shift();
      this.#offset = 0;
    }
    this.waiting_bytes -= piece.length;
    this.#controller?.enqueue(piece);
    this.#owner.onLeft(piece.length);
    return true;
  }
}
