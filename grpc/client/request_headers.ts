/**
 * Header blocks of requests. What every call of a method shares is encoded once.
 *
 * @module
 */

import { ACCEPTED_ENCODINGS, type Compression } from "../compression.ts";
import { encodeBlock, encodeField, listBytes } from "../hpack/encoder.ts";
import type { Metadata } from "../metadata.ts";
import { formatTimeout } from "../timeout.ts";

const PREFIXES_MAX = 1024;
/** Names whose values intermediaries must not keep in their tables (RFC 7541 section 7.1.3). */
const SENSITIVE = /auth|token|secret|password|credential|cookie|key/;

/** Encodes request headers of one channel. */
export class RequestHeaders {
  readonly #scheme: "http" | "https";
  readonly #authority: string;
  readonly #metadata: Metadata | undefined;
  readonly #prefixes: Readonly<Record<Compression, Map<string, Uint8Array>>> = {
    identity: new Map(),
    gzip: new Map(),
  };

  constructor(scheme: "http" | "https", authority: string, metadata: Metadata | undefined) {
    this.#scheme = scheme;
    this.#authority = authority;
    this.#metadata = metadata;
  }

  /**
   * The header block of one attempt.
   *
   * @param authorization what the call's credentials gave
   * @param compression how the requests travel, those that get smaller
   * @param previous_attempts how many attempts of the call have failed (gRFC A6)
   */
  block(
    path: string,
    timeout_ms: number | undefined,
    metadata: Metadata | undefined,
    authorization: Metadata | undefined,
    compression: Compression,
    previous_attempts: number,
  ): Uint8Array {
    const prefix = this.#prefix(path, compression);
    if (
      timeout_ms === undefined && previous_attempts === 0 && authorization === undefined &&
      (metadata === undefined || metadata.size === 0)
    ) return prefix;
    const rest: number[] = [];
    if (timeout_ms !== undefined) encodeField(rest, "grpc-timeout", formatTimeout(timeout_ms));
    if (previous_attempts > 0) {
      encodeField(rest, "grpc-previous-rpc-attempts", `${previous_attempts}`);
    }
    if (metadata !== undefined) encodeMetadata(rest, metadata);
    if (authorization !== undefined) encodeSecret(rest, authorization);
    const block = new Uint8Array(prefix.length + rest.length);
    block.set(prefix);
    block.set(rest, prefix.length);
    return block;
  }

  /** Size of the custom metadata of a call, by the peer's way of counting. */
  metadataBytes(metadata: Metadata | undefined, authorization: Metadata | undefined): number {
    return listBytes(this.#metadata?.fields ?? []) + listBytes(metadata?.fields ?? []) +
      listBytes(authorization?.fields ?? []);
  }

  #prefix(path: string, compression: Compression): Uint8Array {
    const prefixes = this.#prefixes[compression];
    const known = prefixes.get(path);
    if (known !== undefined) return known;
    const shared = encodeBlock([
      ":method",
      "POST",
      ":scheme",
      this.#scheme,
      ":path",
      path,
      ":authority",
      this.#authority,
      "te",
      "trailers",
      "content-type",
      "application/grpc",
      "user-agent",
      "agent-assembly-grpc/0.1",
      "grpc-accept-encoding",
      ACCEPTED_ENCODINGS,
      ...(compression === "identity" ? [] : ["grpc-encoding", compression]),
    ]);
    const own: number[] = [];
    if (this.#metadata !== undefined) encodeMetadata(own, this.#metadata);
    const prefix = Uint8Array.from([...shared, ...own]);
    if (prefixes.size < PREFIXES_MAX) prefixes.set(path, prefix);
    return prefix;
  }
}

function encodeMetadata(out: number[], metadata: Metadata): void {
  const { fields } = metadata;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const sensitivity = SENSITIVE.test(name) ? "never_indexed" : "plain";
    encodeField(out, name, fields[index + 1] ?? "", sensitivity);
  }
}

function encodeSecret(out: number[], { fields }: Metadata): void {
  for (let index = 0; index < fields.length; index += 2) {
    encodeField(out, fields[index] ?? "", fields[index + 1] ?? "", "never_indexed");
  }
}
