/**
 * SPIFFE ids (https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/): syntax only, and strictly. Who
 * may bear one is decided elsewhere.
 *
 * @module
 */

/** Longest trust domain, in bytes (SPIFFE-ID section 2.1). */
export const TRUST_DOMAIN_BYTES_MAX = 255;
/** Longest id, in bytes: what the specification bids to accept is more than our identifiers hold. */
export const SPIFFE_ID_BYTES_MAX = 1_024;

const SCHEME = "spiffe://";
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** A SPIFFE id taken apart. */
export type SpiffeId =
  | {
    readonly ok: true;
    readonly trust_domain: string;
    /** Empty for a trust domain's own id; else starts with `/`. */
    readonly path: string;
  }
  | { readonly ok: false; readonly message: string };

/** Whether a text means to be a SPIFFE id, well-formed or not. */
export function claimsSpiffe(text: string): boolean {
  return /^spiffe:/i.test(text);
}

/**
 * Takes a SPIFFE id apart. Scheme and trust domain are lower case, the path has no empty, `.` or
 * `..` segment and no trailing slash; user info, port, query, fragment and percent-encoding do not
 * exist (section 2). Every character is ASCII, so bytes are characters.
 *
 * @param text Exactly as received.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > SPIFFE_ID_BYTES_MAX) {
    return refused(`is longer than ${SPIFFE_ID_BYTES_MAX} characters`);
  }
  if (!text.startsWith(SCHEME)) return refused("does not start with `spiffe://`");
  const rest = text.slice(SCHEME.length);
  const slash = rest.indexOf("/");
  const trust_domain = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? "" : rest.slice(slash);
  if (trust_domain === "") return refused("names no trust domain");
  if (trust_domain.length > TRUST_DOMAIN_BYTES_MAX) {
    return refused(`has a trust domain longer than ${TRUST_DOMAIN_BYTES_MAX} characters`);
  }
  if (!TRUST_DOMAIN.test(trust_domain)) {
    return refused("has a trust domain with other characters than `a`-`z`, `0`-`9`, `.`, `-`, `_`");
  }
  for (const segment of path.split("/").slice(1)) {
    if (segment === "") return refused("has an empty path segment, or ends in a slash");
    if (segment === "." || segment === "..") return refused("has a `.` or `..` path segment");
    if (!SEGMENT.test(segment)) {
      return refused(
        "has a path segment with other characters than letters, digits, `.`, `-`, `_`",
      );
    }
  }
  return { ok: true, trust_domain, path };
}

/** An id that a workload may bear: one with a path (a trust domain's own id is no workload's). */
export function parseWorkloadId(text: string): SpiffeId {
  const id = parseSpiffeId(text);
  if (id.ok && id.path === "") return refused("names a trust domain, not a workload: add a path");
  return id;
}

/**
 * The SPIFFE id of a verified certificate. An X.509-SVID has exactly one URI name (X509-SVID section
 * 2): of several, none is believed.
 *
 * @param names Alternative names with their kind, as the transport gives them.
 */
export function spiffeIdOfCertificate(names: readonly string[]): string | undefined {
  const uris = names.filter((name) => name.startsWith("URI:")).map((name) => name.slice(4));
  const [uri] = uris;
  return uris.length === 1 && uri !== undefined && parseWorkloadId(uri).ok ? uri : undefined;
}

function refused(message: string): SpiffeId {
  return { ok: false, message };
}
