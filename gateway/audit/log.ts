/**
 * The audit log of a gateway: one file, one chain, one Merkle tree, one writer.
 *
 * ```text
 * append ─▶ sequencer (chain) ─▶ group commit (write + fdatasync) ─▶ resolves
 *                                        └─▶ tree: tiles ─▶ signed checkpoint
 * ```
 *
 * @module
 */
import {
  formatVerifierKey,
  isTreeHead,
  type NoteSigner,
  rawPublicKey,
  signNote,
} from "../../core/audit/checkpoint.ts";
import { type EntryDraft, ID_BYTES } from "../../core/audit/entry.ts";
import { inclusionProof } from "../../core/audit/merkle.ts";
import { formatProof } from "../../core/audit/proof.ts";
import {
  nodesFromTiles,
  parseResource,
  TILE_WIDTH,
  type TileName,
  tilePath,
} from "../../core/audit/tiles.ts";
import { type Appended, type DurableEnd, GroupCommit } from "./commit.ts";
import { checkPlainFile, claimDirectory, LOG_FILE, TREE_DIRECTORY } from "./directory.ts";
import type { DirectoryLock, Disk } from "./disk.ts";
import type { DurableFile } from "./durable_file.ts";
import { AuditOpenError, AuditUnavailableError, reasonOf } from "./errors.ts";
import { exportEntries, type ExportOptions } from "./export.ts";
import {
  type AuditFilter,
  listEntries,
  type ListResult,
  type LoggedEntry,
  tailEntries,
} from "./reading.ts";
import { SYSTEM_HOST } from "./host.ts";
import type { AuditLogOptions, AuditLogStatus } from "./options.ts";
import { recover, type Recovered, type RecoveryReport } from "./recovery.ts";
import { loadSigningKey, signerFor } from "./signing_key.ts";
import { type Tree, TreeWriter, type TreeWriterOptions } from "./tree.ts";
import { canStartThread, TreeThread } from "./tree_thread.ts";

export type { ExportFormat, ExportOptions } from "./export.ts";
export type { AuditFilter, ListResult, LoggedEntry } from "./reading.ts";
export type { RecoveryReport, TornTail } from "./recovery.ts";
export type { AuditLogOptions, AuditLogStatus } from "./options.ts";
export type { Appended } from "./commit.ts";

const PENDING_MAX_DEFAULT = 65_536;
const CHECKPOINT_INTERVAL_MS_DEFAULT = 1_000;
const PROBE_INTERVAL_MS_DEFAULT = 1_000;

/** The log. Make one with {@linkcode AuditLog.open}. */
export class AuditLog {
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #signer: NoteSigner;
  readonly #lock: DirectoryLock;
  readonly #file: DurableFile;
  readonly #commit: GroupCommit;
  readonly #tree: Tree;
  #moved = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;

