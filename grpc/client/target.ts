/**
 * Where a channel connects to.
 *
 * @module
 */

/** A parsed target. */
export type Target =
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/**
 * Parses `host:port`, `[::1]:port`, `dns:///host:port`, `unix:/path` or `unix:///path`.
 *
 * @throws TypeError when the text is none of these
 */
export function parseTarget(text: string): Target {
  if (text.startsWith("unix:")) {
    const path = text.slice(text.startsWith("unix://") ? 7 : 5);
    if (path !== "") return { kind: "unix", path };
  }
  const match = /^(?:dns:\/\/\/)?(?:\[([0-9a-fA-F:.%]+)\]|([^:/\s[\]]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const hostname = match?.[1] ?? match?.[2];
  if (hostname === undefined || port < 1 || port > 65_535) {
    throw new TypeError(`target \`${text}\` is neither \`host:port\` nor \`unix:/path\``);
  }
  return { kind: "tcp", hostname, port };
}

/** What `:authority` says for a target. */
export function authorityOf(target: Target, server_name: string | undefined): string {
  if (target.kind === "unix") return server_name ?? "localhost";
  const host = server_name ?? target.hostname;
  return `${host.includes(":") ? `[${host}]` : host}:${target.port}`;
}
