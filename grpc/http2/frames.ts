/**
 * Frame types, flags and error codes of HTTP/2 (RFC 9113 sections 6 and 7).
 *
 * @module
 */

/** Frame types (RFC 9113 section 6). */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Frame flags; ACK and END_STREAM share a bit on different frame types. */
export const Flag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

/** Error codes (RFC 9113 section 7). */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

/** One of the error codes above. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

const ERROR_NAMES: readonly string[] = Object.keys(ErrorCode);

/** The upper-case name of an error code; unknown codes are shown by number. */
export function errorCodeName(code: number): string {
  return ERROR_NAMES[code] ?? `ERROR_${code}`;
}

/** GOAWAY debug data that asks a gRPC client to send PING less often (gRFC A8). */
export const TOO_MANY_PINGS = "too_many_pings";

/** Bytes of a frame header. */
export const FRAME_HEADER_BYTES = 9;

/** Largest window and largest stream id (RFC 9113 sections 6.9.1 and 5.1.1). */
export const MAX_31_BIT = 0x7fff_ffff;

/** Window of a new connection and stream before any SETTINGS (RFC 9113 section 6.9.2). */
export const INITIAL_WINDOW_BYTES = 65_535;

/** What a client sends first (RFC 9113 section 3.4). */
export const CLIENT_PREFACE: Uint8Array<ArrayBuffer> = new TextEncoder().encode(
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
);

/** Writes a frame header at `offset`. */
export function putFrameHeader(
  out: Uint8Array,
  offset: number,
  length: number,
  type: number,
  flags: number,
  stream_id: number,
): void {
  out[offset] = length >>> 16;
  out[offset + 1] = length >>> 8;
  out[offset + 2] = length;
  out[offset + 3] = type;
  out[offset + 4] = flags;
  putUint32(out, offset + 5, stream_id);
}

/** Writes four bytes, most significant first. */
export function putUint32(out: Uint8Array, offset: number, value: number): void {
  out[offset] = value >>> 24;
  out[offset + 1] = value >>> 16;
  out[offset + 2] = value >>> 8;
  out[offset + 3] = value;
}

/** Reads four bytes as an unsigned integer. */
export function getUint32(bytes: Uint8Array, offset: number): number {
  return ((byte(bytes, offset) << 24) | (byte(bytes, offset + 1) << 16) |
    (byte(bytes, offset + 2) << 8) | byte(bytes, offset + 3)) >>> 0;
}

/** Reads four bytes without their reserved top bit: a stream id or a window increment. */
export function getUint31(bytes: Uint8Array, offset: number): number {
  return getUint32(bytes, offset) & MAX_31_BIT;
}

function byte(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}
