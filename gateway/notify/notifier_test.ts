import assert from "node:assert/strict";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { Counters } from "../counters.ts";
import { bodyFor, type Channel, headersFor, signature, uuidV7 } from "./channel.ts";
import { PostError, type PostRequest } from "./http_post.ts";
import { NOTIFY_LIMITS } from "./limits.ts";
import { Notifier } from "./notifier.ts";

const NOON_MS = Date.UTC(2026, 0, 7, 12);
const SECRET = new TextEncoder().encode("0123456789abcdef");
const WEBHOOK: Channel = {
  name: "webhook",
  url: new URL("https://hooks.example/x"),
  allow_private: false,
  secret: SECRET,
};
const SLACK: Channel = {
  name: "slack",
  url: new URL("https://hooks.slack.example/T0/SECRET"),
  allow_private: false,
};

class Rig {
  now_ms = NOON_MS;
  readonly sent: PostRequest[] = [];
  readonly entries: EntryDraft[] = [];
  readonly counters = new Counters();
  answer: () => Promise<number> = () => Promise.resolve(200);
  notifier!: Notifier;
  #seed = 0;

  private constructor(readonly store: MemoryStore, readonly channels: readonly Channel[]) {}

  static async create(
    channels: readonly Channel[] = [WEBHOOK],
    store = new MemoryStore(),
  ): Promise<Rig> {
    const rig = new Rig(store, channels);
    await rig.restart();
    return rig;
  }

  async restart(): Promise<void> {
    this.notifier = await Notifier.open({
      store: this.store,
      record: (entry) => Promise.resolve(this.entries.push(entry)),
      counters: this.counters,
      clock: {
        now_ms: () => this.now_ms,
        now_ns: () => BigInt(this.now_ms) * 1_000_000n,
        monotonic_us: () => this.now_ms * 1_000,
      },
      channels: this.channels,
      post: (request) => {
        this.sent.push(request);
        return this.answer();
      },
      random: (bytes) =>
        new Uint8Array(bytes).map((_, at) => {
          if (at === 0) this.#seed += 40_503;
          return this.#seed >> (8 * (at % 4)) & 0xff;
        }),
    });
  }

  async stored(): Promise<number> {
    let count = 0;
    for await (const page of this.store.records("notifications")) count += page.length;
    return count;
  }
}

const PAYLOAD = { approval_id: "r-1", agent_id: "a1", resource: "deploy" };

