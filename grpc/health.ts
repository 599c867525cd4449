/**
 * The standard health service, `grpc.health.v1` (gRPC core documentation, "GRPC Health Checking
 * Protocol"): `Check` answers once, `Watch` answers now and at every change.
 *
 * @module
 */

import { create } from "@bufbuild/protobuf";
import type { Channel } from "./client/channel.ts";
import { createClient } from "./client/client.ts";
import type { CallOptions } from "./client/options.ts";
import { Code } from "./code.ts";
import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
} from "./gen/health_pb.ts";
import { GrpcError } from "./grpc_error.ts";
import type { GrpcServer } from "./server/server.ts";

/** Whether a service serves. */
export type ServingStatus = "SERVING" | "NOT_SERVING";

/** Watches open at once; past it Watch answers RESOURCE_EXHAUSTED. */
export const HEALTH_WATCHES_MAX = 1024;

/** Changes what the health service answers. */
export interface HealthControl {
  /** @throws TypeError when the service was not named at the start */
  set(service: string, status: ServingStatus): void;
  /** Sets every service, the overall one too; for the start of a shutdown. */
  setAll(status: ServingStatus): void;
}

/** Statuses by service, and who waits for a change. */
class Statuses {
  readonly #statuses = new Map<string, ServingStatus>();
  #waiters = new Set<() => void>();
  watches = 0;

  constructor(services: Iterable<string>) {
    for (const service of services) this.#statuses.set(service, "SERVING");
  }

  get(service: string): ServingStatus | undefined {
    return this.#statuses.get(service);
  }

  set(service: string, status: ServingStatus): void {
    if (!this.#statuses.has(service)) {
      throw new TypeError(`service \`${service}\` was not given to addHealthService`);
    }
    this.#statuses.set(service, status);
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  setAll(status: ServingStatus): void {
    for (const service of this.#statuses.keys()) this.set(service, status);
  }

  /** Resolves at the next change of any service, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiters.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      if (signal.aborted) return resolve();
      this.#waiters.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

/**
 * Adds the health service. The overall name `""` and each given full service name start as SERVING.
 * Names not given: `Check` answers NOT_FOUND, `Watch` answers SERVICE_UNKNOWN and stays open.
 */
export function addHealthService(server: GrpcServer, services: readonly string[]): HealthControl {
  const statuses = new Statuses(["", ...services]);
  server.addService(Health, {
    check: ({ service }) => {
      const status = statuses.get(service);
      if (status === undefined) throw new GrpcError("unknown service", Code.NOT_FOUND);
      return answer(status);
    },
    watch: ({ service }, { signal }) => watch(statuses, service, signal),
  });
  return {
    set: (service, status) => statuses.set(service, status),
    setAll: (status) => statuses.setAll(status),
  };
}

async function* watch(
  statuses: Statuses,
  service: string,
  signal: AbortSignal,
): AsyncGenerator<HealthCheckResponse> {
  if (statuses.watches >= HEALTH_WATCHES_MAX) {
    throw new GrpcError("too many watches: use Check", Code.RESOURCE_EXHAUSTED);
  }
  statuses.watches++;
  try {
    let told: ServingStatus | "unknown" | undefined;
    while (!signal.aborted) {
      const status = statuses.get(service) ?? "unknown";
      if (status !== told) {
        told = status;
        yield answer(status);
        continue; // It may have changed while the answer waited for its reader.
      }
      await statuses.changed(signal);
    }
  } finally {
    statuses.watches--;
  }
}

function answer(status: ServingStatus | "unknown"): HealthCheckResponse {
  const value = status === "unknown"
    ? Status.SERVICE_UNKNOWN
    : status === "SERVING"
    ? Status.SERVING
    : Status.NOT_SERVING;
  return create(HealthCheckResponseSchema, { status: value });
}

/** What a health service answers, ours or another's. */
export type HealthStatus = ServingStatus | "UNKNOWN" | "SERVICE_UNKNOWN";

/** Asks a server how its services are. */
export interface HealthClient {
  /**
   * How a service is now.
   *
   * @param service full name; @default the server as a whole
   * @throws GrpcError NOT_FOUND when the server does not know the service, UNIMPLEMENTED when it has
   * no health service, or why the call failed
   */
  check(service?: string, options?: CallOptions): Promise<HealthStatus>;
  /** How a service is now and at every change; SERVICE_UNKNOWN while the server does not know it. */
  watch(service?: string, options?: CallOptions): AsyncIterable<HealthStatus>;
}

/** A client of the health service of a channel's server. */
export function createHealthClient(channel: Channel): HealthClient {
  const client = createClient(Health, channel);
  return {
    check: async (service = "", options = {}) =>
      statusOf((await client.check({ service }, options)).status),
    watch: (service = "", options = {}) => statusesOf(client.watch({ service }, options)),
  };
}

async function* statusesOf(
  responses: AsyncIterable<HealthCheckResponse>,
): AsyncGenerator<HealthStatus> {
  for await (const { status } of responses) yield statusOf(status);
}

function statusOf(status: Status): HealthStatus {
  switch (status) {
    case Status.SERVING:
      return "SERVING";
    case Status.NOT_SERVING:
      return "NOT_SERVING";
    case Status.SERVICE_UNKNOWN:
      return "SERVICE_UNKNOWN";
    default:
      return "UNKNOWN";
  }
}
