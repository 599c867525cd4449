/**
 * The room of notifications: tells the configured webhooks of approvals and of agents' status.
 *
 * @module
 */
import type { ApprovalRequest } from "../../core/approval/mod.ts";
import { targetText } from "../../core/approval/mod.ts";
import type { ApprovalNotice } from "../approvals/watch.ts";
import { clean } from "../engine/evidence.ts";
import type { Channel, NotificationEvent } from "../notify/channel.ts";
import { post, type PostRequest } from "../notify/http_post.ts";
import { NOTIFY_LIMITS } from "../notify/limits.ts";
import { Notifier } from "../notify/notifier.ts";
import type { NotifyConfig } from "../config.ts";
import type { ApprovalsRoom } from "./approvals.ts";
import type { House, Room } from "./room.ts";

/** What the room needs of the house. */
export type NotificationsHouse = Pick<
  House,
  "config" | "store" | "audit" | "registry" | "counters" | "clock"
>;

/** What may be set from outside. */
export interface NotificationsOptions {
  /** @default one POST over the network */
  readonly post?: (request: PostRequest) => Promise<number>;
  /** Whether the room keeps its own time. @default true */
  readonly timer?: boolean;
  /** @default the platform's CSPRNG */
  readonly random?: (bytes: number) => Uint8Array;
}

/** The open room. */
export interface NotificationsRoom extends Room {
  /** Tells every channel; never rejects, and waits for no delivery. Payloads hold names, no content. */
  notify(event_type: string, payload: NotificationEvent["payload"]): Promise<void>;
  /** Delivers what is due. */
  tick(): Promise<void>;
}

/**
 * Opens the room.
 *
 * @throws {Error} naming the secret file, when it cannot be used.
 */
export async function openNotifications(
  house: NotificationsHouse,
  approvals: Pick<ApprovalsRoom, "queue">,
  options: NotificationsOptions = {},
): Promise<NotificationsRoom> {
  const { store, audit, registry, counters, clock, config } = house;
  const channels = await channelsOf(config.notify);
  const notifier = await Notifier.open({
    store,
    record: (entry) => audit.append(entry),
    counters,
    clock,
    channels,
    post: options.post ?? ((request) => post(request)),
    random: options.random ?? ((bytes) => crypto.getRandomValues(new Uint8Array(bytes))),
  });
  const tick = () => notifier.tick();
  const deaf = [
    approvals.queue.watchers.listen((notice) => {
      const told = approvalEvent(notice);
      if (told !== undefined) void notifier.notify(told.event_type, told.payload);
    }),
    registry.onApplied(({ before, after, reason }) => {
      const [old_status, new_status] = [before?.state.status ?? "", after.state.status];
      if (old_status === new_status) return;
      const agent_id = clean(after.agent_id);
      const payload = { agent_id, old_status, new_status, reason: clean(reason) };
      void notifier.notify("agent.status_changed", payload);
    }),
  ];
  const timer = options.timer === false || channels.length === 0 ? undefined : setInterval(() => {
    tick().catch(() => counters.add("notification_ticks_failed"));
  }, NOTIFY_LIMITS.tick_ms);
  if (timer !== undefined) Deno.unrefTimer(timer);
  return {
    notify: (event_type, payload) => notifier.notify(event_type, payload),
    tick,
    serve: () => [],
    components: () => channels.length === 0 ? [] : [componentOf(notifier, channels)],
    close: async () => {
      clearInterval(timer);
      for (const stop of deaf) stop();
      await notifier.close();
    },
  };
}

/** What is told of an approval: who asks to do what until when, and nothing of the arguments. */
function approvalEvent(
  { change, request }: ApprovalNotice,
): Pick<NotificationEvent, "event_type" | "payload"> | undefined {
  switch (change) {
    case "submitted":
    case "escalated":
    case "forwarded":
      return {
        event_type: "approval.requested",
        payload: {
          ...factsOf(request),
          expires_at_unix_ms: request.expires_at_ms,
          routing_status: request.routing_status,
          for: request.targets.map(targetText),
        },
      };
    case "approved":
    case "rejected":
    case "expired":
    case "revoked":
      return {
        event_type: "approval.resolved",
        payload: { ...factsOf(request), status: request.state.status },
      };
    default:
      return undefined;
  }
}

function factsOf(request: ApprovalRequest): Record<string, string | number> {
  return {
    approval_id: request.request_id,
    agent_id: clean(request.requester.agent_id),
    team_id: clean(request.requester.team_id ?? ""),
    action_kind: request.action_kind,
    resource: clean(request.resource),
    digest: request.call.digest,
  };
}

function componentOf(notifier: Notifier, channels: readonly Channel[]) {
  const { queued, last_failure } = notifier.status;
  const names = channels.map(({ name, url }) => `${name} (${url.host})`).join(", ");
  const failed = last_failure === "" ? "" : `; last failure: ${last_failure}`;
  return {
    name: "notifications",
    state: last_failure !== "" && queued > 0 ? "degraded" : "enforcing",
    detail: `${names}: ${queued} waiting${failed}`,
  };
}

async function channelsOf(config: NotifyConfig | undefined): Promise<readonly Channel[]> {
  if (config === undefined) return [];
  const { webhook, slack, allow_private } = config;
  const channels: Channel[] = [];
  if (webhook !== undefined) {
    const secret = await readSecret(webhook.secret_file);
    channels.push({ name: "webhook", url: new URL(webhook.url), allow_private, secret });
  }
  if (slack !== undefined) {
    channels.push({ name: "slack", url: new URL(slack.url), allow_private });
  }
  return channels;
}

/** The file's bytes without trailing line ends, so that `echo` and an editor make the same secret. */
async function readSecret(path: string): Promise<Uint8Array> {
  const { secret_least_bytes, secret_bytes } = NOTIFY_LIMITS;
  let text: Uint8Array;
  try {
    const { size } = await Deno.stat(path);
    if (size > secret_bytes) throw new Error(`is larger than ${secret_bytes} bytes`);
    text = await Deno.readFile(path);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot read the webhook secret \`${path}\`: ${cause}`, { cause: error });
  }
  let end = text.length;
  while (end > 0 && (text[end - 1] === 0x0a || text[end - 1] === 0x0d)) end--;
  if (end >= secret_least_bytes) return text.slice(0, end);
  throw new Error(
    `cannot use the webhook secret \`${path}\`: it has ${end} bytes, expected at least ${secret_least_bytes}`,
  );
}
