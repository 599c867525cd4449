/**
 * Publishes what the spool holds to NATS: at once while the server is there, in order from the disk
 * when it comes back (contract `wire` §4.2). A server that is away holds up nobody else.
 *
 * @module
 */
import type { ChainHead } from "../../core/audit/chain.ts";
import type { MetricsPart, SpoolRecord, SpoolSink } from "../parts.ts";
import type { AgentIdentity } from "../pipeline/enrichment.ts";
import { Forwarder } from "../spool/forwarder.ts";
import type { Spool } from "../spool/spool.ts";
import type { Timers } from "../timers.ts";
import { type NatsConfig, NatsConfigError, parseNatsConfig, serverOf } from "./config.ts";
import { NatsLink } from "./connection.ts";
import { chainEntries, headOf, noteOf } from "./entry_chain.ts";

/** Name of the spool's reader that publishes. */
export const NATS_READER = "nats";
/** Longest wait before what is in the spool is tried again, in milliseconds (contract: 5 s). */
export const NATS_RETRY_MS = 5_000;

/** Whether anything is published, and if not, why not. */
export type NatsStatus =
  | { readonly state: "off" }
  | { readonly state: "degraded"; readonly detail: string }
  | { readonly state: "connected"; readonly server: string; readonly published: number }
  | {
    readonly state: "away";
    readonly server: string;
    readonly published: number;
    readonly detail: string;
  };

/** What publishing works with. */
export interface NatsPublisherOptions {
  readonly agent: AgentIdentity;
  /** Opened with a reader named {@linkcode NATS_READER}. */
  readonly spool: Spool;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  readonly random: () => number;
}

/** What the configuration says, before anything is opened: `setUp` never throws. */
export type NatsSetUp =
  | { readonly state: "off" }
  | { readonly state: "degraded"; readonly detail: string }
  | { readonly state: "configured"; readonly config: NatsConfig };

/**
 * Reads the configuration. What is wrong with it is a state, shown and told: nothing is published
 * then, and everything else goes on.
 *
 * @param path `AA_NATS_CONFIG_PATH`; `undefined` or empty when not set.
 */
export async function setUpNats(path: string | undefined): Promise<NatsSetUp> {
  if (path === undefined || path === "") return { state: "off" };
  try {
    const config = parseNatsConfig(await Deno.readTextFile(path), path);
    if (config !== undefined) return { state: "configured", config };
    return { state: "degraded", detail: `\`${path}\` has no table \`gateway.nats\`` };
  } catch (error) {
    if (error instanceof NatsConfigError) return { state: "degraded", detail: error.message };
    const reason = error instanceof Error ? error.message : String(error);
    return { state: "degraded", detail: `cannot read \`${path}\`: ${reason}` };
  }
}

/** Publishes until it is closed. */
export class NatsPublisher implements AsyncDisposable {
  readonly #config: NatsConfig;
  readonly #link: NatsLink;
  readonly #sink: NatsSink;
  readonly #forwarder: Forwarder;
  readonly #stopListening: () => void;

  private constructor(config: NatsConfig, options: NatsPublisherOptions, head: ChainHead) {
    this.#config = config;
    this.#link = new NatsLink(config);
    this.#sink = new NatsSink(this.#link, options.agent, options.metrics, head);
    this.#forwarder = new Forwarder({
      name: NATS_READER,
      spool_id: options.spool.id,
      reader: options.spool.reader(NATS_READER),
      sink: this.#sink,
      note: () => this.#sink.note(),
      timers: options.timers,
      random: options.random,
      metrics: options.metrics,
      deliver_rows: config.max_inflight,
      backoff_max_ms: NATS_RETRY_MS,
    });
    this.#stopListening = options.spool.onAppended(() => this.#forwarder.wake());
  }

  /**
   * Starts publishing from where the spool's reader stands.
   *
   * @throws {SpoolError} When the spool cannot be read.
   */
  static async open(config: NatsConfig, options: NatsPublisherOptions): Promise<NatsPublisher> {
    const note = await options.spool.reader(NATS_READER).note();
    return new NatsPublisher(config, options, headOf(note));
  }

  /** Whether anything is published, and if not, why not. */
  get status(): NatsStatus {
    const server = serverOf(this.#config.url);
    const { published } = this.#sink;
    const { detail } = this.#forwarder.status;
    return this.#link.connected && detail === ""
      ? { state: "connected", server, published }
      : { state: "away", server, published, detail };
  }

  /** Publishes what is left, as long as the signal allows. */
  flush(signal: AbortSignal): Promise<void> {
    return this.#forwarder.flush(signal);
  }

  /** Stops; what is not published stays in the spool. */
  async close(): Promise<void> {
    this.#stopListening();
    await this.#forwarder.close();
    await this.#link.close();
  }

  /** @inheritdoc */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The spool's way out to NATS. */
class NatsSink implements SpoolSink {
  readonly #link: NatsLink;
  readonly #agent: AgentIdentity;
  readonly #metrics: MetricsPart;
  #head: ChainHead;
  /** Last record that was published by this process. */
  #through = 0;
  /** Last record that was counted as waiting on disk. */
  #buffered_through = 0;
  #published = 0;

  constructor(link: NatsLink, agent: AgentIdentity, metrics: MetricsPart, head: ChainHead) {
    this.#link = link;
    this.#agent = agent;
    this.#metrics = metrics;
    this.#head = head;
  }

  /** Entries published by this process. */
  get published(): number {
    return this.#published;
  }

  /** Where the chain stands after what was published. */
  note(): Uint8Array {
    return noteOf(this.#head);
  }

  /** @inheritdoc */
  async deliver(
    spool_id: string,
    records: readonly SpoolRecord[],
    signal: AbortSignal,
  ): Promise<number> {
    const last = records.at(-1)?.seq ?? 0;
    // What was published, but whose place could not be kept, is not published twice.
    const fresh = records.filter(({ seq }) => seq > this.#through);
    const { entries, head, unreadable } = chainEntries(fresh, this.#head, this.#agent);
    try {
      if (entries.length > 0) {
        const messages = entries.map(({ subject, line, spool_seq }) => ({
          subject,
          text: line,
          message_id: `${spool_id}-${spool_seq}`,
        }));
        await this.#link.publish(messages, signal);
      }
    } catch (error) {
      this.#metrics.add("aa_audit_publish_errors_total");
      const waiting = entries.filter(({ spool_seq }) => spool_seq > this.#buffered_through);
      if (waiting.length > 0) this.#metrics.add("aa_audit_buffered_total", waiting.length);
      this.#buffered_through = Math.max(this.#buffered_through, last);
      throw error;
    }
    this.#head = head;
    if (unreadable > 0) this.#metrics.add("aa_audit_unreadable_total", unreadable);
    this.#through = Math.max(this.#through, last);
    this.#published += entries.length;
    this.#metrics.add("aa_audit_published_total", entries.length);
    const flushed = entries.filter(({ spool_seq }) => spool_seq <= this.#buffered_through).length;
    if (flushed > 0) this.#metrics.add("aa_audit_flushed_total", flushed);
    return last;
  }
}
