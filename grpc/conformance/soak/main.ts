/**
 * Keeps a server and clients busy while the world around them breaks: processes killed and paused,
 * connections reset and half-closed, packets lost and delayed, the server drained and restarted.
 *
 *     deno run -A grpc/conformance/soak/main.ts [--minutes N] [--long] [--json FILE]
 *                                               [--loopback]
 *
 * Without root, or with `--loopback`, the faults of the network are skipped by name. Everything ends with the run.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { isInstalled, pathOf, progress } from "../peer_process.ts";
import { Child, type Line } from "./child.ts";
import { Network } from "./network.ts";
import { Proxy } from "./proxy.ts";
import {
  type Fault,
  type Growth,
  growthOf,
  recovery_ms,
  type Sample,
  unexpectedStatuses,
} from "./verdict.ts";

const MINUTES = 1.35;
const LONG_MINUTES = 30;
const PYTHON = "/usr/bin/python3";
/** Growth between the second quarter of a process's life and its last; memory breathes. */
const RSS_GROWTH_BYTES_MAX = 32 * 2 ** 20;
const HEAP_GROWTH_BYTES_MAX = 8 * 2 ** 20;
const RECOVERY_MS_MAX = 12_000;
const END_MS_MAX = 60_000;

/** How a client program is started. */
interface ClientSpec {
  readonly name: string;
  readonly python: boolean;
  readonly tls: boolean;
  readonly proxied: boolean;
  readonly calls_per_second: number;
  readonly reconnects: boolean;
  readonly compresses: boolean;
}

const CLIENTS: readonly ClientSpec[] = [
  client("steady", { calls_per_second: 120 }),
  client("proxied", { proxied: true, compresses: true, calls_per_second: 60 }),
  client("tls", { tls: true, reconnects: true, calls_per_second: 60 }),
  client("victim", { calls_per_second: 40 }),
  client("c-core", { python: true, proxied: true, calls_per_second: 30 }),
  client("c-core-tls", { python: true, tls: true, calls_per_second: 30 }),
];

function client(name: string, rest: Partial<ClientSpec>): ClientSpec {
  const base = { python: false, tls: false, proxied: false, calls_per_second: 50 };
  return { ...base, reconnects: false, compresses: false, ...rest, name };
}

/** Something to break, and how to mend it. */
interface Plan {
  readonly name: string;
  readonly lasts_ms: number;
  readonly needs_network: boolean;
  begin(soak: Soak): Promise<void>;
  end(soak: Soak): Promise<void>;
}

const nothing = () => Promise.resolve();

const PLANS: readonly Plan[] = [
  plan("client paused (SIGSTOP)", 3000, (soak) => soak.send("victim", "SIGSTOP"), {
    end: (soak) => soak.send("victim", "SIGCONT"),
  }),
  plan("connections half-closed", 200, (soak) => soak.proxy.tell("half_close")),
  plan("client killed (SIGKILL)", 500, (soak) => soak.replace("victim")),
  plan("packets lost", 5000, (soak) => soak.network.lose(), {
    end: (soak) => soak.network.mend(),
    needs_network: true,
  }),
  plan("connections reset", 200, (soak) => soak.proxy.tell("reset")),
  plan("server paused (SIGSTOP)", 3000, (soak) => soak.send("server", "SIGSTOP"), {
    end: (soak) => soak.send("server", "SIGCONT"),
  }),
  plan("packets delayed", 5000, (soak) => soak.network.delay(), {
    end: (soak) => soak.network.mend(),
    needs_network: true,
  }),
  plan("C-core client killed (SIGKILL)", 500, (soak) => soak.replace("c-core-tls")),
  plan("network cut", 4000, (soak) => soak.network.cut(), {
    end: (soak) => soak.network.mend(),
    needs_network: true,
  }),
  plan("proxy frozen", 3000, (soak) => soak.proxy.tell("freeze 3")),
];
/** Once, in the middle: each start of the server begins its memory anew. */
const RESTART = plan("server drained and restarted", 100, (soak) => soak.restartServer());

