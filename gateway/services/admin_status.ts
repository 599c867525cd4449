/**
 * The status message: what is in force, what is missing, by name.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { VERSION } from "../../core/version.ts";
import {
  type ComponentStatusSchema,
  type GetStatusResponse,
  GetStatusResponseSchema,
} from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import type { ServerStats } from "../../grpc/mod.ts";
import type { TransportStatus } from "../transport/workers.ts";
import type { ComponentState } from "../rooms/room.ts";
import type { AdminDependencies } from "./admin.ts";

/** Documents and warnings listed by name; more are counted in `documents`. */
const LISTED_MAX = 100;

/** Builds the answer of `GetStatus`. */
export function statusMessage(on: AdminDependencies): GetStatusResponse {
  const policy = on.policy.status();
  const log = on.audit.status();
  const counted = on.counters.snapshot();
  const counts = on.registry.counts();
  return create(GetStatusResponseSchema, {
    version: VERSION,
    startedAtUnixMs: BigInt(on.started_ms),
    listeners: [...on.listeners],
    policy: {
      state: policy.state,
      source: policy.source,
      documents: policy.documents,
      epoch: BigInt(policy.epoch),
      loadedAtUnixMs: BigInt(policy.loaded_at_ms),
      lastError: policy.last_error,
      documentIds: policy.document_ids.slice(0, LISTED_MAX),
      warnings: policy.warnings.slice(0, LISTED_MAX),
    },
    audit: {
      state: log.state === "open" ? "durable" : log.state,
      entries: log.entries,
      origin: log.origin,
      verifierKey: log.verifier_key,
      directory: log.directory,
      checkpointSize: BigInt(log.checkpoint?.size ?? 0),
      checkpointAtUnixMs: BigInt(log.checkpoint?.time_ms ?? 0),
      recovery: on.recovery,
    },
    decisions: named(counted, "decisions."),
    agents: Object.fromEntries(
      Object.entries(counts).map(([name, count]) => [name, BigInt(count)]),
    ),
    components: components(on),
    counters: {
      ...unnamed(counted, "decisions."),
      "audit.removed_members": BigInt(log.removed_members),
      "audit.redacted_credentials": BigInt(log.redacted_credentials),
      ...transportCounters(on.transport()),
      ...workerCounters(on.workers()),
    },
  });
}

function components(on: AdminDependencies): MessageInitShape<typeof ComponentStatusSchema>[] {
  const log = on.audit.status();
  const policy = on.policy.status();
  return [
    {
      name: "policy",
      state: policy.state === "unconfigured" ? "unavailable" : "enforcing",
      detail: policy.state === "unconfigured"
        ? "every action is denied; start with --policy FILE or add a document"
        : policy.state === "degraded"
        ? "the last good policy is in force; the last reload was refused"
        : policy.state === "permissive"
        ? "the policy restricts nothing"
        : `${policy.documents} document(s)`,
    },
    {
      name: "audit",
      state: log.state === "failed" || log.state === "closed" ? "unavailable" : "enforcing",
      detail: log.failure ?? "every answer waits for its durable entry",
    },
    { name: "scanner", state: "enforcing", detail: "runs on every action that carries text" },
    ...transportComponent(on.workers()),
    ...roomComponents(on.rooms()),
  ];
}

/** What a decision may need; a room that is missing here is a named absence (design law 1). */
const NEEDED: readonly ComponentState[] = [
  {
    name: "budget ledger",
    state: "not_built",
    detail: "model calls under a budget are denied: `budget ledger unavailable`",
  },
  {
    name: "approvals",
    state: "not_built",
    detail: "actions that need approval are denied: `approval unavailable`",
  },
  { name: "anomaly detection", state: "not_built", detail: "nothing is judged anomalous" },
];

function roomComponents(rooms: readonly ComponentState[]): readonly ComponentState[] {
  const present = new Set(rooms.map((room) => room.name));
  return [...rooms, ...NEEDED.filter((needed) => !present.has(needed.name))];
}

/** Said only where there are workers: without, the deciding thread is all there is. */
function transportComponent(
  workers: TransportStatus | undefined,
): MessageInitShape<typeof ComponentStatusSchema>[] {
  if (workers === undefined) return [];
  const { configured, running, replaced, last_failure } = workers;
  const detail = `${running} of ${configured} worker(s) accept` +
    (replaced === 0 ? "" : `; ${replaced} ended and were replaced, the last: ${last_failure}`);
  const state = running === 0 ? "unavailable" : running < configured ? "degraded" : "enforcing";
  return [{ name: "transport workers", state, detail }];
}

function workerCounters(workers: TransportStatus | undefined): Record<string, bigint> {
  if (workers === undefined) return {};
  return {
    "transport_workers.configured": BigInt(workers.configured),
    "transport_workers.running": BigInt(workers.running),
    "transport_workers.replaced": BigInt(workers.replaced),
  };
}

function named(counted: Record<string, bigint>, prefix: string): Record<string, bigint> {
  return Object.fromEntries(
    Object.entries(counted)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );
}

function unnamed(counted: Record<string, bigint>, prefix: string): Record<string, bigint> {
  return Object.fromEntries(Object.entries(counted).filter(([name]) => !name.startsWith(prefix)));
}

function transportCounters({ refused, ...plain }: ServerStats): Record<string, bigint> {
  const all = [...Object.entries(plain), ...Object.entries(refused)];
  return Object.fromEntries(all.map(([name, value]) => [`transport.${name}`, BigInt(value)]));
}