  private constructor(
    options: AuditLogOptions,
    lock: DirectoryLock,
    signer: NoteSigner,
    file: DurableFile,
    tree: Tree,
    end: DurableEnd,
  ) {
    const host = options.host ?? SYSTEM_HOST;
    this.#directory = options.directory;
    this.#disk = host.disk;
    this.#signer = signer;
    this.#lock = lock;
    this.#file = file;
    this.#tree = tree;
    this.#commit = new GroupCommit({
      file,
      end,
      prepare: { store_redacted_payload: options.store_redacted_payload ?? false },
      pending_max: options.max_pending ?? PENDING_MAX_DEFAULT,
      probe_interval_ms: options.probe_interval_ms ?? PROBE_INTERVAL_MS_DEFAULT,
      monotonic_ms: host.monotonic_ms,
      onDurable: (batch, end) => {
        this.#tree.feed(batch, end);
        this.#announce();
      },
      ready: () => this.#tree.ready(),
    });
  }

  /**
   * Opens the log: takes the directory's lock, checks the tail, mends the tree, signs.
   *
   * @throws {AuditOpenError} Saying what to do next; an `AuditTamperError` when stored evidence
   * contradicts itself. The log is then not open and nothing may be decided.
   */
  static async open(
    options: AuditLogOptions,
  ): Promise<{ log: AuditLog; recovery: RecoveryReport }> {
    const host = options.host ?? SYSTEM_HOST;
    const lock = claimDirectory(options.directory, host.disk);
    let file: DurableFile | undefined;
    let tree: Tree | undefined;
    try {
      const path = `${options.directory}/${LOG_FILE}`;
      checkPlainFile(path, host.disk);
      const signer = await openSigner(options);
      const public_key = rawPublicKey(signer.private_key);
      const verifier = { name: signer.name, public_key };
      const recovered = await recover({
        directory: options.directory,
        verifier,
        verifier_key: formatVerifierKey(verifier),
        full: options.full_verification ?? false,
        host,
      });
      file = await (options.open_file ?? host.disk.openLog)(path);
      await host.disk.syncDirectory(options.directory);
      tree = await openTree(options, signer, recovered);
      const log = new AuditLog(options, lock, signer, file, tree, recovered.end);
      const now_ns = options.now_ns ?? (() => BigInt(host.now_ms()) * 1_000_000n);
      await log.#start(recovered.report, now_ns);
      return { log, recovery: recovered.report };
    } catch (error) {
      await tree?.close();
      file?.close();
      lock.release();
      if (error instanceof AuditOpenError) throw error;
      throw new AuditOpenError(
        `cannot open audit log in \`${options.directory}\`: ${reasonOf(error)}; ` +
          "check permissions and free space there, then start again",
        { cause: error },
      );
    }
  }

  /** A cut tail is itself evidence; and readers always find a checkpoint. */
  async #start({ torn }: RecoveryReport, now_ns: () => bigint): Promise<void> {
    if (torn !== undefined) {
      await this.append({
        event_type: "GovernanceMutation",
        timestamp_ns: now_ns(),
        agent_id: new Uint8Array(ID_BYTES),
        session_id: new Uint8Array(ID_BYTES),
        payload: JSON.stringify({
          actor: "gateway",
          org: null,
          team: null,
          action: "audit_torn_tail_cut",
          reason: "an interrupted write was found at the end of the log",
          before: { size_bytes: torn.offset_bytes + torn.length_bytes },
          after: { size_bytes: torn.offset_bytes, saved_as: torn.saved_as },
        }),
      });
    }
    await this.#tree.checkpoint();
  }

  /**
   * Records one entry; resolves once it is on disk.
   *
   * @throws {AuditUnavailableError} (as rejection) When it cannot be recorded: whatever needed it
   * must not be answered.
   */
  append(draft: EntryDraft): Promise<Appended> {
    return this.#commit.append(draft);
  }

  /** Signed note over every entry that is durable now. */
  async checkpoint(): Promise<string> {
    if (this.#closing !== undefined) {
      const text = this.#tree.published?.text;
      if (text !== undefined) return text;
    }
    try {
      return await this.#tree.checkpoint();
    } catch (error) {
      throw new AuditUnavailableError(`cannot sign a checkpoint: ${reasonOf(error)}`);
    }
  }

  /**
   * Proof text (C2SP tlog-proof) that entry `index` is in the log.
   *
   * @throws {RangeError} When there is no such entry.
   */
  async prove(index: bigint): Promise<string> {
    const entries = this.#commit.durable.head.seq;
    if (index < 0n || index >= entries) {
      throw new RangeError(`cannot prove entry \`${index}\`: the log has ${entries} entries`);
    }
    let published = this.#tree.published;
    if (published === undefined || BigInt(published.size) <= index) {
      await this.checkpoint();
      published = this.#tree.published;
    }
    if (published === undefined) throw new AuditUnavailableError("cannot prove: no checkpoint");
    const nodes = nodesFromTiles(published.size, (name) => this.#readTile(name));
    const path = await inclusionProof(Number(index), published.size, nodes);
    return formatProof({ index, path, checkpoint: published.text });
  }

  async #readTile(name: TileName): Promise<Uint8Array> {
    const bytes = await this.readResource(tilePath(name)) ??
      // A partial tile goes away once the full one is there.
      (await this.readResource(tilePath({ ...name, width: TILE_WIDTH })))
        ?.subarray(0, name.width * 32);
    if (bytes?.length !== name.width * 32) {
      throw new AuditUnavailableError(`cannot read tile \`${tilePath(name)}\` of the audit log`);
    }
    return bytes;
  }

  /** Entries that meet a filter, newest first; a bounded search from the end. */
  list(filter: AuditFilter): Promise<ListResult> {
    return listEntries(this.#directory, this.#commit.durable.offset_bytes, filter, this.#disk);
  }

  /** The last `backlog` entries and then every new one, until the signal fires or the log closes. */
  tail(
    options: { readonly backlog: number; readonly signal: AbortSignal },
  ): AsyncIterable<LoggedEntry> {
    const live = {
      offset_bytes: () => this.#commit.durable.offset_bytes,
      moved: () => this.#moved.promise,
      closed: () => this.#closing !== undefined,
    };
    return tailEntries(this.#directory, live, options, this.#disk);
  }

  #announce(): void {
    const moved = this.#moved;
    this.#moved = Promise.withResolvers<void>();
    moved.resolve();
  }

  /** Entries as text in pieces, oldest first: JSONL, JSON or CSV. */
  export(options: ExportOptions): AsyncIterable<string> {
    const end_bytes = this.#commit.durable.offset_bytes;
    return exportEntries(this.#directory, end_bytes, options, this.#disk);
  }

  /**
   * Bytes of a resource of the tlog-tiles layout: `checkpoint`, `tile/<L>/<N>[.p/<W>]`,
   * `tile/entries/<N>[.p/<W>]`. `undefined` when there is none.
   *
   * @throws {RangeError} For any other name: nothing else can be read this way.
   */
  readResource(path: string): Promise<Uint8Array | undefined> {
    if (parseResource(path) === undefined) {
      return Promise.reject(
        new RangeError(
          "cannot read audit resource: expected `checkpoint`, `tile/<level>/<index>` or `tile/entries/<index>`",
        ),
      );
    }
    return this.#disk.read(`${this.#directory}/${TREE_DIRECTORY}/${path}`);
  }

  /**
   * Signs another text than a checkpoint with the log's key, as a note.
   *
   * @param text Ends in a newline; its first line says what it is.
   * @throws {RangeError} when the text could be taken for a checkpoint.
   */
  signNote(text: string): string {
    if (text.startsWith(`${this.#signer.name}\n`) || isTreeHead(text)) {
      throw new RangeError("cannot sign this text: it could be taken for a checkpoint of the log");
    }
    return signNote(text, this.#signer);
  }

  /** What the log says of itself. */
  status(): AuditLogStatus {
    const state = this.#commit.state;
    const end: DurableEnd = this.#commit.durable;
    const published = this.#tree.published;
    const tree_failure = this.#tree.failure;
    const failure = state.kind === "failed" ? state.reason : tree_failure;
    const degraded = state.kind === "open" && tree_failure !== undefined;
    return {
      state: degraded ? "degraded" : state.kind,
      ...(failure === undefined ? {} : { failure }),
      entries: end.head.seq,
      size_bytes: end.offset_bytes,
      origin: this.#signer.name,
      verifier_key: formatVerifierKey({
        name: this.#signer.name,
        public_key: rawPublicKey(this.#signer.private_key),
      }),
      directory: this.#directory,
      ...(published === undefined
        ? {}
        : { checkpoint: { size: published.size, time_ms: published.time_ms } }),
      pending: this.#commit.pending,
      removed_members: this.#commit.removed_members,
      redacted_credentials: this.#commit.redacted_credentials,
    };
  }

  /** Finishes what is in flight, signs a last checkpoint, and gives up the directory. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#commit.close();
    try {
      await this.#tree.checkpoint();
    } finally {
      await this.#tree.close();
      this.#file.close();
      this.#lock.release();
      this.#announce();
    }
  }
}

async function openTree(
  options: AuditLogOptions,
  signer: NoteSigner,
  recovered: Recovered,
): Promise<Tree> {
  const host = options.host ?? SYSTEM_HOST;
  const tree_options: TreeWriterOptions = {
    host,
    directory: options.directory,
    signer,
    edge: recovered.edge,
    end: recovered.end,
    // Tiles made again need their partial ones too: those are written with a checkpoint.
    published: recovered.checkpoint && !recovered.report.rebuilt
      ? { ...recovered.checkpoint, time_ms: host.now_ms() }
      : undefined,
    interval_ms: options.checkpoint_interval_ms ?? CHECKPOINT_INTERVAL_MS_DEFAULT,
  };
  const on_thread = host === SYSTEM_HOST && (options.tree_thread ?? canStartThread());
  return on_thread ? await TreeThread.start(tree_options) : new TreeWriter(tree_options);
}

async function openSigner(options: AuditLogOptions): Promise<NoteSigner> {
  if (options.signing_key !== undefined) return signerFor(options.signing_key, options.origin);
  const { disk } = options.host ?? SYSTEM_HOST;
  const signed = await disk.read(`${options.directory}/${TREE_DIRECTORY}/checkpoint`);
  const key = await loadSigningKey(options.signing_key_file, signed === undefined);
  return signerFor(key, options.origin);
}
