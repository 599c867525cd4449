/**
 * The error that ends a whole connection (RFC 9113 section 5.4.1).
 *
 * @module
 */

import type { Refusal } from "../bounds.ts";
import type { ErrorCode } from "./frames.ts";

/** Thrown while a frame is handled; the connection answers with GOAWAY and closes. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";

  /**
   * @param code travels in GOAWAY
   * @param refusal the counter it belongs to
   * @param text travels as GOAWAY debug data; holds nothing of the peer's input
   */
  constructor(readonly code: ErrorCode, readonly refusal: Refusal, text: string) {
    super(text);
  }
}
