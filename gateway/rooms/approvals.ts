/**
 * The room of approvals: the queue, its part of decisions, the reference's service and our own.
 *
 * @module
 */
import type { ApprovalRequest, RoutingRow } from "../../core/approval/mod.ts";
import { readRouting } from "../../core/approval/mod.ts";
import { ApprovalService } from "../../proto/gen/assembly/approval/v1/approval_pb.ts";
import { ApprovalAdminService } from "../../proto/gen/assembly/admin/v1/approvals_pb.ts";
import { QUEUE_LIMITS } from "../approvals/limits.ts";
import { newResumeToken, QueuedApprovals } from "../approvals/part.ts";
import { ApprovalQueue } from "../approvals/queue.ts";
import { ShownTexts } from "../approvals/shown_texts.ts";
import { approvalHandlers } from "../services/approval.ts";
import { approvalAdminHandlers } from "../services/approval_admin.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { House, Room } from "./room.ts";

/** What the room needs of the house. */
export type ApprovalsHouse = Pick<
  House,
  "store" | "audit" | "registry" | "operators" | "policy" | "counters" | "clock"
>;

/** What may be set from outside. */
export interface ApprovalsOptions {
  /** Rows of the routing file; none: roles decide. */
  readonly routing?: readonly RoutingRow[];
  /** Operator who answers for an agent. @default nobody does */
  readonly ownerOf?: (agent: AgentRecord) => string | undefined;
  /** UUIDs and resume tokens. @default the platform's CSPRNG */
  readonly random?: { readonly uuid: () => string; readonly token: () => string };
  /** Whether the room keeps its own time. @default true; a simulation calls `tick` itself */
  readonly timer?: boolean;
}

/** The open room. */
export interface ApprovalsRoom extends Room {
  readonly queue: ApprovalQueue;
  readonly part: QueuedApprovals;
  /**
   * Calls `listener` when a request has ended or been approved, timeouts and revocations included
   * (trap 59); the result ends the subscription.
   */
  onResolved(listener: (request: ApprovalRequest) => void): () => void;
  /** Makes what has become due happen. */
  tick(): Promise<void>;
}

const RESOLUTIONS: ReadonlySet<string> = new Set(["approved", "rejected", "expired", "revoked"]);

/** The operator whose enrolment an agent registered under answers for it. */
export function enrolledBy(
  { enrolments }: Pick<House, "enrolments">,
): (agent: AgentRecord) => string | undefined {
  return ({ enrolment_id }) => {
    const by = enrolment_id === undefined ? undefined : enrolments.byId(enrolment_id)?.created_by;
    return by?.startsWith("operator:") === true ? by.slice("operator:".length) : undefined;
  };
}

/** Opens the room. A stored queue that cannot be understood opens as one that refuses. */
export async function openApprovals(
  house: ApprovalsHouse,
  options: ApprovalsOptions = {},
): Promise<ApprovalsRoom> {
  const { store, audit, registry, policy, counters, clock } = house;
  const queue = await ApprovalQueue.open({ store, clock, record: (entry) => audit.append(entry) });
  const texts = new ShownTexts();
  const part = new QueuedApprovals({
    queue,
    texts,
    routing: options.routing ?? [],
    agentByKey: (key) => registry.byKey(key),
    ownerOf: options.ownerOf ?? (() => undefined),
    documentOf: (digest) =>
      policy.current.documents.find(({ document }) => document.digest === digest)?.document,
    random: options.random ?? { uuid: () => crypto.randomUUID(), token: newResumeToken },
  });
  const forget = registry.onApplied(({ after }) => {
    if (isGone(after)) void revokeAllOf(queue, after.key);
  });
  const tick = () => queue.tick();
  const timer = options.timer === false ? undefined : setInterval(() => {
    tick().catch(() => counters.add("approval_ticks_failed"));
  }, QUEUE_LIMITS.tick_ms);
  if (timer !== undefined) Deno.unrefTimer(timer);
  return {
    queue,
    part,
    parts: { approvals: part },
    tick,
    onResolved: (listener) =>
      queue.watchers.listen(({ change, request }) => {
        if (RESOLUTIONS.has(change)) listener(request);
      }),
    serve: (server) => {
      server.addService(ApprovalService, approvalHandlers({ queue, registry, counters }));
      server.addService(ApprovalAdminService, approvalAdminHandlers({ ...house, queue, texts }));
      return [ApprovalService.typeName];
    },
    components: () => [componentOf(queue, part)],
    hush: () => queue.watchers.stop(),
    close: async () => {
      clearInterval(timer);
      forget();
      await queue.close();
    },
  };
}

function isGone({ state }: AgentRecord): boolean {
  return state.status === "deregistered" ||
    (state.status === "suspended" && state.cause === "killed");
}

/** Who is gone asks for nothing: neither a pending request nor an unused grant outlives its agent. */
async function revokeAllOf(queue: ApprovalQueue, agent_key: string): Promise<void> {
  const { book } = queue;
  if ("ok" in book) return;
  const own = [...book.liveRequests()].filter(({ requester }) => requester.key === agent_key);
  await Promise.all(
    own.map(({ request_id }) =>
      queue.revoke(request_id, "gateway", "the agent's registration ended")
    ),
  );
}

function componentOf(queue: ApprovalQueue, part: QueuedApprovals) {
  const { state, detail, pending, approved } = queue.status();
  if (state === "damaged") return { name: "approvals", state: "unavailable", detail };
  return {
    name: "approvals",
    state: "enforcing",
    detail: `${pending} pending, ${approved} approved and unused, ${part.waiting} calls waiting`,
  };
}

/**
 * Reads a routing file.
 *
 * @throws {Error} naming the file and the row, when it says what is not understood.
 */
export async function loadRouting(path: string | undefined): Promise<readonly RoutingRow[]> {
  if (path === undefined) return [];
  let text: string;
  try {
    const { size } = await Deno.stat(path);
    if (size > ROUTING_FILE_BYTES_MAX) {
      throw new Error(`is larger than ${ROUTING_FILE_BYTES_MAX} bytes`);
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot read approval routing \`${path}\`: ${cause}`, { cause: error });
  }
  const read = readRouting(text);
  if (read.ok) return read.rows;
  throw new Error(`cannot use approval routing \`${path}\`: ${read.message}`);
}

/** Size of the routing file. Larger: the gateway does not start. */
export const ROUTING_FILE_BYTES_MAX = 4 * 1024 * 1024;
