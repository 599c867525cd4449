import assert from "node:assert/strict";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { chainProblem, GENESIS, headAfter } from "../../core/audit/chain.ts";
import { parseLine } from "../../core/audit/line.ts";
import { ManualTimers, SeenMetrics, until, withFolder } from "../_fixture.ts";
import { eventOf } from "../pipeline/_pipeline_fixture.ts";
import { storedBytes } from "../pipeline/stored_copy.ts";
import { openSpool, type Spool } from "../spool/spool.ts";
import type { NatsConfig } from "./config.ts";
import { NatsLink } from "./connection.ts";
import { NATS_RETRY_MS, NatsPublisher } from "./publisher.ts";

const AGENT = { agent_id: "agent-1", team_id: "", org_id: "acme" };

/** Whether the server's program is here; in CI its absence is a failure. */
async function available(test: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("nats-server", {
      args: ["--version"],
      stdout: "null",
      stderr: "null",
    }).output();
    if (success) return true;
  } catch {
    // Not there.
  }
  const reason = "nats-server is not installed";
  if (Deno.env.get("CI") === "true") assert.fail(`${test}: ${reason}`);
  await Deno.stdout.write(new TextEncoder().encode(`SKIPPED: ${test}: ${reason}\n`));
  return false;
}

/** A real server with JetStream on a private port and folder, that can be killed and come back. */
class Server implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #arguments: readonly string[];
  #child: Deno.ChildProcess | undefined;

  constructor(folder: string, ...args: string[]) {
    this.#folder = folder;
    this.#arguments = args;
    const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = probe.addr.port;
    probe.close();
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  start(token?: string): Promise<void> {
    return this.startWith(async () => (await this.client(token)).close());
  }

  /** Starts the program and tries until it takes a client. */
  async startWith(attempt: () => Promise<void>): Promise<void> {
    const at = ["-a", "127.0.0.1", "-p", String(this.port), "-js", "-sd", `${this.#folder}/js`];
    this.#child = new Deno.Command("nats-server", {
      args: [...at, ...this.#arguments],
      stdout: "null",
      stderr: "null",
    }).spawn();
    await until(async () => {
      try {
        await attempt();
        return true;
      } catch {
        return false;
      }
    }, "the server");
  }

  client(token?: string): Promise<NatsConnection> {
    return connect({
      servers: `127.0.0.1:${this.port}`,
      reconnect: false,
      ...(token === undefined ? {} : { token }),
    });
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
    this.#child = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child !== undefined) await this.kill();
  }
}

/** Publishes one message over a connection of its own. */
async function publishOne(config: NatsConfig): Promise<void> {
  const link = new NatsLink(config);
  try {
    const message = { subject: "assembly.audit.a.b", text: "{}", message_id: "1" };
    await link.publish([message], new AbortController().signal);
  } finally {
    await link.close();
  }
}

const text = new TextDecoder();

/** A stream over all audit subjects, as the gateway's consumer expects it. */
async function makeStream(client: NatsConnection): Promise<void> {
  const config = { name: "AUDIT", subjects: ["assembly.audit.>"], storage: "file" };
  await client.request("$JS.API.STREAM.CREATE.AUDIT", JSON.stringify(config));
}

async function countIn(client: NatsConnection): Promise<number> {
  const answer = await client.request("$JS.API.STREAM.INFO.AUDIT");
  return JSON.parse(text.decode(answer.data)).state?.messages ?? 0;
}

async function readStream(client: NatsConnection): Promise<{ subject: string; line: string }[]> {
  const all: { subject: string; line: string }[] = [];
  for (let seq = 1; seq <= await countIn(client); seq++) {
    const answer = await client.request("$JS.API.STREAM.MSG.GET.AUDIT", JSON.stringify({ seq }));
    const { message } = JSON.parse(text.decode(answer.data));
    all.push({ subject: message.subject, line: text.decode(Uint8Array.fromBase64(message.data)) });
  }
  return all;
}

function openAt(folder: string): Promise<Spool> {
  return openSpool({
    path: `${folder}/spool.db`,
    uid: Deno.uid(),
    readers: [{ name: "nats", role: "mirror" }],
    timers: new ManualTimers(),
    newId: () => crypto.randomUUID(),
  });
}

async function append(spool: Spool, from: number, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, index) => {
    const event = eventOf({
      eventId: `event-${from + index}`,
      agentId: { agentId: "agent-1", orgId: "acme" },
    });
    return spool.append(
      "event",
      storedBytes(event, {
        received_at_ms: 1_700_000_000_000 + from + index,
        source: "sdk",
        connection_id: 1,
        sequence: from + index,
        claimed_agent_id: "",
        forged_trust_markers: 0,
      }, false),
    );
  }));
}

function publisherOf(spool: Spool, url: string, timers: ManualTimers, metrics: SeenMetrics) {
  return NatsPublisher.open({ url, max_inflight: 64 }, {
    agent: AGENT,
    spool,
    metrics,
    timers,
    random: () => 0,
  });
}

