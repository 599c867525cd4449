/**
 * The byte stream a connection runs on: what `Deno.Conn` offers, and no more.
 *
 * @module
 */

/** A connected byte stream. Every method may reject once the stream is broken or closed. */
export interface Transport {
  /** Reads into `buffer`; the number of bytes read (at least 1), or null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a prefix of `bytes`; the number of bytes written. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends our direction; the peer sees the end, we can still read. */
  closeWrite(): Promise<void>;
  /** Closes both directions at once; pending reads and writes end. May be called twice. */
  close(): void;
}
