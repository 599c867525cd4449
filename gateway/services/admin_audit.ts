/**
 * The audit log as operators read it: entries, checkpoint, proofs, tiles.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { GATEWAY, isBound } from "../../core/iam/permits.ts";
import { eventTypesOf } from "../../core/audit/entry.ts";
import { decodeBundle, TILE_WIDTH, tilePath } from "../../core/audit/tiles.ts";
import type { AuditFilter, AuditLog } from "../audit/log.ts";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type AdminService,
  AuditEntrySchema,
  GetCheckpointResponseSchema,
  type ListAuditEntriesRequest,
  ListAuditEntriesResponseSchema,
  ProveEntryResponseSchema,
  ReadLogResourceResponseSchema,
} from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { hash16Hex } from "../identity/keys.ts";
import { type AdminDependencies, type Authorise, invalid } from "./admin.ts";
import { findAgent } from "./admin_agents.ts";

type AuditAdministration = Pick<
  ServiceHandlers<typeof AdminService>,
  "listAuditEntries" | "tailAudit" | "getCheckpoint" | "proveEntry" | "readLogResource"
>;

const LIST_MAX = 1_000;
const LIST_DEFAULT = 50;
const BACKLOG_MAX = 10_000;

/** Event types of a wire decision word. */
const EVENTS_OF_DECISION: Readonly<Record<string, AuditFilter["event_types"]>> = {
  allow: ["ToolCallIntercepted", "A2ACallIntercepted"],
  deny: ["PolicyViolation", "A2AImpersonationAttempted"],
  redact: ["CredentialLeakBlocked"],
  pending: ["ApprovalRequested"],
};

/** Handlers that read the log. */
export function auditAdministration(
  on: AdminDependencies,
  authorise: Authorise,
): AuditAdministration {
  const { audit } = on;
  return {
    listAuditEntries: async (request, context) => {
      const operator = authorise(context, "audit.read");
      // The log holds every tenant's entries: who is bound to one reads those of its own agents.
      if (isBound(operator)) {
        if (request.agent === "") authorise(context, "audit.read", GATEWAY);
        authorise.owns(operator, "audit.read", findAgent(on.registry, request.agent));
      }
      const result = await audit.list(filterOf(request));
      return create(ListAuditEntriesResponseSchema, {
        entries: result.entries.map((entry) => ({ seq: entry.seq, json: entry.line })),
        scanLimitReached: result.scan_limit_reached,
      });
    },
    tailAudit: async function* (request, context) {
      authorise(context, "audit.read", GATEWAY);
      const backlog = Math.min(request.backlog, BACKLOG_MAX);
      for await (const entry of audit.tail({ backlog, signal: context.signal })) {
        yield create(AuditEntrySchema, { seq: entry.seq, json: entry.line });
      }
    },
    getCheckpoint: async (_request, context) => {
      authorise(context, "audit.read");
      return create(GetCheckpointResponseSchema, {
        note: await audit.checkpoint(),
        verifierKey: audit.status().verifier_key,
      });
    },
    proveEntry: async ({ index }, context) => {
      authorise(context, "audit.read", GATEWAY);
      try {
        const proof = await audit.prove(index);
        const json = await entryAt(audit, Number(index));
        return create(ProveEntryResponseSchema, {
          proof,
          verifierKey: audit.status().verifier_key,
          ...(json === undefined ? {} : { entry: { seq: index, json } }),
        });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new GrpcError(error.message, Code.OUT_OF_RANGE, { cause: error });
      }
    },
    readLogResource: async ({ path }, context) => {
      authorise(context, "audit.read", GATEWAY);
      try {
        const content = await audit.readResource(path);
        return create(ReadLogResourceResponseSchema, {
          content: content ?? new Uint8Array(),
          found: content !== undefined,
        });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw invalid(`path: ${error.message}`);
      }
    },
  };
}

/** The line of an entry that a checkpoint covers, from its bundle: full, or the newest partial one. */
async function entryAt(audit: AuditLog, index: number): Promise<string | undefined> {
  const bundle = Math.floor(index / TILE_WIDTH);
  const size = audit.status().checkpoint?.size ?? 0;
  const width = Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH);
  const bytes =
    await audit.readResource(tilePath({ kind: "entries", level: 0, index: bundle, width })) ??
      await audit.readResource(
        tilePath({ kind: "entries", level: 0, index: bundle, width: TILE_WIDTH }),
      );
  const line = bytes && decodeBundle(bytes)?.[index % TILE_WIDTH];
  return line && new TextDecoder().decode(line);
}

function filterOf(request: ListAuditEntriesRequest): AuditFilter {
  const agent = request.agent;
  const events = eventsOf(request);
  return {
    limit: Math.min(request.limit === 0 ? LIST_DEFAULT : request.limit, LIST_MAX),
    ...(agent === ""
      ? {}
      : { agent_id_hex: /^[0-9a-f]{32}$/.test(agent) ? agent : hash16Hex(agent) }),
    ...(events === undefined ? {} : { event_types: events }),
    ...(request.sinceUnixMs === 0n ? {} : { since_ns: request.sinceUnixMs * 1_000_000n }),
    ...(request.untilUnixMs === 0n ? {} : { until_ns: request.untilUnixMs * 1_000_000n }),
  };
}

function eventsOf(request: ListAuditEntriesRequest): AuditFilter["event_types"] {
  const { decision, eventType } = request;
  if (decision !== "" && EVENTS_OF_DECISION[decision] === undefined) {
    throw invalid(
      `decision: cannot be \`${decision.slice(0, 32)}\`: expected allow, deny, redact or pending`,
    );
  }
  const by_decision = EVENTS_OF_DECISION[decision];
  if (eventType === "") return by_decision;
  const by_type = eventTypesOf(eventType);
  if (by_type === undefined) {
    throw invalid(`event_type: unknown event type or group \`${eventType.slice(0, 64)}\``);
  }
  return by_decision === undefined ? by_type : by_type.filter((type) => by_decision.includes(type));
}