Deno.test("a server killed in mid-stream: what waits is on disk, then all comes in order, once, as one chain", async () => {
  if (!await available("NATS publisher over a killed server")) return;
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    const metrics = new SeenMetrics();
    await using server = new Server(folder);
    await server.start();
    const client = await server.client();
    await makeStream(client);
    {
      await using spool = await openAt(folder);
      await using publisher = await publisherOf(spool, server.url, timers, metrics);
      await append(spool, 0, 150);
      await until(async () => await countIn(client) === 150, "the first part");
      await until(() => metrics.count("aa_audit_published_total") === 150, "all confirmed");
      assert.equal(publisher.status.state, "connected");
      await client.close();
      await server.kill();
      await append(spool, 150, 50);
      await until(() => metrics.count("aa_audit_publish_errors_total") > 0, "the loss noticed");
      assert.equal(publisher.status.state, "away");
      assert.ok(metrics.count("aa_audit_buffered_total") > 0);
      assert.ok(spool.status.kept_rows >= 50);
    }
    // The runtime restarts while the server is away; then the server comes back.
    await using spool = await openAt(folder);
    await using publisher = await publisherOf(spool, server.url, timers, metrics);
    await append(spool, 200, 20);
    await until(() => publisher.status.state === "away" && timers.waits_ms().length > 0, "away");
    await server.start();
    const again = await server.client();
    await until(async () => {
      await timers.pass(NATS_RETRY_MS);
      return await countIn(again) >= 220 && spool.status.kept_rows === 0;
    }, "everything published");
    const messages = await readStream(again);
    await again.close();
    assert.equal(messages.length, 220, "each entry once");
    let head = GENESIS;
    for (const [index, { line, subject }] of messages.entries()) {
      const entry = parseLine(line);
      assert.equal(chainProblem(entry, head), undefined, `entry ${index}`);
      head = headAfter(entry.seq, entry.entry_hash.toHex());
      assert.equal(JSON.parse(entry.payload).event_id, `event-${index}`);
      assert.match(subject, /^assembly\.audit\.acme\.[0-9a-f]{8}-/);
    }
    assert.ok(metrics.count("aa_audit_flushed_total") > 0);
  });
});

Deno.test("a message that is published twice is once in a stream", async () => {
  if (!await available("NATS message ids")) return;
  await withFolder(async (folder) => {
    await using server = new Server(folder);
    await server.start();
    const client = await server.client();
    await makeStream(client);
    const link = new NatsLink({ url: server.url, max_inflight: 1 });
    const message = { subject: "assembly.audit.acme.x", text: "{}", message_id: "spool-1" };
    for (let round = 0; round < 3; round++) {
      await link.publish([message], new AbortController().signal);
    }
    await until(async () => await countIn(client) === 1, "stored");
    await link.close();
    await client.close();
  });
});

Deno.test("a token is used, a wrong one is a named state, and neither is shown", async () => {
  if (!await available("NATS token")) return;
  await withFolder(async (folder) => {
    await using server = new Server(folder, "--auth", "right-token");
    await server.start("right-token");
    const { signal } = new AbortController();
    const message = { subject: "assembly.audit.a.b", text: "{}", message_id: "1" };
    const wrong = new NatsLink({ url: server.url, token: "wrong-token", max_inflight: 1 });
    await assert.rejects(wrong.publish([message], signal), (error: Error) => {
      assert.match(error.message, /no connection to `127\.0\.0\.1:\d+`: .*[Aa]uthori[sz]ation/);
      assert.doesNotMatch(error.message, /-token/);
      return true;
    });
    await wrong.close();
    const right = new NatsLink({ url: server.url, token: "right-token", max_inflight: 1 });
    await right.publish([message], signal);
    await right.close();
  });
});

Deno.test("over TLS the server's authority is checked, and a server without TLS is refused", async () => {
  if (!await available("NATS over TLS")) return;
  await withFolder(async (folder) => {
    const at = (name: string) => new URL(`../../grpc/testdata/${name}`, import.meta.url).pathname;
    const tls = ["--tls", "--tlscert", at("server.pem"), "--tlskey", at("server.key")];
    await using server = new Server(
      folder,
      ...tls,
      "--tlsverify",
      "--tlscacert",
      at("authority.pem"),
    );
    const files = { ca: at("authority.pem"), cert: at("agent.pem"), key: at("agent.key") };
    await server.startWith(() => publishOne({ url: server.url, max_inflight: 1, tls: files }));
    await publishOne({ url: server.url, max_inflight: 1, tls: files });
    const { cert, key } = files;
    for (const wrong of [{ ca: at("agent.pem"), cert, key }, { ca: files.ca }]) {
      await assert.rejects(
        publishOne({ url: server.url, max_inflight: 1, tls: wrong }),
        /no connection/,
      );
    }
    await using plain = new Server(`${folder}/plain`);
    await plain.start();
    await assert.rejects(
      publishOne({ url: plain.url, max_inflight: 1, tls: files }),
      /no connection/,
    );
  });
});

Deno.test("a subject that the server does not allow is a failure, not a loss", async () => {
  if (!await available("NATS permissions")) return;
  await withFolder(async (folder) => {
    const rules = `no_auth_user: agent\nauthorization { users: [{ user: agent, password: x, ` +
      `permissions: { publish: "other.>" } }] }`;
    await Deno.writeTextFile(`${folder}/server.conf`, rules);
    await using server = new Server(folder, "-c", `${folder}/server.conf`);
    await server.start();
    const link = new NatsLink({ url: server.url, max_inflight: 1 });
    const message = { subject: "assembly.audit.a.b", text: "{}", message_id: "1" };
    await assert.rejects(
      link.publish([message], new AbortController().signal),
      /the server refused: .*[Pp]ermission/,
    );
    await link.close();
  });
});

Deno.test("no server at all: the state says so, the records wait, and closing does not hang", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    const metrics = new SeenMetrics();
    const unused = new Server(folder);
    await using spool = await openAt(folder);
    const publisher = await publisherOf(spool, unused.url, timers, metrics);
    await append(spool, 0, 3);
    await until(() => timers.waits_ms().length > 0, "a failed try");
    const { status } = publisher;
    assert.ok(status.state === "away" && status.detail.includes("connection refused"));
    await publisher.close();
    assert.equal(spool.status.kept_rows, 3);
    assert.equal(metrics.count("aa_audit_buffered_total"), 3);
  });
});