Deno.test("trap 56: the envelope is the reference's, and signed over time and body", async () => {
  const rig = await Rig.create();
  await rig.notifier.notify("approval.requested", PAYLOAD);
  await rig.notifier.tick();
  const [request] = rig.sent;
  assert.ok(request);
  const body = JSON.parse(request.body);
  assert.match(
    body.event_id,
    /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  assert.deepEqual({ ...body, event_id: "" }, {
    event_id: "",
    event_type: "approval.requested",
    published_at: { unix_ms: NOON_MS },
    source: "aa-gateway",
    payload: PAYLOAD,
  });
  const [, t = "", v1 = ""] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(
    request.headers["aasm-signature"] ?? "",
  ) ?? [];
  assert.equal(Number(t), NOON_MS / 1000);
  const key = await crypto.subtle.importKey(
    "raw",
    SECRET,
    { name: "HMAC", hash: "SHA-256" },
    false,
    [
      "verify",
    ],
  );
  const text = new TextEncoder().encode(`${t}.${request.body}`);
  assert.ok(await crypto.subtle.verify("HMAC", key, Uint8Array.fromHex(v1), text));
  assert.notEqual(signature(SECRET, Number(t), `${request.body} `), v1);
  assert.equal(await rig.stored(), 0, "what is delivered is forgotten");
});

Deno.test("a Slack message shows an agent's name as text: no mention, no link, no new line", () => {
  const event = {
    event_id: "",
    event_type: "approval.requested",
    published_at_ms: 0,
    payload: { agent_id: "<!channel> & <https://evil.example|ok>\n*bold* \u202egnp" },
  };
  const message = JSON.parse(bodyFor("slack", event));
  const text: string = message.blocks[1].text.text;
  assert.ok(!text.includes("<") && !text.includes("\n") && !text.includes("\u202e"));
  assert.ok(text.includes("&lt;!channel&gt; &amp;"));
  assert.equal(message.text, "An action waits for approval");
  assert.equal(headersFor(SLACK, "", 0)["aasm-signature"], undefined);
});

Deno.test("a failed delivery is tried again with growing, jittered pauses, then given up on record", async () => {
  const rig = await Rig.create();
  rig.answer = () => Promise.resolve(503);
  await rig.notifier.notify("approval.requested", PAYLOAD);
  const pauses: number[] = [];
  for (let attempt = 1; attempt < NOTIFY_LIMITS.attempts; attempt++) {
    await rig.notifier.tick();
    assert.equal(rig.sent.length, attempt);
    const from_ms = rig.now_ms;
    while (rig.sent.length === attempt) {
      rig.now_ms += 250;
      await rig.notifier.tick();
    }
    pauses.push(rig.now_ms - from_ms);
  }
  for (const [at, pause] of pauses.entries()) {
    assert.ok(pause <= NOTIFY_LIMITS.backoff_first_ms * 2 ** at + 500, `${pause} at ${at}`);
  }
  assert.ok(Math.max(...pauses) > 4 * (pauses[0] ?? 0));
  assert.equal(rig.notifier.status.queued, 0);
  assert.equal(await rig.stored(), 0);
  const payload = JSON.parse(rig.entries[0]?.payload ?? "{}");
  assert.deepEqual([payload.action, payload.attempts, payload.reason], [
    "notification_abandoned",
    NOTIFY_LIMITS.attempts,
    "answered `503`",
  ]);
});

Deno.test("a redirect, a refusal and a private address are final; too many requests are not", async () => {
  const final = [
    () => Promise.resolve(301),
    () => Promise.resolve(404),
    () => Promise.reject(new PostError("not public", true)),
  ];
  for (const answer of final) {
    const rig = await Rig.create();
    rig.answer = answer;
    await rig.notifier.notify("approval.requested", PAYLOAD);
    await rig.notifier.tick();
    assert.equal(rig.notifier.status.queued, 0);
    assert.equal(rig.entries.length, 1);
  }
  const rig = await Rig.create();
  rig.answer = () => Promise.resolve(429);
  await rig.notifier.notify("approval.requested", PAYLOAD);
  await rig.notifier.tick();
  assert.equal(rig.notifier.status.queued, 1);
});

Deno.test("what is queued survives a restart, without the URL or the secret in the store", async () => {
  const rig = await Rig.create([WEBHOOK, SLACK]);
  await rig.notifier.notify("approval.requested", PAYLOAD);
  let stored = "";
  for await (const page of rig.store.records("notifications")) stored += JSON.stringify(page);
  assert.ok(!stored.includes("SECRET") && !stored.includes("hooks"));
  await rig.notifier.close();
  await rig.store.commit([
    { kind: "put_record", collection: "notifications", key: "odd", value: '{"form":1}' },
  ]);
  await rig.restart();
  assert.equal(rig.notifier.status.queued, 2);
  await rig.notifier.tick();
  assert.deepEqual(rig.sent.map(({ url }) => url.host).toSorted(), [
    "hooks.example",
    "hooks.slack.example",
  ]);
  assert.equal(rig.counters.snapshot()["notifications_unreadable"], 1n);
});

Deno.test("a full queue, a body too large and a store that fails lose no more than they must", async () => {
  const rig = await Rig.create();
  await rig.notifier.notify("approval.requested", { text: "x".repeat(NOTIFY_LIMITS.body_bytes) });
  assert.equal(rig.notifier.status.queued, 0);
  for (let n = 0; n <= NOTIFY_LIMITS.queued_notifications; n++) {
    await rig.notifier.notify("approval.requested", PAYLOAD);
  }
  assert.equal(rig.notifier.status.queued, NOTIFY_LIMITS.queued_notifications);
  assert.equal(rig.counters.snapshot()["notifications_dropped"], 2n);
  await rig.notifier.tick();
  assert.equal(rig.sent.length, NOTIFY_LIMITS.deliveries, "a bounded number at once");
});

Deno.test("a clock that is set back holds no delivery for ever", async () => {
  const rig = await Rig.create();
  rig.answer = () => Promise.resolve(500);
  await rig.notifier.notify("approval.requested", PAYLOAD);
  await rig.notifier.tick();
  rig.now_ms -= 86_400_000;
  rig.answer = () => Promise.resolve(200);
  await rig.notifier.tick();
  assert.equal(rig.notifier.status.queued, 0);
});

Deno.test("ids of notifications are ordered by time", () => {
  const ids = [0, 1, NOON_MS, NOON_MS + 1].map((ms) => uuidV7(ms, new Uint8Array(16).fill(0xff)));
  assert.deepEqual(ids.toSorted(), ids);
  assert.equal(ids[0], "00000000-0000-7fff-bfff-ffffffffffff");
});
