/**
 * Custom metadata of a call: ordered, repeatable, lower-case keys; keys that end in `-bin` carry
 * bytes (gRPC over HTTP/2, "Custom-Metadata").
 *
 * @module
 */

import { decodeBase64, encodeBase64 } from "./base64.ts";

const KEY = /^[0-9a-z_.-]+$/;
const ASCII_VALUE = /^[\x20-\x7e]*$/;

/** Names the protocol itself uses; metadata may not carry them. */
const RESERVED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
]);

/** Whether a header name belongs to the protocol and is hidden from metadata. */
export function isReservedName(name: string): boolean {
  return RESERVED.has(name) || name.startsWith("grpc-");
}

function writableKey(key: string, binary: boolean): string {
  const name = key.toLowerCase();
  if (!KEY.test(name)) {
    throw new TypeError(
      `metadata key \`${key.slice(0, 64)}\` is not a header name: use letters, digits, \`_.-\``,
    );
  }
  if (isReservedName(name)) {
    throw new TypeError(`metadata key \`${name}\` belongs to the protocol: choose another name`);
  }
  if (name.endsWith("-bin") !== binary) {
    throw new TypeError(
      binary
        ? `metadata key \`${name}\` carries bytes: end its name in \`-bin\``
        : `metadata key \`${name}\` ends in \`-bin\`: use setBinary`,
    );
  }
  return name;
}

/** ASCII text as it may stand in a header; the value itself is never put into the error. */
function writableValue(name: string, value: string): string {
  if (!ASCII_VALUE.test(value)) {
    throw new TypeError(
      `metadata value of \`${name}\` is not printable ASCII: use a \`-bin\` key for other bytes`,
    );
  }
  return value.trim();
}

/**
 * Metadata of one direction of one call. Entries keep their order; a key may repeat. Values of
 * `-bin` keys are held as they travel (base64) and decoded on access.
 *
 * Not safe for concurrent mutation; each call has its own.
 */
export class Metadata {
  /** Flat name, value, name, value; shared with the received header list until first written. */
  #fields: readonly string[];
  #owned: boolean;

  constructor(entries?: Iterable<readonly [string, string | Uint8Array]>) {
    this.#fields = [];
    this.#owned = false;
    for (const [key, value] of entries ?? []) {
      if (typeof value === "string") this.append(key, value);
      else this.#append(writableKey(key, true), encodeBase64(value));
    }
  }

  /** Wraps a received, already validated flat field list without copying it. */
  static fromFields(fields: readonly string[]): Metadata {
    const metadata = new Metadata();
    metadata.#fields = fields;
    return metadata;
  }

  /** The flat field list as it travels; callers must not change it. */
  get fields(): readonly string[] {
    return this.#fields;
  }

  /** Number of entries, repeated keys counted each. */
  get size(): number {
    return this.#fields.length / 2;
  }

  /** The first text of a key, or undefined. For a `-bin` key this is its base64 form. */
  get(key: string): string | undefined {
    const name = key.toLowerCase();
    for (let index = 0; index < this.#fields.length; index += 2) {
      if (this.#fields[index] === name) return this.#fields[index + 1];
    }
    return undefined;
  }

  /** Every text of a key, in order. */
  getAll(key: string): string[] {
    const name = key.toLowerCase();
    const values: string[] = [];
    for (let index = 0; index < this.#fields.length; index += 2) {
      const value = this.#fields[index + 1];
      if (this.#fields[index] === name && value !== undefined) values.push(value);
    }
    return values;
  }

  /** The bytes of the first value of a `-bin` key, or undefined when absent. */
  getBinary(key: string): Uint8Array | undefined {
    const text = this.get(key);
    if (text === undefined || !key.toLowerCase().endsWith("-bin")) return undefined;
    return decodeBase64(text.split(",", 1)[0]?.trim() ?? "");
  }

  /**
   * The bytes of every value of a `-bin` key, in order, whether the peer sent them in one field or in
   * several; empty when absent.
   */
  getAllBinary(key: string): Uint8Array[] {
    if (!key.toLowerCase().endsWith("-bin")) return [];
    return this.getAll(key).flatMap((text) => text.split(","))
      .map((part) => decodeBase64(part.trim()) ?? new Uint8Array(0));
  }

  /**
   * Replaces every value of a key.
   *
   * @throws TypeError when the key is not a header name, is the protocol's own, or ends in `-bin`,
   * or when the value is not printable ASCII
   */
  set(key: string, value: string): this {
    const name = writableKey(key, false);
    const text = writableValue(name, value);
    return this.delete(name).#append(name, text);
  }

  /** Adds a value beside those a key already has; throws as {@linkcode set} does. */
  append(key: string, value: string): this {
    const name = writableKey(key, false);
    return this.#append(name, writableValue(name, value));
  }

  /** Replaces every value of a `-bin` key. */
  setBinary(key: string, value: Uint8Array): this {
    const name = writableKey(key, true);
    return this.delete(name).#append(name, encodeBase64(value));
  }

  /** Adds a value beside those a `-bin` key already has; throws as {@linkcode set} does. */
  appendBinary(key: string, value: Uint8Array): this {
    return this.#append(writableKey(key, true), encodeBase64(value));
  }

  /** Removes every value of a key. */
  delete(key: string): this {
    const name = key.toLowerCase();
    const kept: string[] = [];
    for (let index = 0; index < this.#fields.length; index += 2) {
      const field = this.#fields[index];
      const value = this.#fields[index + 1];
      if (field !== undefined && value !== undefined && field !== name) kept.push(field, value);
    }
    this.#fields = kept;
    this.#owned = true;
    return this;
  }

  /** Entries in order; values of `-bin` keys as bytes. */
  *entries(): Iterable<[string, string | Uint8Array]> {
    for (let index = 0; index < this.#fields.length; index += 2) {
      const name = this.#fields[index];
      const value = this.#fields[index + 1];
      if (name === undefined || value === undefined) return;
      if (!name.endsWith("-bin")) {
        yield [name, value];
        continue;
      }
      // One header may carry several binary values, joined by commas.
      for (const part of value.split(",")) {
        yield [name, decodeBase64(part.trim()) ?? new Uint8Array(0)];
      }
    }
  }

  #append(name: string, value: string): this {
    if (!this.#owned) {
      this.#fields = [...this.#fields];
      this.#owned = true;
    }
    (this.#fields as string[]).push(name, value);
    return this;
  }
}

/**
 * The custom metadata of a received header list: pseudo headers and the protocol's own names are
 * left out.
 *
 * @param fields flat name, value, name, value
 * @returns the kept fields, or the name of the first `-bin` field that is not base64
 */
export function customFields(
  fields: readonly string[],
): { ok: true; fields: string[] } | { ok: false; name: string } {
  const kept: string[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index];
    const value = fields[index + 1];
    if (name === undefined || value === undefined) break;
    if (name.startsWith(":") || isReservedName(name)) continue;
    if (name.endsWith("-bin")) {
      for (const part of value.split(",")) {
        if (decodeBase64(part.trim()) === undefined) return { ok: false, name };
      }
    }
    kept.push(name, value);
  }
  return { ok: true, fields: kept };
}
