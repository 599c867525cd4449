/**
 * Writing frames: one tag byte, the body's length in LEB128, the body (contract `wire` §3.2).
 *
 * @module
 */
import { IPC_LIMITS } from "./limits.ts";
import { CLIENT_TAG, RUNTIME_TAG } from "./tags.ts";

/** A heartbeat is its tag and nothing else. Shared: copy it before changing it. */
export const HEARTBEAT_FRAME: Uint8Array = Uint8Array.of(CLIENT_TAG.heartbeat);

/** An acknowledgement has a length, of zero. Shared: copy it before changing it. */
export const ACK_FRAME: Uint8Array = Uint8Array.of(RUNTIME_TAG.ack, 0);

/**
 * Puts a body behind its length, without a tag.
 *
 * @throws {RangeError} when the body is longer than a frame may be
 */
export function frameBody(body: Uint8Array): Uint8Array {
  return framed(undefined, body);
}

/**
 * Puts a body behind its tag and length. A heartbeat has neither: see {@linkcode HEARTBEAT_FRAME}.
 *
 * @param tag One of the sender's tags that have a body.
 * @throws {RangeError} when the body is longer than a frame may be
 */
export function encodeFrame(tag: number, body: Uint8Array): Uint8Array {
  return framed(tag, body);
}

function framed(tag: number | undefined, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(frameBytes(body.length) - (tag === undefined ? 1 : 0));
  putAfterTag(frame, tag === undefined ? 0 : 1, body);
  if (tag !== undefined) frame[0] = tag;
  return frame;
}

/**
 * Bytes of a whole frame: tag, length and body.
 *
 * @throws {RangeError} when the body is longer than a frame may be
 */
export function frameBytes(body_bytes: number): number {
  if (body_bytes > IPC_LIMITS.frame_body_bytes_max) {
    throw new RangeError(
      `cannot frame a body of \`${body_bytes}\` bytes: at most ${IPC_LIMITS.frame_body_bytes_max}; send less in one message`,
    );
  }
  let bytes = 2;
  for (let left = body_bytes >>> 7; left > 0; left >>>= 7) bytes++;
  return bytes + body_bytes;
}

/**
 * Writes a whole frame into a buffer with room for {@linkcode frameBytes}.
 *
 * @returns Position behind the frame.
 */
export function putFrame(into: Uint8Array, at: number, tag: number, body: Uint8Array): number {
  into[at] = tag;
  return putAfterTag(into, at + 1, body);
}

function putAfterTag(into: Uint8Array, from: number, body: Uint8Array): number {
  let at = from;
  let left = body.length;
  for (; left > 0x7f; left >>>= 7) into[at++] = left & 0x7f | 0x80;
  into[at++] = left;
  into.set(body, at);
  return at + body.length;
}
