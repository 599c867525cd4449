/**
 * One input of the fuzzer: what the peer sends, how the byte stream behaves, how time passes, and,
 * for a client under test, which calls it makes. A session is data: it can be written to a file,
 * changed, made smaller and run again.
 *
 * @module
 */

import type { Bounds } from "../../bounds.ts";

/** Which half of the module is under test. */
export type Half = "server" | "client";

/** How a call of a client under test behaves. */
export interface CallOp {
  readonly op: "call";
  readonly kind: "unary" | "expand" | "collect" | "converse";
  /** Payload length of each request message. */
  readonly sizes: readonly number[];
  readonly timeout_ms?: number;
  readonly wait_for_ready?: boolean;
  /** Flat name, value. */
  readonly metadata?: readonly string[];
  /** How many responses of a stream are read before the reader stops; absent: all. */
  readonly reads?: number;
  /** Whether a reader that stops leaves the loop, or just never reads on. */
  readonly leaves?: boolean;
  /** Which callback of the caller's throws. */
  readonly throws?: "headers" | "trailers" | "requests";
}

/** A frame of the peer; `stated` lies about its length, `times` repeats it. */
export interface FrameOp {
  readonly op: "frame";
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
  readonly stated?: number;
  readonly times?: number;
}

/** One step. */
export type Op =
  | FrameOp
  | CallOp
  /** Bytes as they are. */
  | { readonly op: "raw"; readonly bytes: Uint8Array }
  /** Everything that can happen now happens. */
  | { readonly op: "turn" }
  | { readonly op: "wait"; readonly ms: number }
  /** The peer ends its direction. */
  | { readonly op: "end" }
  /** The connection breaks: pending and later reads and writes fail. */
  | { readonly op: "break" }
  /** Writes hang from now on, or go on again. */
  | { readonly op: "stall" }
  | { readonly op: "flow" }
  /** The next write fails. */
  | { readonly op: "write_break" }
  /** Our own side ends: server shutdown with a grace, or channel close. */
  | { readonly op: "shutdown"; readonly grace_ms: number }
  /** A client under test cancels its call number `index`. */
  | { readonly op: "cancel"; readonly index: number }
  /** Connects of a client under test are refused, or accepted again. */
  | { readonly op: "refuse" }
  | { readonly op: "accept" };

/** What a sound session must lead to: the messages of each call that must end well. */
export interface Expectation {
  /** Stream for a server under test, number of the call for a client. */
  readonly call: number;
  readonly messages: readonly Uint8Array[];
}

/** How a channel under test is made. */
export type ChannelKind =
  /** One address, calls sent once. */
  | "plain"
  /** Failed calls are sent again. */
  | "retrying"
  /** Two addresses, calls spread over them. */
  | "spread";

/** One input. */
export interface Session {
  readonly half: Half;
  /** Absent: plain. */
  readonly channel?: ChannelKind;
  /** Whether the endpoint under test compresses what it sends. */
  readonly compresses?: boolean;
  /** Seeds what is drawn while it runs: chunk sizes of reads and writes. */
  readonly seed: number;
  /** How much one read gives. */
  readonly reads: "whole" | "pieces" | "bytes";
  /** How much one write takes. */
  readonly writes: "whole" | "pieces";
  readonly bounds: Partial<Bounds>;
  readonly ops: readonly Op[];
  /** Present on sessions nobody mutated. */
  readonly expect?: readonly Expectation[];
}

const REPEATED_BYTES_MAX = 256 * 1024;

/** A session as JSON; bytes are `{"hex": ...}`. */
export function sessionToText(session: Session, space?: number): string {
  return JSON.stringify(
    session,
    (_key, value) => value instanceof Uint8Array ? { hex: value.toHex() } : value,
    space,
  );
}

/** The session of a JSON text written by {@linkcode sessionToText}. */
export function sessionFromText(text: string): Session {
  return JSON.parse(
    text,
    (_key, value) => typeof value?.hex === "string" ? Uint8Array.fromHex(value.hex) : value,
  );
}

/** The bytes of a frame, once. */
export function frameBytes(op: FrameOp): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(9 + op.payload.length);
  const length = op.stated ?? op.payload.length;
  bytes[0] = length >>> 16;
  bytes[1] = length >>> 8;
  bytes[2] = length;
  bytes[3] = op.type;
  bytes[4] = op.flags;
  bytes[5] = op.stream >>> 24;
  bytes[6] = op.stream >>> 16;
  bytes[7] = op.stream >>> 8;
  bytes[8] = op.stream;
  bytes.set(op.payload, 9);
  return bytes;
}

/** How often a frame is sent: less often than asked when it is large, or a run takes for ever. */
export function timesOf({ times = 1, payload }: FrameOp): number {
  return Math.min(times, Math.ceil(REPEATED_BYTES_MAX / (9 + payload.length)));
}

/** Byte strings joined. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
