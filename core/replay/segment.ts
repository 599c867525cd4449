/**
 * One segment of decision facts, encrypted: a header, then frames, then an end mark.
 *
 * AES-256-GCM under a key of the segment's own (HKDF-SHA-256 of the facts key and the segment's
 * salt), so that the frame's number can be its nonce. Each frame authenticates the header and its
 * number: a frame that was changed, moved or put into another segment does not open. A file that
 * ends inside a frame was cut by a crash; one without an end mark was never closed. Neither can be
 * told from a cut made on purpose at a frame's border: facts are no evidence.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from "node:crypto";
import type { DecisionFact } from "./facts.ts";
import { encodeFacts } from "./frame.ts";
import { REPLAY_LIMITS } from "./limits.ts";

/** Bytes of the facts key. */
export const FACTS_KEY_BYTES = 32;
/** Bytes of a segment's salt; random, never used twice. */
export const SALT_BYTES = 32;

const MAGIC = new TextEncoder().encode("aasm-facts-1\n");
const KEY_ID_BYTES = 8;
const HEADER_BYTES = MAGIC.length + KEY_ID_BYTES + SALT_BYTES;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;
/** Plaintext of the frame that closes a segment. */
const END = new TextEncoder().encode('{"end":true}');

/** A segment that does not read. The message says what is wrong and never quotes content. */
export class SegmentDamaged extends Error {
  override readonly name = "SegmentDamaged";
}

/** Names a key without telling it: the first bytes of its hash. */
function keyId(key: Uint8Array): Uint8Array {
  const hash = createHash("sha256").update("aasm facts key id\0").update(key).digest();
  return hash.subarray(0, KEY_ID_BYTES);
}

function segmentKey(key: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, salt, "aasm facts segment 1", FACTS_KEY_BYTES));
}

function nonceOf(frame: number): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(8, frame);
  return nonce;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Makes the bytes of one segment, in order; whoever holds it appends them to a file. */
export class SegmentWriter {
  /** Goes first. */
  readonly header: Uint8Array<ArrayBuffer>;
  readonly #key: Uint8Array;
  #frames = 0;

  /**
   * @param key The facts key.
   * @param salt Fresh random bytes, {@linkcode SALT_BYTES} of them.
   */
  constructor(key: Uint8Array, salt: Uint8Array) {
    if (key.length !== FACTS_KEY_BYTES || salt.length !== SALT_BYTES) {
      throw new RangeError("a facts key and a segment's salt have 32 bytes each");
    }
    this.header = concat(MAGIC, keyId(key), salt);
    this.#key = segmentKey(key, salt);
  }

  /** The frame of a batch. */
  frame(facts: readonly DecisionFact[]): Uint8Array<ArrayBuffer> {
    return this.#seal(encodeFacts(facts));
  }

  /** The mark of a segment that was closed in order. Nothing may follow. */
  end(): Uint8Array<ArrayBuffer> {
    return this.#seal(END);
  }

  #seal(plain: Uint8Array): Uint8Array<ArrayBuffer> {
    const number = this.#frames++;
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonceOf(number));
    cipher.setAAD(this.header);
    const sealed = concat(cipher.update(plain), cipher.final(), cipher.getAuthTag());
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, sealed.length);
    return concat(length, sealed);
  }
}

/** How a segment ended. */
export type SegmentEnd =
  | { readonly state: "closed" }
  /** No end mark: still being written, or its gateway died. */
  | { readonly state: "open" }
  /** The last frame is incomplete by a crash; what is before it reads. */
  | { readonly state: "torn"; readonly bytes: number };

/** Opens one segment. */
export class SegmentReader {
  readonly #bytes: Uint8Array;
  readonly #header: Uint8Array;
  readonly #key: Uint8Array;
  #end: SegmentEnd = { state: "open" };

  /** @throws {SegmentDamaged} When it is no segment, or was written under another key. */
  constructor(key: Uint8Array, bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#header = bytes.subarray(0, HEADER_BYTES);
    if (bytes.length < HEADER_BYTES || !MAGIC.every((byte, at) => bytes[at] === byte)) {
      throw new SegmentDamaged("it does not begin as a segment of decision facts does");
    }
    const id = this.#header.subarray(MAGIC.length, MAGIC.length + KEY_ID_BYTES);
    if (!keyId(key).every((byte, at) => id[at] === byte)) {
      throw new SegmentDamaged("it was written under another key");
    }
    this.#key = segmentKey(key, this.#header.subarray(MAGIC.length + KEY_ID_BYTES));
  }

  /** How it ended; known once {@linkcode plaintexts} is done. */
  get end(): SegmentEnd {
    return this.#end;
  }

  /**
   * The plaintext of each frame of facts, in order.
   *
   * @throws {SegmentDamaged} At a frame that does not authenticate.
   */
  *plaintexts(): Generator<Uint8Array> {
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    let at = HEADER_BYTES;
    for (let number = 0; at < this.#bytes.length; number++) {
      const left = this.#bytes.length - at;
      const length = left < LENGTH_BYTES ? 0 : view.getUint32(at);
      if (length > REPLAY_LIMITS.frame_bytes) {
        throw new SegmentDamaged(`frame ${number} claims \`${length}\` bytes`);
      }
      if (left < LENGTH_BYTES || left < LENGTH_BYTES + length) {
        this.#end = { state: "torn", bytes: left };
        return;
      }
      const plain = this.#open(at + LENGTH_BYTES, length, number);
      at += LENGTH_BYTES + length;
      if (plain.length === END.length && END.every((byte, index) => plain[index] === byte)) {
        if (at < this.#bytes.length) throw new SegmentDamaged("something follows its end mark");
        this.#end = { state: "closed" };
        return;
      }
      yield plain;
    }
  }

  #open(at: number, length: number, number: number): Uint8Array {
    if (length < TAG_BYTES) throw new SegmentDamaged(`frame ${number} is too short`);
    const body = this.#bytes.subarray(at, at + length - TAG_BYTES);
    const tag = this.#bytes.subarray(at + length - TAG_BYTES, at + length);
    const cipher = createDecipheriv("aes-256-gcm", this.#key, nonceOf(number));
    cipher.setAAD(this.#header);
    cipher.setAuthTag(tag);
    try {
      return concat(cipher.update(body), cipher.final());
    } catch {
      throw new SegmentDamaged(`frame ${number} does not authenticate`);
    }
  }
}
