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
  if (body.length > IPC_LIMITS.frame_body_bytes_max) {
    throw new RangeError(
      `cannot frame a body of \`${body.length}\` bytes: at most ${IPC_LIMITS.frame_body_bytes_max}; send less in one message`,
    );
  }
  const tag_bytes = tag === undefined ? 0 : 1;
  const frame = new Uint8Array(tag_bytes + lengthBytes(body.length) + body.length);
  if (tag !== undefined) frame[0] = tag;
  let at = tag_bytes;
  let left = body.length;
  for (; left > 0x7f; left >>>= 7) frame[at++] = left & 0x7f | 0x80;
  frame[at++] = left;
  frame.set(body, at);
  return frame;
}

function lengthBytes(length: number): number {
  let bytes = 1;
  for (let left = length >>> 7; left > 0; left >>>= 7) bytes++;
  return bytes;
}
