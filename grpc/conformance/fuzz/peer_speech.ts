/**
 * What the endpoint under test has been told so far: the settings, windows, streams and pings of
 * the fuzzer's side, read from the bytes the endpoint has taken. What it then sends is judged by
 * this.
 *
 * @module
 */

import { FrameCutter, type WireFrame } from "./frame_cutter.ts";

/** One SETTINGS frame of the peer; absent entries were not in it. */
export interface TakenSettings {
  readonly table_bytes: number | undefined;
  readonly concurrent_streams: number | undefined;
  readonly window_bytes: number | undefined;
  readonly frame_bytes: number | undefined;
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** The peer's half of the conversation. */
export class PeerSpeech {
  readonly settings: TakenSettings[] = [];
  readonly pings: Uint8Array[] = [];
  /** Window given for the whole connection by WINDOW_UPDATE. */
  connection_grant = 0;
  readonly stream_grants = new Map<number, number>();
  /** DATA as flow control counts it. */
  flow_bytes = 0;
  readonly stream_flow_bytes = new Map<number, number>();
  /** Largest stream with HEADERS. */
  last_stream = 0;
  /** The bytes are no frames any more: the endpoint must end the connection. */
  broken = false;

  readonly #cutter: FrameCutter;
  readonly #frame_bytes: number;
  #in_block = false;

  /** @param frame_bytes what the endpoint announced as SETTINGS_MAX_FRAME_SIZE */
  constructor(from_client: boolean, frame_bytes: number) {
    this.#cutter = new FrameCutter(from_client ? PREFACE : "");
    this.#frame_bytes = frame_bytes;
  }

  /** Whether the endpoint waits for a new frame, and for no CONTINUATION. */
  get synced(): boolean {
    return !this.broken && this.#cutter.atBoundary && !this.#in_block;
  }

  take(bytes: Uint8Array): void {
    if (this.broken) return;
    if (!this.#cutter.push(bytes, (frame) => this.#onFrame(frame))) this.broken = true;
    if (this.#cutter.pendingLength > this.#frame_bytes) this.broken = true;
  }

  #onFrame({ type, flags, stream, payload }: WireFrame): void {
    if (payload.length > this.#frame_bytes) this.broken = true;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    switch (type) {
      case 0:
        this.flow_bytes += payload.length;
        add(this.stream_flow_bytes, stream, payload.length);
        return;
      case 1:
        this.last_stream = Math.max(this.last_stream, stream);
        this.#in_block = (flags & 4) === 0;
        return;
      case 9:
        if ((flags & 4) !== 0) this.#in_block = false;
        return;
      case 4:
        if ((flags & 1) === 0) this.settings.push(readSettings(view));
        return;
      case 6:
        if ((flags & 1) === 0) this.pings.push(payload.slice());
        return;
      case 8:
        if (payload.length !== 4) return;
        if (stream === 0) this.connection_grant += view.getUint32(0) & 0x7fff_ffff;
        else add(this.stream_grants, stream, view.getUint32(0) & 0x7fff_ffff);
    }
  }
}

function add(map: Map<number, number>, key: number, count: number): void {
  map.set(key, (map.get(key) ?? 0) + count);
}

function readSettings(view: DataView): TakenSettings {
  const by_id = new Map<number, number>();
  for (let at = 0; at + 6 <= view.byteLength; at += 6) {
    by_id.set(view.getUint16(at), view.getUint32(at + 2));
  }
  return {
    table_bytes: by_id.get(1),
    concurrent_streams: by_id.get(3),
    window_bytes: by_id.get(4),
    frame_bytes: by_id.get(5),
  };
}
