/**
 * The policy in force: loaded at start, replaced when its files change, kept when they turn bad.
 *
 * @module
 */
import { compilePolicySet, type PolicySet } from "../../core/policy/compile.ts";
import type { PolicyDocument } from "../../core/policy/document.ts";
import { digestOfTexts } from "../../core/policy/history/policy_set.ts";
import type { PolicySource } from "../config.ts";
import type { PolicyWriter } from "../policy/files_writer.ts";
import type { PolicyVersion } from "../policy/version.ts";
import {
  type LoadedPolicy,
  type PolicyFiles,
  PolicyLoadError,
  policySignature,
  readPolicyFiles,
} from "./policy_files.ts";

/** What the policy is worth right now; shown in `status`, never inferred from absence. */
export type PolicyState = "enforced" | "permissive" | "unconfigured" | "degraded";

/** Who changes the policy, and how. */
export type ChangeOrigin = Pick<
  PolicyVersion,
  "origin" | "author" | "confirmed_by" | "proposal_id" | "reason" | "rollback_of" | "bundle"
>;

/** A change that is about to take effect. */
export interface AppliedEvent {
  readonly outcome: "applied";
  readonly source: string;
  /** Digests of the documents. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly epoch: number;
  readonly set: LoadedPolicy;
  /** Digest of the set in force until now; absent when there is none. */
  readonly parent?: string;
  readonly by: ChangeOrigin;
  /** Whether files are to be written after this: a stop in between is to be finished. */
  readonly writes_files: boolean;
}

/** A finished attempt to replace the policy. */
export type ReloadEvent =
  | AppliedEvent
  | { readonly outcome: "refused"; readonly source: string; readonly error: string };

/** Why a change was not made. The policy in force is the one before. */
export class PolicyChangeError extends Error {
  override readonly name = "PolicyChangeError";
  /**
   * `conflict`: the policy is not the one the change was made for; `not_writable`: this gateway may
   * not write its policy; `write_failed`: the files could not be written.
   */
  readonly code: "conflict" | "not_writable" | "write_failed";

