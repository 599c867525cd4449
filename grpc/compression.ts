/**
 * gzip of single messages (gRPC core documentation, "Compression"; RFC 1952), by the synchronous
 * calls of `node:zlib`, and what keeps a hostile peer from making that expensive.
 *
 * @module
 */

import { gunzipSync, gzipSync } from "node:zlib";
import { type Bounds, DECOMPRESSION_FAILURES_A_TURN_MAX } from "./bounds.ts";
import { Code } from "./code.ts";
import { RateBound } from "./http2/rate_bound.ts";

/** How messages travel: as they are, or compressed where that makes them smaller. */
export type Compression = "identity" | "gzip";

/** What this module reads, as `grpc-accept-encoding` says it. */
export const ACCEPTED_ENCODINGS = "identity,gzip";

/** Whether a `grpc-encoding` is one this module reads. */
export function isCompression(encoding: string): encoding is Compression {
  return encoding === "identity" || encoding === "gzip";
}

/** @throws TypeError when an option is no compression of this module */
export function checkedCompression(option: Compression | undefined): Compression | undefined {
  if (option === undefined || isCompression(option)) return option;
  throw new TypeError(`compression is \`${option}\`: expected \`identity\` or \`gzip\``);
}

/** Whether a `grpc-accept-encoding` lists gzip. */
export function acceptsGzip(encodings: string): boolean {
  return encodings.split(",").some((encoding) => encoding.trim() === "gzip");
}

/**
 * zlib's trade of time for size: on text, level 6 makes 4 MiB 8 % smaller than level 3 and blocks
 * the process five times as long.
 */
const LEVEL = 3;

/** A message in its compressed form, for a stream that names gzip. */
export class CompressedMessage {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Of the compressed form. */
  get length(): number {
    return this.bytes.length;
  }
}

/** A message as it will travel. */
export type OutgoingMessage = Uint8Array | CompressedMessage;

/** Compresses a message, unless it is too small to try or would not get smaller. */
export function compress(message: Uint8Array, bytes_min: number): OutgoingMessage {
  if (message.length < bytes_min) return message;
  const compressed = gzipSync(message, { level: LEVEL });
  return compressed.length < message.length ? new CompressedMessage(compressed) : message;
}

/** Why a compressed message cannot be read. */
export type DecompressionProblem =
  /** It would be longer than allowed. */
  | "too_long"
  /** It is no gzip, ends too early, or something follows it. */
  | "corrupt"
  /** Too many others failed just now. */
  | "busy"
  /** Its senders have cost too much. */
  | "exhausted";

/** The status of a call whose message cannot be read. */
export function decompressionStatus(
  problem: DecompressionProblem,
  bytes_max: number,
): { readonly code: Code; readonly text: string } {
  switch (problem) {
    case "too_long": {
      const text = `the decompressed message is larger than ${bytes_max} bytes`;
      return { code: Code.RESOURCE_EXHAUSTED, text };
    }
    case "corrupt":
      return { code: Code.INTERNAL, text: "a compressed message is not gzip, or not whole" };
    case "busy": {
      const text = "too many messages that cannot be decompressed: retry later";
      return { code: Code.RESOURCE_EXHAUSTED, text };
    }
    case "exhausted": {
      const text = "decompressing messages has cost too much: send less that grows so much";
      return { code: Code.RESOURCE_EXHAUSTED, text };
    }
  }
}

/** Sizes of the pieces zlib writes its output in: small for small messages, which are the most. */
const CHUNK_BYTES_MIN = 1024;
const CHUNK_BYTES_MAX = 64 * 1024;

/** A message out of its compressed form, in memory of its own. */
export function decompress(
  compressed: Uint8Array,
  bytes_max: number,
): Uint8Array<ArrayBuffer> | DecompressionProblem {
  if (failures.count >= DECOMPRESSION_FAILURES_A_TURN_MAX) return "busy";
  try {
    const message = gunzipSync(compressed, {
      // zlib takes 1 to 2^53-1; what a bound of 0 lets through is looked at below.
      maxOutputLength: Math.min(Math.max(1, bytes_max), Number.MAX_SAFE_INTEGER),
      chunkSize: Math.min(Math.max(CHUNK_BYTES_MIN, 8 * compressed.length), CHUNK_BYTES_MAX),
    });
    return message.length <= bytes_max ? Uint8Array.from(message) : "too_long";
  } catch (reason) {
    if (reason instanceof RangeError) return "too_long";
    failures.add();
    return "corrupt";
  }
}

/**
 * A gunzip that failed keeps its tens of kilobytes until the event loop turns, and one turn may
 * bring thousands of them.
 */
const failures = {
  count: 0,
  add(): void {
    if (this.count++ > 0) return;
    setTimeout(() => this.count = 0, 0);
  },
};

/** Deflate makes no message more than this many times larger (zlib technical details). */
const RATIO_MAX = 1032;

/** What a failure costs at least: what it keeps in memory for a while. */
const FAILURE_BYTES = 64 * 1024;

/** Decompresses messages and bounds the work that the bytes of their senders do not explain. */
export class Decompressor {
  readonly #bounds: Bounds;
  readonly #work: RateBound;
  readonly #onExhausted: (() => void) | undefined;

  /** @param onExhausted called when the senders have cost too much, after what is being done now */
  constructor(bounds: Bounds, onExhausted?: () => void) {
    this.#bounds = bounds;
    this.#work = new RateBound(
      bounds.decompression_burst_bytes,
      bounds.decompression_bytes_per_second,
      () => performance.now(),
    );
    this.#onExhausted = onExhausted;
  }

  /** A message of at most `receive_message_bytes` out of its compressed form. */
  decompress(compressed: Uint8Array): Uint8Array<ArrayBuffer> | DecompressionProblem {
    if (this.#work.inDebt) return "exhausted";
    const { receive_message_bytes, decompression_ratio } = this.#bounds;
    const result = decompress(compressed, receive_message_bytes);
    if (result === "busy") return result;
    const work_bytes = typeof result === "string"
      ? Math.max(FAILURE_BYTES, Math.min(receive_message_bytes, RATIO_MAX * compressed.length))
      : result.length - decompression_ratio * compressed.length;
    if (work_bytes <= 0 || this.#work.spend(work_bytes)) return result;
    if (this.#onExhausted !== undefined) queueMicrotask(this.#onExhausted);
    return "exhausted";
  }
}
