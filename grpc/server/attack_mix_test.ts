import assert from "node:assert/strict";
import { attack, ATTACKS, STRANGERS } from "../testing/attacks.ts";
import { Neighbour } from "../testing/neighbour.ts";
import { RawPeer } from "../testing/raw_peer.ts";
import type { VictimReport } from "../testing/victim.ts";

const VICTIM = new URL("../testing/victim.ts", import.meta.url).pathname;
const ROUNDS = 3;
/** A fresh server takes about 70 MB; what the attacks of one round send is more than this. */
const RSS_BYTES_MAX = 256 * 1024 * 1024;

/** The attacked process. */
class Victim {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stderr: Promise<string>;
  #rest = "";

  /** @param socket where it listens besides its port */
  constructor(socket: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-net", "--allow-read", "--allow-write", VICTIM, socket],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stdin = this.#child.stdin.getWriter();
    this.#stderr = new Response(this.#child.stderr).text();
  }

  async line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { done, value } = await this.#lines.read();
      if (done) assert.fail(`the server process has died: ${await this.#stderr}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  async report(): Promise<VictimReport> {
    await this.#stdin.write(Uint8Array.of(10));
    return JSON.parse(await this.line());
  }

  /** Ends the process; how it ended and what it complained of. */
  async stop(): Promise<{ code: number; stderr: string }> {
    await this.#stdin.close();
    const { code } = await this.#child.status;
    await this.#lines.cancel();
    return { code, stderr: await this.#stderr };
  }
}

Deno.test("a server under every attack at once lives, serves, and stays small", async () => {
  const folder = await Deno.makeTempDir();
  const socket = `${folder}/grpc.sock`;
  const victim = new Victim(socket);
  const port = Number(await victim.line());
  // Not of the address that takes all it can.
  const neighbour = await Neighbour.start(socket);

  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all([
      ...Object.values(ATTACKS).map((run) => attack(port, run, true)),
      ...Object.values(STRANGERS).map((run) => attack(port, run, false)),
    ]);
    const report = await victim.report();
    assert.ok(report.rss_bytes < RSS_BYTES_MAX, `${report.rss_bytes} bytes after round ${round}`);
  }
  await neighbour.stop();
  // Only handlers that never end are left; every connection, buffer and message is gone.
  let last = await victim.report();
  const deadline_ms = Date.now() + 5000;
  while (last.connections_open > 0 && Date.now() < deadline_ms) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    last = await victim.report();
  }
  assert.equal(last.connections_open, 0);
  assert.equal(last.buffered_bytes, 0);
  assert.equal(last.pending_bytes, 0);
  assert.ok(last.calls_held <= 1000, `${last.calls_held} calls are held`);
  const bounds_met = [
    ...["resets", "continuation_frames", "control_frames", "hpack", "flow_control", "protocol"],
    ...["header_list_bytes", "http_method", "frame_timeout", "handshake_timeout"],
    ...["settings_timeout", "window_stall_timeout", "window_updates", "calls_per_address"],
  ];
  for (const name of bounds_met) assert.ok((last.refused[name] ?? 0) > 0, `\`${name}\` never met`);
  const client = await RawPeer.open(socket);
  await client.send(client.unary(1, [0x0a, 2, 0x68, 0x69]));
  assert.equal((await client.response(1))["grpc-status"], "0");
  client.close();
  assert.deepEqual(await victim.stop(), { code: 0, stderr: "" });
  await Deno.remove(folder, { recursive: true });
});
