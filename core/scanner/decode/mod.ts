/**
 * Looks behind encodings: escapes, base64, hex, compression, texts written in pieces (contract
 * `interception` §2.10, trap S11).
 *
 * @module
 */
export { escapesMatter } from "./calm.ts";
export {
  type CertainSearch,
  type CertainSpan,
  decodeAndSearch,
  decodeBytes,
  type DecodedFinding,
  type DecodeSigns,
  type Decoding,
} from "./explore.ts";
export { type DecodeStep } from "./view.ts";