  constructor(code: PolicyChangeError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What `status` shows of the policy. */
export interface PolicyStoreStatus {
  readonly state: PolicyState;
  readonly source: string;
  readonly documents: number;
  readonly epoch: number;
  readonly loaded_at_ms: number;
  /** Located error of the last refused reload; empty when the last one was good. */
  readonly last_error: string;
  readonly document_ids: readonly string[];
  readonly warnings: readonly string[];
}

/** How a store records and times its reloads. */
export interface PolicyStoreOptions {
  readonly now_ms: () => number;
  /**
   * Makes a reload durable in the audit log. Awaited **before** the new policy takes effect;
   * when it rejects, the old policy stays.
   */
  readonly record: (event: ReloadEvent) => Promise<void>;
  /**
   * Told what became of a recorded change that was to be written to files: `done`, `undone` when
   * the files are as before, `stuck` when they are neither.
   */
  readonly settle?: (outcome: "done" | "undone" | "stuck") => Promise<void>;
  /** Writes what is applied back to the source. @default changes are refused */
  readonly writer?: PolicyWriter;
  /** The set last put in force, from the history. */
  readonly newest?: LoadedPolicy;
  /** Take up nothing that was only written to the files. @default false */
  readonly four_eyes?: boolean;
  /** Time between two looks at the files. */
  readonly poll_interval_ms?: number;
}

const POLL_INTERVAL_MS = 250;
/** A change is taken up once two looks this far apart agree, so that a half-written save is not read. */
const SETTLE_MS = 40;

/** What is said of files that two people have not agreed on. */
const FILES_ALONE = "the policy files have changed, and under --four-eyes-policy files alone " +
  "change nothing: propose them with `aasm policy apply`, or put the files back";

/** Longest pause between two looks at files that cannot be taken up, in milliseconds. */
const RETRY_PAUSE_MS = 60_000;

/** Holds the compiled policy and watches its files by looking at them. */
export class PolicyStore {
  #set: PolicySet;
  #loaded: LoadedPolicy;
  #digest: string;
  /** Of the files in force. */
  #signature: string;
  /** Of the files last turned down; empty when they could not even be listed. */
  #refused_signature: string | undefined;
  #warnings: readonly string[];
  #loaded_at_ms: number;
  #last_error = "";
  /** Set once files are neither the old nor the new ones: nothing is taken from them any more. */
  #stuck = false;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #reloading: Promise<void> = Promise.resolve();
  readonly #listeners = new Set<(epoch: number) => void>();

  private constructor(
    readonly source: PolicySource,
    private readonly options: PolicyStoreOptions,
    files: PolicyFiles,
  ) {
    const confirmed = options.four_eyes === true ? options.newest : undefined;
    const loaded = confirmed ?? files;
    this.#set = compilePolicySet(loaded.documents, { mode: loaded.mode, epoch: 1 });
    this.#loaded = loaded;
    this.#digest = digestOfTexts(loaded.mode, loaded.texts);
    this.#signature = files.signature;
    this.#warnings = loaded.warnings;
    this.#loaded_at_ms = options.now_ms();
    if (source.kind === "path" && this.#digest !== digestOfTexts(files.mode, files.texts)) {
      this.#last_error = FILES_ALONE;
    }
  }

  /**
   * Loads the policy for the first time.
   *
   * @throws {PolicyLoadError} when the source cannot be read or is invalid; nothing is served then.
   */
  static async open(source: PolicySource, options: PolicyStoreOptions): Promise<PolicyStore> {
    switch (source.kind) {
      case "none":
        return new PolicyStore(source, { ...options, four_eyes: false }, NO_FILES);
      case "history":
        return new PolicyStore(source, options, { ...options.newest ?? NO_FILES, signature: "" });
      case "path":
        return new PolicyStore(source, options, await readPolicyFiles(source.path));
    }
  }

  /** The policy in force. Replaced as a whole, never edited. */
  get current(): PolicySet {
    return this.#set;
  }

  /** The exact files in force. */
  get loaded(): LoadedPolicy {
    return this.#loaded;
  }

  /** Digest of the exact files in force. */
  get digest(): string {
    return this.#digest;
  }

  /** Starts watching. Watching by `stat` needs no right beyond the policy files and survives rename-saves. */
  watch(): void {
    if (this.source.kind !== "path" || this.#timer !== undefined || this.#closed) return;
    const interval_ms = this.options.poll_interval_ms ?? POLL_INTERVAL_MS;
    // What fails is tried again ever less often: each attempt may leave a line in the log.
    const backoff = 2 ** Math.min(this.#failures, 16);
    const pause_ms = Math.min(
      interval_ms * backoff + 2 * this.#set.documents.length,
      Math.max(RETRY_PAUSE_MS, interval_ms),
    );
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.reload().finally(() => this.watch());
    }, pause_ms);
  }

  /** Takes up changed files now; resolves when the outcome is recorded. Never rejects. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  /**
   * Calls `listener` with the new epoch each time another policy is in force.
   *
   * @returns Ends it.
   */
  onReplaced(listener: (epoch: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Puts a set in force that did not come from the files: on record first, then in the files when
   * there are any, then in effect, for every agent at once. One change at a time.
   *
   * @param next Loaded from the very bytes that are to be kept.
   * @param expected Digest of the set that the change was made for.
   * @throws {PolicyChangeError} nothing has changed then.
   */
  replace(next: LoadedPolicy, expected: string, by: ChangeOrigin): Promise<void> {
    const work = this.#reloading.then(() => this.#replace(next, expected, by));
    this.#reloading = work.catch(() => {});
    return work;
  }

  /** Why this gateway changes no policy, or `undefined` when it does. */
  get immutable(): string | undefined {
    if (this.source.kind === "none") {
      return "this gateway was started with `--policy none`: start it with `--policy history`, or " +
        "with `--policy DIR --policy-writable`";
    }
    if (this.source.kind === "path" && this.options.writer === undefined) {
      return `this gateway may not write \`${this.source.path}\`: start it with ` +
        "`--policy-writable`, or change the files yourself";
    }
    return undefined;
  }

  /** What `status` shows. */
  status(): PolicyStoreStatus {
    const documents = this.#set.documents.map((compiled) => compiled.document);
    return {
      state: this.#last_error !== "" ? "degraded" : stateOf(documents),
      source: this.#sourceName(),
      documents: documents.length,
      epoch: this.#set.epoch,
      loaded_at_ms: this.#loaded_at_ms,
      last_error: this.#last_error,
      document_ids: digestsOf(this.#set),
      warnings: this.#warnings,
    };
  }

  /** Stops watching and waits for a reload under way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#reloading;
  }

  async #reload(): Promise<void> {
    if (this.source.kind !== "path" || this.#closed || this.#stuck) return;
    const path = this.source.path;
    let signature = "";
    try {
      if (this.#isTakenUp(await policySignature(path))) return;
      signature = await settledSignature(path);
      const files = await readPolicyFiles(path);
      if (files.documents.length === 0 && this.#set.documents.length > 0) {
        throw new PolicyLoadError(
          `\`${path}\` holds no policy any more: the last good policy stays in force; ` +
            "restore a file, or restart with `--policy none` to deny everything",
        );
      }
      if (digestOfTexts(files.mode, files.texts) === this.#digest) {
        // Written anew, but the same to the byte: nothing to put on record.
        this.#takeUp(files.signature, files.warnings);
        return;
      }
      if (this.options.four_eyes === true) throw new PolicyLoadError(FILES_ALONE);
      await this.#apply(files, path, { origin: "file", author: "file" });
      this.#takeUp(files.signature, files.warnings);
    } catch (error) {
      // A bad file is reported once, not at every look; a log that could not record is tried again.
      if (error instanceof PolicyLoadError) this.#refused_signature = signature;
      else this.#failures++;
      await this.#refuse(path, error);
    }
  }

  async #replace(next: LoadedPolicy, expected: string, by: ChangeOrigin): Promise<void> {
    const { immutable, source } = this;
    if (immutable !== undefined) throw new PolicyChangeError("not_writable", immutable);
    await this.#refuseConflict(next, expected);
    if (source.kind !== "path") {
      await this.#apply(next, "history", by);
      this.#takeUp("", next.warnings);
      return;
    }
    const before = this.#loaded.texts;
    const written = async () => {
      try {
        await this.options.writer?.write(before, next.texts);
      } catch (error) {
        await this.#undo(next, error);
      }
    };
    await this.#apply(next, source.path, by, written);
    await this.options.settle?.("done").catch(() => {
      // The files are right; that they are is looked at again at the next start.
    });
    this.#takeUp(await policySignature(source.path).catch(() => ""), next.warnings);
  }

  /** Puts the old files back and tells of it; when even that fails, nothing is read from them any more. */
  async #undo(next: LoadedPolicy, cause: unknown): Promise<never> {
    const text = cause instanceof Error ? cause.message : String(cause);
    let outcome: "undone" | "stuck" = "undone";
    try {
      await this.options.writer?.write(next.texts, this.#loaded.texts);
    } catch {
      outcome = "stuck";
      this.#stuck = true;
      this.#last_error = `the policy files could be written only in part (${text}): the policy ` +
        "before them stays in force; mend the cause and restart to finish the change";
    }
    await this.options.settle?.(outcome).catch(() => {});
    throw new PolicyChangeError(
      "write_failed",
      `the policy files could not be written: ${text}; the policy in force is the one before`,
      { cause },
    );
  }

  /** The change must be made for the set in force, and no edit of the files may be lost by it. */
  async #refuseConflict(next: LoadedPolicy, expected: string): Promise<void> {
    if (this.#closed) throw new PolicyChangeError("conflict", "the gateway is stopping");
    if (this.#stuck) throw new PolicyChangeError("conflict", this.#last_error);
    if (expected !== this.#digest) {
      throw new PolicyChangeError(
        "conflict",
        `the policy in force is \`${this.#digest}\`, not \`${expected}\`: look at what changed, then try again`,
      );
    }
    if (this.source.kind !== "path") return;
    const on_disk = await readPolicyFiles(this.source.path).catch(() => undefined);
    const digest = on_disk && digestOfTexts(on_disk.mode, on_disk.texts);
    // What was written by hand and is now to be put in force just so is lost by nobody.
    if (digest === this.#digest || digest === digestOfTexts(next.mode, next.texts)) return;
    throw new PolicyChangeError(
      "conflict",
      "the policy files were changed and are not in force: wait until they are, mend them, or put " +
        "them back",
    );
  }

  #sourceName(): string {
    return this.source.kind === "path" ? this.source.path : this.source.kind;
  }

  #takeUp(signature: string, warnings: readonly string[]): void {
    this.#signature = signature;
    this.#refused_signature = undefined;
    this.#warnings = warnings;
    this.#last_error = "";
    this.#failures = 0;
  }

  #isTakenUp(signature: string): boolean {
    if (signature === this.#refused_signature) return true;
    return signature === this.#signature && this.#last_error === "";
  }

  /** On record, then `written`, then in effect. */
  async #apply(
    next: LoadedPolicy,
    source: string,
    by: ChangeOrigin,
    written?: () => Promise<void>,
  ): Promise<void> {
    const set = compilePolicySet(next.documents, {
      mode: next.mode,
      epoch: this.#set.epoch + 1,
    });
    await this.options.record({
      outcome: "applied",
      source,
      before: digestsOf(this.#set),
      after: digestsOf(set),
      epoch: set.epoch,
      set: next,
      ...(this.#loaded.texts.length === 0 ? {} : { parent: this.#digest }),
      by,
      writes_files: written !== undefined,
    });
    await written?.();
    this.#set = set;
    this.#loaded = next;
    this.#digest = digestOfTexts(next.mode, next.texts);
    this.#loaded_at_ms = this.options.now_ms();
    for (const listener of this.#listeners) listener(set.epoch);
  }

  async #refuse(path: string, error: unknown): Promise<void> {
    const text = error instanceof Error ? error.message : String(error);
    if (text === this.#last_error) return;
    this.#last_error = text;
    try {
      await this.options.record({ outcome: "refused", source: path, error: text });
    } catch {
      // The log itself is down: it refuses every decision and says so in its own status.
    }
  }
}

function digestsOf(set: PolicySet): string[] {
  return set.documents.map((compiled) => compiled.document.digest);
}

const NO_FILES: PolicyFiles = {
  mode: "directory",
  texts: [],
  documents: [],
  warnings: [],
  signature: "",
};

async function settledSignature(path: string): Promise<string> {
  let seen = await policySignature(path);
  for (let looks = 0; looks < 25; looks++) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const again = await policySignature(path);
    if (again === seen) return again;
    seen = again;
  }
  return seen;
}

function stateOf(documents: readonly PolicyDocument[]): PolicyState {
  if (documents.length === 0) return "unconfigured";
  return documents.some(restrictsSomething) ? "enforced" : "permissive";
}

/** Whether a document can ever turn an action down (contract §1.8, with the sections its test forgets). */
function restrictsSomething(document: PolicyDocument): boolean {
  if (document.network || document.schedule?.active_hours || document.budget) return true;
  if (document.capabilities || document.filesystem) return true;
  // Redaction is on with or without a `data` section; only `block` refuses anything.
  if (document.data?.credential_action === "block") return true;
  for (const rule of document.tools.values()) {
    if (!rule.allow || rule.limit_per_hour || rule.requires_approval_if) return true;
  }
  return false;
}
