/**
 * Scans and redacts streams, such as a body that passes through a proxy.
 *
 * @module
 */
export { createStreamRedactor, type Redacted, type StreamRedaction } from "./redactor.ts";
export {
  createStreamScanner,
  type Settled,
  type StreamOptions,
  type StreamScan,
  type Unjudged,
} from "./scanner.ts";
