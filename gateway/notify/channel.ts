/**
 * The two forms a notification is sent in: the reference's webhook envelope, signed, and a message
 * that Slack takes (contract `policy-and-gateway` §8.6).
 *
 * Signature of a webhook: header `aasm-signature: t=<unix seconds>,v1=<hex>`, where `v1` is
 * HMAC-SHA256, keyed with the secret, over `<t>.<body>`. A receiver recomputes it over the raw body,
 * compares in constant time, refuses a `t` more than five minutes off, and drops an `event_id` it has
 * seen: a delivery may come more than once.
 *
 * @module
 */
import { createHmac } from "node:crypto";

/** What happened. */
export interface NotificationEvent {
  /** UUID v7. */
  readonly event_id: string;
  /** `approval.requested`, `approval.resolved`, `budget.threshold_hit`, `agent.status_changed`. */
  readonly event_type: string;
  readonly published_at_ms: number;
  /** Texts and numbers that name things; never arguments, prompts or secrets. */
  readonly payload: Readonly<Record<string, string | number | readonly string[]>>;
}

/** One place that is told. */
export interface Channel {
  /** `webhook` or `slack`; also how the queue knows it. */
  readonly name: ChannelName;
  readonly url: URL;
  readonly allow_private: boolean;
  /** Bytes that sign; absent for Slack, which knows its sender by the URL. */
  readonly secret?: Uint8Array;
}

/** The channels there are. */
export type ChannelName = "webhook" | "slack";

/** The body of an event for a channel. */
export function bodyFor(channel: ChannelName, event: NotificationEvent): string {
  return channel === "webhook" ? envelope(event) : slackMessage(event);
}

/** The headers that go with a body. */
export function headersFor(
  { secret }: Pick<Channel, "secret">,
  body: string,
  now_ms: number,
): Record<string, string> {
  const plain = { "content-type": "application/json", "user-agent": "agent-assembly-gateway" };
  if (secret === undefined) return plain;
  const t = Math.floor(now_ms / 1000);
  return { ...plain, "aasm-signature": `t=${t},v1=${signature(secret, t, body)}` };
}

/** HMAC-SHA256 of `<t>.<body>`, lower-case hex. */
export function signature(secret: Uint8Array, t: number, body: string): string {
  return createHmac("sha256", secret).update(`${t}.${body}`, "utf8").digest("hex");
}

function envelope({ event_id, event_type, published_at_ms, payload }: NotificationEvent): string {
  return JSON.stringify({
    event_id,
    event_type,
    published_at: { unix_ms: published_at_ms },
    source: "aa-gateway",
    payload,
  });
}

/** One line of bold title, one line a fact. */
function slackMessage({ event_type, payload }: NotificationEvent): string {
  const title = TITLES[event_type] ?? event_type;
  const facts = Object.entries(payload).map(([name, value]) =>
    `*${slackText(name)}:* ${
      slackText(typeof value === "object" ? value.join(", ") : String(value))
    }`
  );
  return JSON.stringify({
    text: slackText(title),
    blocks: [
      { type: "section", text: { type: "mrkdwn", text: `*${slackText(title)}*` } },
      {
        type: "section",
        text: { type: "mrkdwn", text: facts.join("\n").slice(0, SLACK_CHARS_MAX) },
      },
    ],
  });
}

const TITLES: Readonly<Record<string, string>> = {
  "approval.requested": "An action waits for approval",
  "approval.resolved": "An approval was decided",
  "budget.threshold_hit": "A budget reached a threshold",
  "agent.status_changed": "An agent changed its status",
};

/** Slack refuses a section with more. */
const SLACK_CHARS_MAX = 2_900;

/**
 * Text that Slack shows as it is: an agent chooses its own name, and a name must not page a channel
 * (`<!channel>`), make a link or break the line.
 */
function slackText(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Cf}]+/gu, " ").replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;").replace(/[*_~`]/g, (mark) => `${mark}\u200b`);
}

/** A UUID v7 (RFC 9562 §5.7): ordered by time, unguessable besides. */
export function uuidV7(now_ms: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  bytes.set(random.subarray(0, 16));
  new DataView(bytes.buffer).setBigUint64(
    0,
    (BigInt(Math.trunc(now_ms)) & 0xffff_ffff_ffffn) << 16n,
  );
  bytes[6] = 0x70 | ((random[6] ?? 0) & 0x0f);
  bytes[7] = random[7] ?? 0;
  bytes[8] = 0x80 | ((random[8] ?? 0) & 0x3f);
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
