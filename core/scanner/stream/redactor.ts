/**
 * Redacts a stream as it passes. What it lets through never holds a part of a finding, and is let
 * through as soon as that is certain.
 *
 * @module
 */
import type { Finding } from "../finding.ts";
import { cutsOf } from "../redact.ts";
import { type Passed, Scan, type Settled, type StreamOptions } from "./scanner.ts";

/** A redaction under way. */
export interface StreamRedaction {
  /** Bytes that can go on now; often none, never more than was pushed and held. */
  readonly push: (chunk: Uint8Array) => Redacted;
  /** Nothing follows: the rest. */
  readonly end: () => Redacted;
}

/** Bytes to pass on, and what was found in the bytes they stand for. */
export interface Redacted extends Settled {
  readonly bytes: Uint8Array;
}

const encoder = new TextEncoder();
const WHOLE = encoder.encode("[REDACTED]");

/** Starts to redact a stream. Bytes outside findings pass as they are, UTF-8 or not. */
export function createStreamRedactor(options: StreamOptions): StreamRedaction {
  let parts: Uint8Array[] = [];
  const scan = new Scan(
    options,
    (bytes, from, settled) => parts.push(...redacted(bytes, from, settled)),
  );
  const taken = (settled: Settled): Redacted => {
    const bytes = joined(parts);
    parts = [];
    return { ...settled, bytes };
  };
  return {
    push: (chunk) => taken(scan.push(chunk)),
    end: () => taken(scan.end()),
  };
}

function redacted(
  bytes: Uint8Array,
  from: number,
  settled: Parameters<Passed>[2],
): Uint8Array[] {
  if (settled.unjudged.some(({ reason }) => reason === "crowded")) return [WHOLE];
  const parts: Uint8Array[] = [];
  let copied = 0;
  const undecoded = settled.unjudged.filter(({ reason }) => reason !== "window");
  const covered = undecoded.map(({ offset, end }): Finding => ({
    source: "pattern",
    kind: "Custom",
    offset,
    end,
  }));
  for (const { offset, end, label } of cutsOf([...settled.findings, ...covered])) {
    // The first bytes of a finding longer than the window are gone already.
    const start = Math.max(0, offset - from);
    parts.push(bytes.slice(copied, start), encoder.encode(label));
    copied = Math.min(bytes.length, end - from);
  }
  parts.push(bytes.slice(copied));
  return parts;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
