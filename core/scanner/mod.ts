/**
 * Finds secrets and personal data in a text and replaces them by labels.
 *
 * @module
 */
export {
  assess,
  type Assessment,
  CATEGORIES,
  type Category,
  CATEGORY_BASES,
  parseCategory,
  statusOf,
} from "./classification.ts";
export { type DetectorEntry, type DetectorName, DETECTORS } from "./detectors/catalog.ts";
export * from "./finding.ts";
export { SCANNER_LIMITS } from "./limits.ts";
export { isKnownLocalePack } from "./locale/pack.ts";
export { CompiledPattern, compilePattern, type PatternResult } from "./pattern.ts";
export { redact } from "./redact.ts";
export {
  createScanner,
  DEFAULT_SCANNER,
  scanCertain,
  type ScannerOptions,
  UnknownLocalePackError,
} from "./scanner.ts";
export { ScanLimitError } from "./spans.ts";
export {
  createStreamRedactor,
  createStreamScanner,
  type Redacted,
  type Settled,
  type StreamOptions,
  type StreamRedaction,
  type StreamScan,
  type Unjudged,
} from "./stream/mod.ts";
export * from "./suppression/mod.ts";
