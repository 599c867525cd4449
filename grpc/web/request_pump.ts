/**
 * Reads a request's body no faster than its call takes it: what was read and not yet taken never
 * exceeds a window by more than one chunk.
 *
 * @module
 */

/** Who gets the bytes. */
export interface RequestSink {
  onBytes(bytes: Uint8Array): void;
  /** The body is complete. */
  onEnd(): void;
  /** The body broke off. */
  onBroken(): void;
}

/** Pumps one body. */
export class RequestPump {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #sink: RequestSink;
  readonly #window_bytes: number;
  #untaken_bytes = 0;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(body: ReadableStream<Uint8Array> | null, sink: RequestSink, window_bytes: number) {
    this.#reader = body?.getReader();
    this.#sink = sink;
    this.#window_bytes = window_bytes;
  }

  /** Reads to the end, or until stopped; never rejects. */
  async run(): Promise<void> {
    if (this.#reader === undefined) return this.#sink.onEnd();
    for (;;) {
      if (this.#untaken_bytes >= this.#window_bytes) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      if (this.#stopped) return;
      let read: ReadableStreamReadResult<Uint8Array>;
      try {
        read = await this.#reader.read();
      } catch {
        if (!this.#stopped) this.#sink.onBroken();
        return;
      }
      if (this.#stopped) return;
      if (read.done) {
        this.#stopped = true;
        return this.#sink.onEnd();
      }
      this.#untaken_bytes += read.value.length;
      this.#sink.onBytes(read.value);
    }
  }

  /** So many bytes were taken. */
  credit(bytes: number): void {
    this.#untaken_bytes -= bytes;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Reads no more; what the peer still sends is dropped. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wake?.();
    this.#reader?.cancel().catch(() => {}); // The peer may be gone already.
  }
}
