/**
 * What a web handler is told.
 *
 * @module
 */

import type { Registry } from "@bufbuild/protobuf";

/** Options of a web handler. Nothing but clients without an `Origin` may call by default. */
export interface WebOptions {
  /**
   * Pages that may call, by origin: `https://app.example`, with the port where it is not the
   * scheme's own. There is no wildcard. A request from any other origin is answered 403 before its
   * body is read, and no answer tells a browser to let a page of it read anything.
   *
   * @default [] no page may call
   */
  readonly allowed_origins?: readonly string[];
  /**
   * Request metadata a page may send besides the protocols' own headers, for example
   * `authorization`. What is not named is refused by the browser, which asks beforehand.
   *
   * @default []
   */
  readonly allowed_request_headers?: readonly string[];
  /**
   * Names this server is called by, without port: `api.example`, `127.0.0.1`, `[::1]`. A request
   * for another name is answered 421. This is what keeps a page whose own name was made to
   * resolve to this server (DNS rebinding) from passing as a page of this server.
   *
   * @default requests over loopback must name `localhost`, `*.localhost` or a loopback address;
   * others may name any host. Name hosts here when a proxy on this machine passes its own on.
   */
  readonly allowed_hosts?: readonly string[];
  /**
   * How long a browser may remember that a page of an allowed origin may call, in seconds.
   *
   * @default 600
   */
  readonly preflight_max_age_s?: number;
  /** Messages that `google.protobuf.Any` may hold in JSON. Without it such a message fails. */
  readonly registry?: Registry;
}
