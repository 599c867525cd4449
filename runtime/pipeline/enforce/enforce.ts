/**
 * What every event passes, whoever reported it and whatever it says of itself: marks that claim
 * trust are taken off, then every text in it is scanned (contract `interception` §1.5, traps R4, R5).
 *
 * @module
 */
import { DEFAULT_SCANNER, type Scanner } from "../../../core/scanner/mod.ts";
import { audit } from "../../../proto/mod.ts";
import type { MetricsPart } from "../../parts.ts";
import type { Timers } from "../../timers.ts";
import { PIPELINE_LIMITS } from "../limits.ts";
import { emptyTally, type Tally, TextGuard } from "./text.ts";
import { redactMessage } from "./walk.ts";

/** Labels by which a client would claim that later checks may be skipped. */
export const TRUST_MARKERS: ReadonlySet<string> = new Set([
  "aa.trusted",
  "aa.scanned",
  "aa.allow",
  "aa.bypass",
]);
/** Labels that this runtime writes; from anyone else they are forged. */
export const RUNTIME_LABEL = "aa.runtime.";
/** Label with the version a client claims. */
export const SDK_VERSION_LABEL = "aa.sdk_version";

/** How to enforce. */
export interface EnforceOptions {
  /** Default: the built-in kinds alone. */
  readonly scanner?: Scanner;
  /** AA_ENFORCEMENT_MAX_FIELD_BYTES; default `PIPELINE_LIMITS.field_bytes`. */
  readonly field_bytes?: number;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
}

/** What enforcement did to one event. */
export interface Enforced {
  /** No findings and no oversized field. */
  readonly is_clean: boolean;
  /** Findings and oversized fields together. */
  readonly redaction_count: number;
  /** Bytes that were scanned. */
  readonly scanned_bytes: number;
  readonly forged_trust_markers: number;
  /** List elements, labels and unknown fields that were left out. */
  readonly omitted: number;
  /** Whether a text in it may hold something that is never stored. */
  readonly suspect: boolean;
}

/** Redacts events in place. */
export class Enforcer {
  readonly #guard: TextGuard;
  readonly #event_bytes: number;
  readonly #metrics: MetricsPart;
  readonly #timers: Timers;

  constructor(options: EnforceOptions) {
    const field_bytes = options.field_bytes ?? PIPELINE_LIMITS.field_bytes;
    this.#guard = new TextGuard(options.scanner ?? DEFAULT_SCANNER, field_bytes);
    // An operator who lets a field be longer than an event means it.
    this.#event_bytes = Math.max(PIPELINE_LIMITS.event_scan_bytes, field_bytes);
    this.#metrics = options.metrics;
    this.#timers = options.timers;
  }

  /** Takes an event over; what it holds afterwards may pass. */
  enforce(event: audit.AuditEvent): Enforced {
    const started_us = this.#timers.monotonic_us();
    const forged_trust_markers = stripTrustMarkers(event);
    const tally = emptyTally(this.#event_bytes, PIPELINE_LIMITS.event_elements);
    redactMessage(audit.AuditEventSchema, event, this.#guard, tally);
    this.#measure(tally, this.#timers.monotonic_us() - started_us);
    let findings = tally.unscannable;
    for (const found of tally.findings.values()) findings += found;
    return {
      is_clean: findings + tally.oversized === 0,
      redaction_count: findings + tally.oversized,
      scanned_bytes: tally.scanned_bytes,
      forged_trust_markers,
      omitted: tally.omitted,
      suspect: tally.suspect,
    };
  }

  #measure(tally: Tally, took_us: number): void {
    const metrics = this.#metrics;
    metrics.observe("aa_runtime_scan_latency_seconds", took_us / 1_000_000);
    metrics.observe("aa_runtime_scan_payload_bytes", tally.scanned_bytes);
    for (const [kind, found] of tally.findings) {
      metrics.add("aa_runtime_scan_findings_total", found, { kind });
    }
    if (tally.oversized > 0) metrics.add("aa_runtime_scan_oversized_total", tally.oversized);
    if (tally.undecodable > 0) metrics.add("aa_runtime_scan_undecodable_total", tally.undecodable);
    if (tally.unscannable > 0) metrics.add("aa_runtime_scan_failures_total", tally.unscannable);
    if (tally.omitted > 0) metrics.add("aa_runtime_scan_omitted_total", tally.omitted);
  }
}

/** A key without any of these is no mark in any spelling. */
const MARK = /aa\.|[^\x21-\x7e]/i;
/** A longer key is no mark, however many characters in it nobody sees. */
const MARK_CHARS_MAX = 256;

/** Takes off what nobody but this runtime may say, in any spelling; returns how many there were. */
function stripTrustMarkers(event: audit.AuditEvent): number {
  const labels = Object.entries(event.labels);
  const kept = labels.filter(([key]) => {
    if (key.length > MARK_CHARS_MAX || !MARK.test(key)) return true;
    const name = key.normalize("NFKC").replaceAll(/[\p{Cc}\p{Cf}\s]/gu, "").toLowerCase();
    return !TRUST_MARKERS.has(name) && !name.startsWith(RUNTIME_LABEL);
  });
  if (kept.length < labels.length) event.labels = Object.fromEntries(kept);
  return labels.length - kept.length;
}
