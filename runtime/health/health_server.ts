/**
 * `/health`, `/ready` and `/metrics` (contract `interception` §1.8), on loopback unless an operator
 * says otherwise, behind a token where one was given (trap R10). Readers learn how the runtime is,
 * never what an agent did.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";
import type { AttestationReport, ComponentName } from "../attestation/attestation.ts";
import { HEALTH_LIMITS } from "./limits.ts";

/** What `/health` says; the first six keys are the reference's. */
export interface HealthReport {
  /** `degraded` when a room of the runtime has failed; the reference knows `healthy` alone. */
  readonly status: "healthy" | "degraded";
  readonly uptime_secs: number;
  readonly events_processed: number;
  readonly active_layers: readonly string[];
  readonly degraded_layers: readonly ComponentName[];
  readonly protection: {
    readonly attestation: AttestationReport;
    readonly evaluated_at_unix_secs: number;
    readonly verified_states: readonly string[];
    readonly any_coverage_verified: boolean;
  };
  /** Ours: the state of each room, by name. */
  readonly rooms: Readonly<Record<string, unknown>>;
}

/** What the server answers from. */
export interface HealthSources {
  readonly health: () => HealthReport;
  /** Whether the socket is bound and its path still leads to it. */
  readonly ready: () => boolean;
  readonly metrics: () => string;
  /** Bytes that readers must show as a bearer token; absent: anyone who can connect may read. */
  readonly token?: Uint8Array;
}

/** Answers one request. Pure but for its sources. */
export function answerHealth(request: Request, sources: HealthSources): Response {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return text(405, "method not allowed\n", { allow: "GET, HEAD" });
  }
  if (sources.token === undefined) {
    if (!namesAddress(request)) return text(403, "ask by address, not by name\n");
  } else if (!bears(request, sources.token)) {
    return text(401, "a bearer token is needed\n", { "www-authenticate": "Bearer" });
  }
  switch (new URL(request.url).pathname) {
    case "/health":
      return new Response(JSON.stringify(sources.health()), {
        headers: { "content-type": "application/json", ...NO_STORE },
      });
    case "/ready":
      return sources.ready() ? text(200, "ready") : text(503, "not ready");
    case "/metrics":
      return new Response(sources.metrics(), {
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8", ...NO_STORE },
      });
    default:
      return text(404, "not found\n");
  }
}

const NO_STORE = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

function text(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...NO_STORE, ...headers },
  });
}

/**
 * A web page can make a browser on this machine ask here, under a name of its own that it points to
 * loopback. It cannot do so under an address or `localhost`.
 */
function namesAddress(request: Request): boolean {
  const { hostname } = new URL(request.url);
  return hostname === "localhost" || /^[0-9.]+$/.test(hostname) || hostname.startsWith("[");
}

function bears(request: Request, token: Uint8Array): boolean {
  const match = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "");
  const shown = new TextEncoder().encode(match?.[1] ?? "");
  return shown.length === token.length && timingSafeEqual(shown, token);
}

/** A running server. */
export interface HealthServer {
  readonly hostname: string;
  readonly port: number;
  readonly close: () => Promise<void>;
}

/**
 * Serves.
 *
 * @throws {Error} naming the address when it cannot be listened on
 */
export function serveHealth(
  address: { readonly hostname: string; readonly port: number },
  sources: HealthSources,
): HealthServer {
  let answering = 0;
  const stopped = new AbortController();
  try {
    const server = Deno.serve({
      hostname: address.hostname,
      port: address.port,
      signal: stopped.signal,
      onListen: () => {},
      onError: () => text(500, "the runtime could not answer\n"),
    }, async (request) => {
      if (answering >= HEALTH_LIMITS.requests_max) return text(503, "too many requests\n");
      answering++;
      try {
        await request.body?.cancel();
        return answerHealth(request, sources);
      } finally {
        answering--;
      }
    });
    const { hostname, port } = server.addr;
    return {
      hostname,
      port,
      close: async () => {
        stopped.abort();
        await server.finished;
      },
    };
  } catch (error) {
    const where = `${address.hostname}:${address.port}`;
    const cause = error instanceof Deno.errors.AddrInUse
      ? "another program listens there: stop it, or choose another --metrics-listen"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new Error(`cannot serve health on \`${where}\`: ${cause}`, { cause: error });
  }
}