function plan(
  name: string,
  lasts_ms: number,
  begin: (soak: Soak) => Promise<void>,
  rest: { end?: (soak: Soak) => Promise<void>; needs_network?: boolean } = {},
): Plan {
  return { name, lasts_ms, begin, end: rest.end ?? nothing, needs_network: !!rest.needs_network };
}

class Soak {
  readonly network: Network;
  proxy!: Proxy;
  readonly samples: Sample[] = [];
  readonly faults: Fault[] = [];
  readonly mistakes: string[] = [];
  readonly texts = new Map<string, string>();
  readonly #running = new Map<string, Child>();
  readonly #generations = new Map<string, number>();
  #ports = { plain: 0, tls: 0 };
  /** Sockets of a server nobody has connected to. */
  base_sockets = 0;

  constructor(network: Network) {
    this.network = network;
  }

  // Programs

  async start(): Promise<void> {
    await this.#startServer();
    this.base_sockets = this.#running.get("server")?.look()?.sockets ?? 0;
    const { serverHost, clientHost } = this.network;
    const args = [pathOf("soak/proxy.py"), clientHost, serverHost, String(this.#ports.plain)];
    this.proxy = await Proxy.start(this.network.command("client", PYTHON, args));
    for (const spec of CLIENTS) this.#startClient(spec);
    for (const { name } of CLIENTS) await this.#running.get(name)?.line("ready", 30_000);
  }

  async #startServer(): Promise<void> {
    const { plain, tls } = this.#ports;
    const args = [this.network.serverHost, String(plain), String(tls)];
    const child = this.#spawn("server", "server", this.#deno("soak/server.ts", args));
    const ready = await child.line("ready", 30_000);
    this.#ports = { plain: Number(ready["plain"]), tls: Number(ready["tls"]) };
  }

  #startClient(spec: ClientSpec): void {
    const { serverHost, clientHost } = this.network;
    const target = spec.proxied
      ? `${clientHost}:${this.proxy.port}`
      : `${serverHost}:${spec.tls ? this.#ports.tls : this.#ports.plain}`;
    const args = [spec.name, target, spec.tls ? "tls" : "plain", String(spec.calls_per_second)];
    if (spec.python) {
      const all = [pathOf("soak/client.py"), ...args, pathOf("../testdata/authority.pem")];
      this.#spawn(spec.name, "client", [PYTHON, all]);
    } else {
      const mode = [spec.reconnects ? "reconnect" : "", spec.compresses ? "gzip" : ""].join();
      const all = [...args, mode];
      this.#spawn(spec.name, "client", this.#deno("soak/client.ts", all));
    }
  }

