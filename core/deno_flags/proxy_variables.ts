/**
 * Variables by which a program turns its own requests over to another host. Deno sends them there
 * without asking about that host, and does not tell setting a variable from reading it: who may
 * touch one may reach anything.
 *
 * @module
 */

/** Names as Deno's HTTP client reads them. */
export const PROXY_VARIABLES: readonly string[] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
  .flatMap((name) => [name, name.toLowerCase()]);

/**
 * The host that stands for "whatever host a proxy variable names": permitted where every host is,
 * and where an allowlist lists it. RFC 2606 keeps `.invalid` free of real ones.
 */
export const PROXY_HOST = "proxy-from-environment.invalid";
