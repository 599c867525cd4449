/**
 * Master keys: read from a key source's bytes, held as keys that nothing can export.
 *
 * A key source is text: one key a line, the present one first, then those it replaced, for as long as
 * records are wrapped under them. A key is 32 bytes in hex (64 digits) or base64. Blank lines and
 * lines that start with `#` do not count. `openssl rand -hex 32` makes one.
 *
 * Bytes are decoded without becoming a string and are overwritten here. What the runtime copied on
 * the way in (a file read, an environment variable, which is always a string) it alone can erase.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import { KeySourceError } from "./failure.ts";

const KEY_BYTES = 32;
const FORMAT =
  "expected one key a line, 32 bytes each in hex or base64, the present one first; make one with " +
  "`openssl rand -hex 32`";

/** One master key. */
export interface MasterKey {
  /** Tells keys apart and nothing of the key: 16 lower-case hex of an HMAC under it. */
  readonly id: string;
  readonly key: CryptoKey;
}

/** The master keys of a gateway. */
export interface KeyRing {
  /** Wraps everything new. */
  readonly active: MasterKey;
  /** Every key, the active one included, by id. */
  readonly keys: ReadonlyMap<string, MasterKey>;
}

/**
 * Reads a key source and overwrites its bytes.
 *
 * @param source The text's bytes; zeros afterwards.
 * @param name What the source is called in errors, e.g. "file `k`".
 * @throws {KeySourceError} saying which line is wrong, never what is in it.
 */
export async function keyRingFrom(source: Uint8Array, name: string): Promise<KeyRing> {
  try {
    if (source.length > SECRET_LIMITS.key_source_bytes) {
      throw refusal(name, `is larger than ${SECRET_LIMITS.key_source_bytes} bytes`);
    }
    const keys = new Map<string, MasterKey>();
    let number = 0;
    for (const line of linesOf(source)) {
      number++;
      if (line.length === 0 || line[0] === 0x23) continue;
      if (keys.size >= SECRET_LIMITS.master_keys) {
        throw refusal(name, `has more than ${SECRET_LIMITS.master_keys} keys`);
      }
      const raw = decoded(line);
      if (raw === undefined) throw refusal(name, `line ${number} is no key`);
      const made = await masterKey(raw);
      if (keys.has(made.id)) throw refusal(name, `line ${number} repeats a key`);
      keys.set(made.id, made);
    }
    const [active] = keys.values();
    if (active === undefined) throw refusal(name, "holds no key");
    return { active, keys };
  } finally {
    source.fill(0);
  }
}

/** @param raw 32 bytes; zeros afterwards. */
async function masterKey(raw: Uint8Array<ArrayBuffer>): Promise<MasterKey> {
  try {
    const id = createHmac("sha256", raw).update("aasm-secrets-key-id/1").digest("hex").slice(0, 16);
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    return { id, key };
  } finally {
    raw.fill(0);
  }
}

function refusal(name: string, problem: string): KeySourceError {
  return new KeySourceError(`cannot use the secrets key from ${name}: it ${problem}; ${FORMAT}`);
}

/** Lines without the white space around them. */
function* linesOf(bytes: Uint8Array): Generator<Uint8Array> {
  let start = 0;
  for (let at = 0; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] !== 0x0a) continue;
    let [from, to] = [start, at];
    while (from < to && (bytes[from] ?? 0) <= 0x20) from++;
    while (to > from && (bytes[to - 1] ?? 0) <= 0x20) to--;
    yield bytes.subarray(from, to);
    start = at + 1;
  }
}

/** 32 bytes from 64 hex digits, or from base64 of either alphabet with or without its padding. */
function decoded(text: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  if (text.length === 2 * KEY_BYTES) return fromDigits(text, 4, hexDigit);
  const padded = text.length === 44 && text[43] === 0x3d;
  if (padded || text.length === 43) return fromDigits(text.subarray(0, 43), 6, base64Digit);
  return undefined;
}

function fromDigits(
  text: Uint8Array,
  bits: number,
  digitOf: (byte: number) => number,
): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(KEY_BYTES);
  let [pending, held, at] = [0, 0, 0];
  for (const byte of text) {
    const digit = digitOf(byte);
    if (digit < 0) {
      bytes.fill(0);
      return undefined;
    }
    pending = ((pending << bits) | digit) & 0xffff;
    held += bits;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = (pending >> held) & 0xff;
  }
  return bytes;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function base64Digit(byte: number): number {
  if (byte >= 0x41 && byte <= 0x5a) return byte - 0x41;
  if (byte >= 0x61 && byte <= 0x7a) return byte - 0x47;
  if (byte >= 0x30 && byte <= 0x39) return byte + 4;
  if (byte === 0x2b || byte === 0x2d) return 62;
  return byte === 0x2f || byte === 0x5f ? 63 : -1;
}