  #deno(program: string, args: readonly string[]): [string, string[]] {
    const config = pathOf("../../deno.json");
    return [Deno.execPath(), ["run", "-A", "--config", config, pathOf(program), ...args]];
  }

  #spawn(name: string, side: "server" | "client", [command, args]: [string, string[]]): Child {
    this.#generations.set(name, (this.#generations.get(name) ?? -1) + 1);
    const child = new Child(
      name,
      this.network.command(side, command, args),
      (from, line) => this.#onLine(from, line),
    );
    this.#running.set(name, child);
    child.ended.then(({ code, signal }) => {
      if (child.expendable || (code === 0 && signal === null)) return;
      this.mistakes.push(`${name} died with ${signal ?? code}: ${child.stderr.slice(-800)}`);
    });
    return child;
  }

  #onLine({ name }: Child, line: Line): void {
    if (line.type === "mistake") this.mistakes.push(`${name}: ${line["text"]}`);
    if (line.type !== "sample") return;
    const { type: _type, at_ms, counts, heap_bytes, texts, ...server } = line;
    for (const [key, text] of Object.entries(texts ?? {})) this.texts.set(key, String(text));
    this.samples.push({
      at_ms,
      program: name,
      generation: this.#generations.get(name) ?? 0,
      ...(typeof heap_bytes === "number" ? { heap_bytes } : {}),
      ...(counts === undefined ? {} : { counts: counts as Record<string, number> }),
      ...(name === "server" ? { server } : {}),
    });
  }

  /** Memory and descriptors of every program, now. */
  look(): void {
    for (const [name, child] of this.#running) {
      const seen = child.look();
      if (seen === undefined) continue;
      const generation = this.#generations.get(name) ?? 0;
      this.samples.push({ at_ms: Date.now(), program: name, generation, ...seen });
    }
  }

  generationOf(name: string): number {
    return this.#generations.get(name) ?? 0;
  }

  // Faults

  send(name: string, signal: Deno.Signal): Promise<void> {
    this.#running.get(name)?.signal(signal);
    return Promise.resolve();
  }

  /** Kills a client without warning and starts another. */
  async replace(name: string): Promise<void> {
    const old = this.#running.get(name);
    const spec = CLIENTS.find((each) => each.name === name);
    if (old === undefined || spec === undefined) throw new Error(`no client is named \`${name}\``);
    old.expendable = true;
    old.signal("SIGKILL");
    await old.ended;
    this.#startClient(spec);
  }

  async restartServer(): Promise<void> {
    await this.endServer();
    await this.#startServer();
  }

  /** Drains the server and waits for its last line. */
  async endServer(): Promise<void> {
    const old = this.#running.get("server");
    if (old === undefined) return;
    old.signal("SIGTERM");
    const last = await old.line("ended", 20_000);
    await old.ended;
    for (const count of ["calls_open", "buffered_bytes", "connections_open"]) {
      if (last[count] !== 0) this.mistakes.push(`the drained server has ${last[count]} ${count}`);
    }
  }

  async inject(plan: Plan): Promise<void> {
    const from_ms = Date.now();
    progress(plan.name);
    await plan.begin(this);
    await pause(plan.lasts_ms);
    await plan.end(this);
    this.faults.push({ name: plan.name, from_ms, to_ms: Date.now() });
  }

  // Ends

  /** Stops the clients; problems of how they ended. */
  async endClients(): Promise<string[]> {
    const problems: string[] = [];
    for (const { name } of CLIENTS) this.#running.get(name)?.signal("SIGTERM");
    for (const { name } of CLIENTS) {
      const child = this.#running.get(name);
      try {
        const last = await child?.line("ended", END_MS_MAX);
        await child?.ended;
        const left = Number(last?.["sockets"] ?? 0);
        if (left > 0) problems.push(`${name} keeps ${left} sockets of closed channels`);
      } catch (reason) {
        problems.push(reason instanceof Error ? reason.message : String(reason));
      }
    }
    return problems;
  }

  /** Sockets of the server beyond those it had before the first client. */
  async socketsLeft(): Promise<number> {
    const end_ms = Date.now() + END_MS_MAX;
    for (;;) {
      const now = this.#running.get("server")?.look()?.sockets ?? 0;
      if (now <= this.base_sockets || Date.now() >= end_ms) return now - this.base_sockets;
      await pause(500);
    }
  }

  async kill(): Promise<void> {
    for (const child of this.#running.values()) {
      child.expendable = true;
      child.signal("SIGKILL");
      await child.ended;
    }
    await this.proxy?.close().catch(() => {});
    await this.network.close();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Faults in turn until time is up; the restart once, near the middle. */
async function runFaults(soak: Soak, minutes: number): Promise<void> {
  const start_ms = Date.now();
  const end_ms = start_ms + minutes * 60_000;
  const gap_ms = minutes < 5 ? 2500 : 12_000;
  const usable = PLANS.filter((each) => !each.needs_network || soak.network.tier !== "loopback");
  let restarted = false;
  await pause(gap_ms);
  for (let turn = 0; Date.now() + gap_ms < end_ms; turn++) {
    const plan = usable[turn % usable.length];
    if (plan === undefined) return;
    await soak.inject(plan);
    await pause(gap_ms);
    if (restarted || Date.now() < start_ms + minutes * 25_000) continue;
    restarted = true;
    await soak.inject(RESTART);
    await pause(gap_ms);
  }
}

/** One line of the table. */
interface Row {
  readonly status: "ok" | "FAIL" | "SKIP";
  readonly name: string;
  readonly text: string;
}

function faultRows(soak: Soak): Row[] {
  const names = CLIENTS.map(({ name }) => name);
  return [...PLANS, RESTART].map(({ name, needs_network }): Row => {
    if (needs_network && soak.network.tier === "loopback") {
      return { status: "SKIP", name, text: soak.network.note };
    }
    const faults = soak.faults.filter((fault) => fault.name === name);
    if (faults.length === 0) return { status: "SKIP", name, text: "the run was too short for it" };
    const counts: Record<string, number> = {};
    let slowest_ms = 0;
    let lost = 0;
    for (const fault of faults) {
      const until_ms = patience(fault, soak.faults);
      const recovered_ms = recovery_ms(fault, until_ms, names, soak.samples);
      if (recovered_ms === undefined) lost++;
      else slowest_ms = Math.max(slowest_ms, recovered_ms);
      addCounts(counts, soak.samples, fault.from_ms, fault.to_ms + 2000);
    }
    const text = `${faults.length} times; every client called well again within ` +
      `${(slowest_ms / 1000).toFixed(1)} s; ${describeCounts(counts)}`;
    if (lost === 0) return { status: "ok", name, text };
    return { status: "FAIL", name, text: `${lost} times a client did not recover; ${text}` };
  });
}

/** Until when clients may recover: faults that follow meanwhile hold them up. */
function patience(fault: Fault, faults: readonly Fault[]): number {
  let until_ms = fault.to_ms + RECOVERY_MS_MAX;
  for (const { from_ms, to_ms } of faults) {
    if (from_ms > fault.to_ms && from_ms < until_ms) until_ms += to_ms - from_ms + 2000;
  }
  return until_ms;
}

function addCounts(
  into: Record<string, number>,
  samples: readonly Sample[],
  from_ms: number,
  to_ms: number,
): void {
  for (const { at_ms, counts } of samples) {
    if (at_ms < from_ms || at_ms > to_ms) continue;
    for (const [key, count] of Object.entries(counts ?? {})) {
      const [kind = "", status = ""] = key.split(" ");
      const asked = (kind === "deadline" && status === "DEADLINE_EXCEEDED") ||
        (kind === "cancel" && status === "CANCELLED");
      const name = asked ? "as asked" : status;
      into[name] = (into[name] ?? 0) + count;
    }
  }
}

function describeCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function growthRow(what: string, growth: Growth | undefined, bytes_max: number): Row {
  const name = `${what} stays`;
  if (growth === undefined) return { status: "SKIP", name, text: "too few samples" };
  const { first_bytes, last_bytes, max_bytes, slope_bytes_per_minute, minutes } = growth;
  const text = `${mebibytes(first_bytes)} then ${mebibytes(last_bytes)} (allowed +${
    mebibytes(bytes_max)
  }), most ${mebibytes(max_bytes)}, ${
    (slope_bytes_per_minute / 1024).toFixed(0)
  } KiB a minute over ${minutes.toFixed(1)} min`;
  return { status: last_bytes - first_bytes <= bytes_max ? "ok" : "FAIL", name, text };
}

function memoryRows(soak: Soak): Row[] {
  const rows: Row[] = [];
  const add = (program: string, generation: number, label: string) => {
    for (
      const [quantity, most] of [
        ["rss_bytes", RSS_GROWTH_BYTES_MAX],
        ["heap_bytes", HEAP_GROWTH_BYTES_MAX],
      ] as const
    ) {
      const growth = growthOf(soak.samples, program, generation, quantity);
      rows.push(growthRow(`${quantity.split("_")[0]} of ${label}`, growth, most));
    }
  };
  for (let generation = 0; generation <= soak.generationOf("server"); generation++) {
    add("server", generation, `server (start ${generation + 1})`);
  }
  for (const { name, python } of CLIENTS) {
    if (!python && name !== "victim") add(name, 0, `client ${name}`);
  }
  return rows;
}

function listRow(name: string, problems: readonly string[], good: string): Row {
  if (problems.length === 0) return { status: "ok", name, text: good };
  const shown = problems.slice(0, 6).join("\n          ");
  return { status: "FAIL", name, text: `${problems.length}:\n          ${shown}` };
}

function printTable(rows: readonly Row[]): number {
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  console.log("");
  for (const { status, name, text } of rows) {
    console.log(`${status.padEnd(5)} ${name.padEnd(width)} ${text}`);
  }
  const count = (status: Row["status"]) => rows.filter((row) => row.status === status).length;
  console.log(`${count("ok")} passed, ${count("FAIL")} failed, ${count("SKIP")} skipped`);
  return count("FAIL") === 0 ? 0 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  const value = (name: string): string | undefined => {
    const at = args.indexOf(name);
    return at < 0 ? undefined : args[at + 1];
  };
  const minutes = Number(value("--minutes") ?? (args.includes("--long") ? LONG_MINUTES : MINUTES));
  if (!await isInstalled(PYTHON, ["-c", "import grpc"])) {
    throw new Error("no Python gRPC: install the Debian package `python3-grpcio`");
  }
  const network = await Network.create(args.includes("--loopback"));
  progress(`${minutes} minutes; network tier ${network.tier} ${network.note}`);
  const soak = new Soak(network);
  const onInterrupt = () => void soak.kill().then(() => Deno.exit(130));
  Deno.addSignalListener("SIGINT", onInterrupt);
  Deno.addSignalListener("SIGTERM", onInterrupt);
  try {
    await soak.start();
    progress("every program runs");
    const sampler = setInterval(() => soak.look(), 1000);
    await runFaults(soak, minutes);
    progress("ending the clients");
    const ends = await soak.endClients();
    const left = await soak.socketsLeft();
    clearInterval(sampler);
    await soak.endServer();
    const most = Math.max(...soak.samples.map(({ sockets }) => sockets ?? 0));
    const totals: Record<string, number> = {};
    addCounts(totals, soak.samples, 0, Infinity);
    const unexpected = unexpectedStatuses(soak.samples, soak.faults);
    const rows: Row[] = [
      ...faultRows(soak),
      listRow("every call ends as it may", unexpected, describeCounts(totals)),
      listRow("clients end", ends, "every call settled, every socket closed"),
      listRow("no mistakes, no wrong data", soak.mistakes, "no unhandled error, every byte right"),
      {
        status: left <= 0 ? "ok" : "FAIL",
        name: "sockets of the server are closed",
        text: `${soak.base_sockets} at the start, ${
          soak.base_sockets + left
        } at the end, most ${most}`,
      },
      ...memoryRows(soak),
    ];
    const file = value("--json");
    if (file !== undefined) {
      const { tier, note } = network;
      const texts = Object.fromEntries(soak.texts);
      const { samples, faults } = soak;
      const report = { minutes, tier, note, rows, totals, texts, faults, samples };
      Deno.writeTextFileSync(file, JSON.stringify(report));
    }
    if (unexpected.length > 0) {
      for (const [key, text] of soak.texts) console.log(`      ${key}: ${text}`);
    }
    return printTable(rows);
  } finally {
    await soak.kill();
  }
}

Deno.exit(await main(Deno.args));
