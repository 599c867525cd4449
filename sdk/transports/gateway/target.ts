/**
 * Where a gateway is. A credential goes there, so plain text is for this machine only.
 *
 * @module
 */
import { ConfigurationError } from "../../errors.ts";

/** A gateway's address. */
export interface GatewayTarget {
  readonly protocol: "http" | "https";
  /** As a URL writes it: IPv6 in brackets. */
  readonly host: string;
  readonly port: number;
  /** Scheme, host and port, without a path. */
  readonly origin: string;
}

/**
 * Reads an address like `https://gateway.example:7391`.
 *
 * @param allow_plaintext Whether the agent's credential may travel unprotected to another machine.
 * @throws {ConfigurationError} naming what is wrong.
 */
export function gatewayTarget(text: string, allow_plaintext = false): GatewayTarget {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new ConfigurationError(
      "the gateway's address is not a URL: expected one like `https://gateway.example:7391`",
      error,
    );
  }
  const { protocol, hostname, port, username, password, pathname, search, hash } = url;
  if (protocol !== "http:" && protocol !== "https:") {
    throw new ConfigurationError(
      `the gateway's address begins with \`${protocol}\`: expected \`http:\` or \`https:\``,
    );
  }
  if (username !== "" || password !== "" || pathname !== "/" || search !== "" || hash !== "") {
    throw new ConfigurationError(
      "the gateway's address holds more than scheme, host and port: leave user, path and query out",
    );
  }
  if (protocol === "http:" && !isLoopbackHost(hostname) && !allow_plaintext) {
    throw new ConfigurationError(
      `refusing to send the agent's credential to \`${hostname}\` in plain text: use \`https\`, or ` +
        "say `allow_plaintext: true`",
    );
  }
  const tls = protocol === "https:";
  return {
    protocol: tls ? "https" : "http",
    host: hostname,
    port: port === "" ? (tls ? 443 : 80) : Number(port),
    origin: url.origin,
  };
}

function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
