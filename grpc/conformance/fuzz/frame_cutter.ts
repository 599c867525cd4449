/**
 * Cuts a byte stream into frames, written apart from the module's own reader so that the two can
 * disagree.
 *
 * @module
 */

/** A frame as it travelled. */
export interface WireFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Collects bytes and hands out whole frames. */
export class FrameCutter {
  #rest: Uint8Array = NOTHING;
  #preface: string;

  /** @param preface what must come before the first frame; empty for none */
  constructor(preface: string) {
    this.#preface = preface;
  }

  /** Whether nothing waits: the last frame is whole. */
  get atBoundary(): boolean {
    return this.#rest.length === 0 && this.#preface === "";
  }

  /** Takes bytes; yields the frames that are whole now. False when the preface is wrong. */
  push(bytes: Uint8Array, onFrame: (frame: WireFrame) => void): boolean {
    let from = 0;
    while (this.#preface !== "" && from < bytes.length) {
      if (bytes[from] !== this.#preface.charCodeAt(0)) return false;
      this.#preface = this.#preface.slice(1);
      from++;
    }
    let all = bytes.subarray(from);
    if (this.#rest.length > 0) {
      all = new Uint8Array(this.#rest.length + bytes.length - from);
      all.set(this.#rest);
      all.set(bytes.subarray(from), this.#rest.length);
    }
    const view = new DataView(all.buffer, all.byteOffset, all.length);
    let at = 0;
    while (all.length - at >= 9) {
      const length = view.getUint32(at) >>> 8;
      if (all.length - at - 9 < length) break;
      onFrame({
        type: view.getUint8(at + 3),
        flags: view.getUint8(at + 4),
        stream: view.getUint32(at + 5) & 0x7fff_ffff,
        payload: all.subarray(at + 9, at + 9 + length),
      });
      at += 9 + length;
    }
    this.#rest = at === all.length ? NOTHING : all.slice(at);
    return true;
  }

  /** Length of the frame that has begun, or 0. */
  get pendingLength(): number {
    if (this.#rest.length < 3) return 0;
    return ((this.#rest[0] ?? 0) << 16) | ((this.#rest[1] ?? 0) << 8) | (this.#rest[2] ?? 0);
  }
}
