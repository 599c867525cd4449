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

/** Collects bytes and hands out whole frames. */
export class FrameCutter {
  /** What is left of the frame that has begun. */
  #rest = new Uint8Array(1024);
  #rest_bytes = 0;
  #preface: string;

  /** @param preface what must come before the first frame; empty for none */
  constructor(preface: string) {
    this.#preface = preface;
  }

  /** Whether nothing waits: the last frame is whole. */
  get atBoundary(): boolean {
    return this.#rest_bytes === 0 && this.#preface === "";
  }

  /**
   * Takes bytes; yields the frames that are whole now, valid during the call. False when the
   * preface is wrong.
   */
  push(bytes: Uint8Array, onFrame: (frame: WireFrame) => void): boolean {
    let from = 0;
    while (this.#preface !== "" && from < bytes.length) {
      if (bytes[from] !== this.#preface.charCodeAt(0)) return false;
      this.#preface = this.#preface.slice(1);
      from++;
    }
    let all = bytes.subarray(from);
    if (this.#rest_bytes > 0) {
      this.#keep(all, this.#rest_bytes);
      all = this.#rest.subarray(0, this.#rest_bytes);
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
    if (this.#rest_bytes > 0) this.#rest.copyWithin(0, at, this.#rest_bytes);
    else this.#keep(all.subarray(at), 0);
    this.#rest_bytes = all.length - at;
    return true;
  }

  #keep(bytes: Uint8Array, offset: number): void {
    const needed = offset + bytes.length;
    if (needed > this.#rest.length) {
      const grown = new Uint8Array(2 * needed);
      grown.set(this.#rest.subarray(0, offset));
      this.#rest = grown;
    }
    this.#rest.set(bytes, offset);
    this.#rest_bytes = needed;
  }

  /** Length of the frame that has begun, or 0. */
  get pendingLength(): number {
    if (this.#rest_bytes < 3) return 0;
    return ((this.#rest[0] ?? 0) << 16) | ((this.#rest[1] ?? 0) << 8) | (this.#rest[2] ?? 0);
  }
}
