/**
 * Which host a URL names, and whether an allowlist names that host (contract
 * `policy-and-gateway` §5.2, §13.1 #4). The one host matcher of the suite: proxy, anomaly
 * detection and explanations use it too, so that no two of them can disagree.
 *
 * @module
 */

/** The host a URL was understood to name. */
export type UnderstoodHost =
  | {
    readonly kind: "host";
    /** Lower-case ASCII, no port, no trailing dot; an IPv6 address without brackets. */
    readonly host: string;
    /** True for an IPv4 or IPv6 address: an entry `*.` before one is inert. */
    readonly is_address: boolean;
  }
  /** The text has no `://`: it names no host, and only `*` can match it (contract §5.2). */
  | { readonly kind: "none" }
  /** Two readers could disagree about the host, or there is none: nothing matches, not even `*`. */
  | { readonly kind: "invalid"; readonly why: string };

/** Longest host name of RFC 1035 §2.3.4 in text form. */
const HOST_CHARS_MAX = 253;

/** Longest authority looked at: a host, a port and room for an IDN before it is mapped to ASCII. */
const AUTHORITY_CHARS_MAX = 1_024;

/**
 * Already canonical: lower-case letters, digits and hyphens, last label starting with a letter so
 * that no reader takes it for an IPv4 number. The host ends where the URL standard ends it.
 */
const PLAIN_URL =
  /^[a-z][a-z0-9+.-]{0,31}:\/\/((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){0,126}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)(?::(\d{1,5}))?(?:[/?#]|$)/;

/** The host part of {@linkcode PLAIN_URL}: an allowlist entry that needs no parsing. */
const PLAIN_HOST =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){0,126}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;

/**
 * Characters that URL readers disagree about inside an authority: some strip them, some decode
 * them, some take them for the end of the host.
 */
// deno-lint-ignore no-control-regex -- control characters are exactly what must be refused
const DISPUTED = /[\u0000-\u0020\u007f-\u00a0\\%<>^`{|}"\u2028\u2029\ufeff]/;

/**
 * The host of `url` as the WHATWG URL standard reads it, refusing what other readers would read
 * differently: user information, backslashes, percent-encoded hosts, blanks, empty labels.
 *
 * @param url Text as the agent sent it; `protocol://host:port` from the wire.
 */
export function understandHost(url: string): UnderstoodHost {
  const plain = PLAIN_URL.exec(url);
  if (plain !== null) {
    const host = plain[1] ?? "";
    const port = plain[2];
    if (
      host.length <= HOST_CHARS_MAX && !host.includes("xn--") &&
      (port === undefined || Number(port) <= 65_535)
    ) return { kind: "host", host, is_address: false };
  }
  const separator = url.indexOf("://");
  if (separator < 0) return { kind: "none" };
  if (!SCHEME.test(url.slice(0, separator))) {
    return { kind: "invalid", why: "the text before `://` is not a URL scheme" };
  }
  return authorityHost(url.slice(separator + 3, separator + 4 + AUTHORITY_CHARS_MAX));
}

/** `text` is what follows `://`, cut just past the longest authority that is looked at. */
function authorityHost(text: string): UnderstoodHost {
  const end = text.search(/[/?#]/);
  const authority = end < 0 ? text : text.slice(0, end);
  if (authority.length > AUTHORITY_CHARS_MAX) {
    return { kind: "invalid", why: `the host is longer than ${HOST_CHARS_MAX} characters` };
  }
  if (authority === "") return { kind: "invalid", why: "the host is empty" };
  if (authority.includes("@")) return { kind: "invalid", why: "user information before the host" };
  if (DISPUTED.test(authority)) {
    return { kind: "invalid", why: "a character that a host cannot hold" };
  }
  let hostname: string;
  try {
    // The scheme is replaced because only special schemes get host canonicalisation.
    hostname = new URL(`http://${authority}/`).hostname;
  } catch {
    return { kind: "invalid", why: "not a host and port" };
  }
  return parsedHost(hostname);
}

function parsedHost(hostname: string): UnderstoodHost {
  if (hostname.startsWith("[")) {
    return { kind: "host", host: hostname.slice(1, -1), is_address: true };
  }
  const host = hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
  if (host === "" || host.startsWith(".") || host.endsWith(".") || host.includes("..")) {
    return { kind: "invalid", why: "the host has an empty label" };
  }
  if (host.length > HOST_CHARS_MAX) {
    return { kind: "invalid", why: `the host is longer than ${HOST_CHARS_MAX} characters` };
  }
  // The URL standard lets punctuation such as `;` into a name; resolvers and other readers do not.
  if (!/^[a-z0-9._-]+$/.test(host)) {
    return { kind: "invalid", why: "a character that a host cannot hold" };
  }
  return { kind: "host", host, is_address: /^\d+\.\d+\.\d+\.\d+$/.test(host) };
}

/**
 * Canonical form of a bare host as an allowlist entry gives it, or `undefined` when the entry is
 * not a host: ports, schemes, paths and mid-label globs are not supported (contract §5.2).
 */
function entryHost(
  entry: string,
): { readonly host: string; readonly is_address: boolean } | undefined {
  if (entry.length <= HOST_CHARS_MAX && PLAIN_HOST.test(entry) && !entry.includes("xn--")) {
    return { host: entry, is_address: false };
  }
  const bare_v6 = entry.includes(":") && !entry.startsWith("[");
  if (/[/?#]/.test(entry) || entry.includes("*")) return undefined;
  if (!bare_v6 && /:\d*$/.test(entry) && !entry.endsWith("]")) return undefined;
  const understood = authorityHost(bare_v6 ? `[${entry}]` : entry);
  return understood.kind === "host" ? understood : undefined;
}

/** A compiled `network.allowlist`. Matching costs one look-up per label of the host. */
export class HostAllowlist {
  /** True when an entry is `*`. */
  readonly any: boolean;
  /** Entries that can never match, as written: `host:443`, `https://host`, `a.*.com`. */
  readonly inert: readonly string[];
  readonly #exact = new Set<string>();
  readonly #suffixes = new Set<string>();

  /** @param entries Allowlist entries as written in the policy. */
  constructor(entries: Iterable<string>) {
    let any = false;
    const inert: string[] = [];
    for (const written of entries) {
      const entry = written.trim();
      if (entry === "*") {
        any = true;
        continue;
      }
      const below = entry.startsWith("*.");
      const parsed = entryHost(below ? entry.slice(2) : entry);
      if (parsed === undefined || (below && parsed.is_address)) inert.push(written);
      else (below ? this.#suffixes : this.#exact).add(parsed.host);
    }
    this.any = any;
    this.inert = inert;
  }

  /** True when nothing can match: every request is denied. */
  get empty(): boolean {
    return !this.any && this.#exact.size === 0 && this.#suffixes.size === 0;
  }

  /** Whether the list lets the host through. An invalid host passes no list. */
  permits(understood: UnderstoodHost): boolean {
    if (understood.kind === "invalid") return false;
    if (this.any) return true;
    return this.names(understood);
  }

  /** Whether an entry other than `*` lets the host through. */
  names(understood: UnderstoodHost): boolean {
    if (understood.kind !== "host") return false;
    const { host } = understood;
    if (this.#exact.has(host)) return true;
    if (this.#suffixes.size === 0) return false;
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      if (this.#suffixes.has(host.slice(dot + 1))) return true;
    }
    return false;
  }
}
