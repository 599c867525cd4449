/**
 * SETTINGS: what we announce and what a peer may announce (RFC 9113 section 6.5).
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import { ConnectionError } from "./connection_error.ts";
import { ErrorCode, getUint32, INITIAL_WINDOW_BYTES, MAX_31_BIT, putUint32 } from "./frames.ts";

const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** What the peer announced; starts with the values of RFC 9113 section 6.5.2. */
export interface PeerSettings {
  header_table_bytes: number;
  concurrent_streams: number;
  initial_window_bytes: number;
  frame_bytes: number;
  header_list_bytes: number;
}

/** A peer's settings before it said anything. */
export function initialPeerSettings(): PeerSettings {
  return {
    header_table_bytes: 4096,
    concurrent_streams: MAX_31_BIT,
    initial_window_bytes: INITIAL_WINDOW_BYTES,
    frame_bytes: 16_384,
    header_list_bytes: MAX_31_BIT,
  };
}

/** The payload of our own SETTINGS frame. */
export function encodeSettings(role: "server" | "client", bounds: Bounds): Uint8Array<ArrayBuffer> {
  const entries: [number, number][] = [
    [Setting.HEADER_TABLE_SIZE, bounds.header_table_bytes],
    [Setting.INITIAL_WINDOW_SIZE, bounds.stream_window_bytes],
    [Setting.MAX_FRAME_SIZE, bounds.frame_bytes],
    [Setting.MAX_HEADER_LIST_SIZE, bounds.header_list_bytes],
    role === "server"
      ? [Setting.MAX_CONCURRENT_STREAMS, bounds.concurrent_streams]
      : [Setting.ENABLE_PUSH, 0],
  ];
  const payload = new Uint8Array(entries.length * 6);
  entries.forEach(([id, value], index) => {
    payload[index * 6 + 1] = id;
    putUint32(payload, index * 6 + 2, value);
  });
  return payload;
}

/**
 * Applies a peer's SETTINGS payload `bytes[start, end)` to `settings`.
 *
 * @param role ours: a server may not offer to push
 * @throws ConnectionError for values RFC 9113 section 6.5.2 forbids
 */
export function applySettings(
  role: "server" | "client",
  settings: PeerSettings,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  if ((end - start) % 6 !== 0) {
    throw new ConnectionError(
      ErrorCode.FRAME_SIZE_ERROR,
      "frame_bytes",
      "SETTINGS is not a multiple of six bytes",
    );
  }
  for (let offset = start; offset < end; offset += 6) {
    const id = ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
    applySetting(role, settings, id, getUint32(bytes, offset + 2));
  }
}

function applySetting(
  role: "server" | "client",
  settings: PeerSettings,
  id: number,
  value: number,
): void {
  switch (id) {
    case Setting.HEADER_TABLE_SIZE:
      settings.header_table_bytes = value;
      return;
    case Setting.ENABLE_PUSH:
      if (value > (role === "client" ? 0 : 1)) {
        throw outOfRange(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH");
      }
      return;
    case Setting.MAX_CONCURRENT_STREAMS:
      settings.concurrent_streams = value;
      return;
    case Setting.INITIAL_WINDOW_SIZE:
      if (value > MAX_31_BIT) throw outOfRange(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE");
      settings.initial_window_bytes = value;
      return;
    case Setting.MAX_FRAME_SIZE:
      if (value < 16_384 || value > 0xff_ffff) {
        throw outOfRange(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE");
      }
      settings.frame_bytes = value;
      return;
    case Setting.MAX_HEADER_LIST_SIZE:
      settings.header_list_bytes = value;
      return;
    default: // Unknown settings are ignored (RFC 9113 section 6.5.2).
  }
}

function outOfRange(code: ErrorCode, name: string): ConnectionError {
  return new ConnectionError(code, "protocol", `SETTINGS_${name} is out of range`);
}
