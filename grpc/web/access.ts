/**
 * Who may call at all, judged from the request's head alone: the host it names and the page it
 * comes from (Fetch Standard, "CORS protocol"; Fetch Metadata Request Headers).
 *
 * A page of a foreign origin can make a browser send requests with the user's network position.
 * Three rules stand against it. An `Origin` that is not allowed is refused. A request without one
 * that the browser itself marks as cross-site is refused: only GET can be such. And the host must
 * be one of ours, so that a page cannot become same-origin by rebinding its own name. The content
 * types of the protocols are all such that a browser asks before it sends them.
 *
 * @module
 */

import type { Refusal } from "../bounds.ts";
import type { WebOptions } from "./options.ts";

/** A request that may not be served, as plain HTTP. */
export interface HttpRefusal {
  readonly status: number;
  readonly refusal: Refusal;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the head of a request says about its sender. */
export type Access =
  /** `origin` is the page's, undefined when no page sent it. */
  | { readonly allowed: true; readonly origin: string | undefined }
  | ({ readonly allowed: false } & HttpRefusal);

/** Headers of the protocols themselves, which every page that may call may send. */
const PROTOCOL_REQUEST_HEADERS: readonly string[] = [
  "content-type",
  "connect-protocol-version",
  "connect-timeout-ms",
  "connect-accept-encoding",
  "connect-content-encoding",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-timeout",
  "x-grpc-web",
  "x-user-agent",
];
const PREFLIGHT_MAX_AGE_S = 600;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** What a browser says of a request its user or a page of this very origin made. */
const OWN_SITES: ReadonlySet<string> = new Set(["same-origin", "none"]);

/** The rules of one handler. */
export class AccessRules {
  readonly #origins: ReadonlySet<string>;
  readonly #hosts: ReadonlySet<string> | undefined;
  readonly #request_headers: string;
  readonly #max_age_s: string;

  /** @throws TypeError when an origin, host or header name is not one */
  constructor(options: WebOptions) {
    this.#origins = new Set((options.allowed_origins ?? []).map(originOf));
    this.#hosts = options.allowed_hosts === undefined
      ? undefined
      : new Set(options.allowed_hosts.map(configuredHost));
    const extra = (options.allowed_request_headers ?? []).map(headerNameOf);
    this.#request_headers = [...PROTOCOL_REQUEST_HEADERS, ...extra].join(", ");
    const max_age_s = options.preflight_max_age_s ?? PREFLIGHT_MAX_AGE_S;
    if (!Number.isInteger(max_age_s) || max_age_s < 0) {
      throw new TypeError(`\`preflight_max_age_s\` is \`${max_age_s}\`: expected whole seconds`);
    }
    this.#max_age_s = String(max_age_s);
  }

  /** @param loopback whether the peer is this very machine */
  judge(headers: Headers, url: URL, loopback: boolean): Access {
    // HTTP/2 names the host in its pseudo header, which the URL repeats.
    const host = headers.get("host");
    const named = host === null ? url.hostname : hostnameOf(host);
    if (!this.#isOurs(url.hostname, loopback) || !this.#isOurs(named, loopback)) {
      const text = "this server does not go by that host name: add it to `allowed_hosts`";
      return { allowed: false, status: 421, refusal: "web_host", text };
    }
    const origin = headers.get("origin");
    if (origin !== null) {
      if (this.#origins.has(origin)) return { allowed: true, origin };
      const text = "pages of this origin may not call: add it to `allowed_origins`";
      return { allowed: false, status: 403, refusal: "web_origin", text };
    }
    const site = headers.get("sec-fetch-site");
    if (site !== null && !OWN_SITES.has(site)) {
      const text = "a request of another site without an `Origin`";
      return { allowed: false, status: 403, refusal: "web_origin", text };
    }
    return { allowed: true, origin: undefined };
  }

  /** The answer to a browser that asks whether a page of an allowed origin may call. */
  preflight(origin: string): Response {
    return new Response(null, {
      status: 204,
      headers: {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": this.#request_headers,
        "access-control-max-age": this.#max_age_s,
        "vary": "origin",
      },
    });
  }

  #isOurs(hostname: string | undefined, loopback: boolean): boolean {
    if (hostname === undefined) return false;
    if (this.#hosts !== undefined) return this.#hosts.has(hostname);
    return !loopback || isLoopbackName(hostname);
  }
}

/**
 * Lets the page of an allowed origin read a response, with all it carries: response metadata is
 * there for the caller. No metadata of a handler can widen this.
 */
export function exposeTo(origin: string | undefined, headers: Headers): void {
  for (const name of [...headers.keys()]) {
    if (name.startsWith("access-control-")) headers.delete(name);
  }
  // Kept apart by whatever caches: an answer for one origin is none for another.
  if (!/\borigin\b/i.test(headers.get("vary") ?? "")) headers.append("vary", "origin");
  if (origin === undefined) return;
  const names = [...headers.keys()].filter((name) => name !== "vary" && name !== "set-cookie");
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", [...new Set(names)].join(", "));
}

/** Whether a host name can only mean this machine. */
export function isLoopbackName(hostname: string): boolean {
  const name = hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

/** Whether an address of a peer is this machine's own. */
export function isLoopbackAddress(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address.startsWith("::ffff:127.");
}

/** The host of a `Host` header without its port, as the URL parser writes it. */
function hostnameOf(host: string): string | undefined {
  if (/[/?#@\\]/.test(host)) return undefined;
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return undefined;
  }
}

function originOf(text: string): string {
  let parsed: string | undefined;
  try {
    parsed = new URL(text).origin;
  } catch {
    // Falls through to the refusal below.
  }
  if (parsed !== undefined && parsed !== "null" && parsed === text) return parsed;
  throw new TypeError(
    `\`${text}\` is not an origin: expected scheme, host and port only, like \`https://a.example\``,
  );
}

function configuredHost(text: string): string {
  const hostname = hostnameOf(text);
  if (hostname !== undefined && hostname === text) return hostname;
  throw new TypeError(`\`${text}\` is not a host name without port, in lower case`);
}

function headerNameOf(text: string): string {
  const name = text.toLowerCase();
  if (HEADER_NAME.test(name)) return name;
  throw new TypeError(`\`${text}\` is not a header name`);
}
