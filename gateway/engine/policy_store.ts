/**
 * The policy in force: loaded at start, replaced when its files change, kept when they turn bad.
 *
 * @module
 */
import { compilePolicySet, type PolicySet } from "../../core/policy/compile.ts";
import type { PolicyDocument } from "../../core/policy/document.ts";
import type { PolicySource } from "../config.ts";
import {
  type PolicyFiles,
  PolicyLoadError,
  policySignature,
  readPolicyFiles,
} from "./policy_files.ts";

/** What the policy is worth right now; shown in `status`, never inferred from absence. */
export type PolicyState = "enforced" | "permissive" | "unconfigured" | "degraded";

/** A finished attempt to replace the policy. */
export type ReloadEvent =
  | {
    readonly outcome: "applied";
    readonly source: string;
    readonly before: readonly string[];
    readonly after: readonly string[];
    readonly epoch: number;
  }
  | { readonly outcome: "refused"; readonly source: string; readonly error: string };

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
  /** Time between two looks at the files. */
  readonly poll_interval_ms?: number;
}

const POLL_INTERVAL_MS = 250;
/** A change is taken up once two looks this far apart agree, so that a half-written save is not read. */
const SETTLE_MS = 40;

/** Holds the compiled policy and watches its files by looking at them. */
export class PolicyStore {
  #set: PolicySet;
  /** Of the files in force. */
  #signature: string;
  /** Of the files last turned down; empty when they could not even be listed. */
  #refused_signature: string | undefined;
  #warnings: readonly string[];
  #loaded_at_ms: number;
  #last_error = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #reloading: Promise<void> = Promise.resolve();
  readonly #listeners = new Set<(epoch: number) => void>();

  private constructor(
    readonly source: PolicySource,
    private readonly options: PolicyStoreOptions,
    files: PolicyFiles,
  ) {
    this.#set = compilePolicySet(files.documents, { mode: files.mode, epoch: 1 });
    this.#signature = files.signature;
    this.#warnings = files.warnings;
    this.#loaded_at_ms = options.now_ms();
  }

  /**
   * Loads the policy for the first time.
   *
   * @throws {PolicyLoadError} when the source cannot be read or is invalid; nothing is served then.
   */
  static async open(source: PolicySource, options: PolicyStoreOptions): Promise<PolicyStore> {
    const files = source.kind === "none" ? NO_FILES : await readPolicyFiles(source.path);
    return new PolicyStore(source, options, files);
  }

  /** The policy in force. Replaced as a whole, never edited. */
  get current(): PolicySet {
    return this.#set;
  }

  /** Starts watching. Watching by `stat` needs no right beyond the policy files and survives rename-saves. */
  watch(): void {
    if (this.source.kind === "none" || this.#timer !== undefined || this.#closed) return;
    const interval_ms = this.options.poll_interval_ms ?? POLL_INTERVAL_MS;
    const pause_ms = interval_ms + 2 * this.#set.documents.length;
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

  /** What `status` shows. */
  status(): PolicyStoreStatus {
    const documents = this.#set.documents.map((compiled) => compiled.document);
    return {
      state: this.#last_error !== "" ? "degraded" : stateOf(documents),
      source: this.source.kind === "none" ? "none" : this.source.path,
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
    if (this.source.kind === "none" || this.#closed) return;
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
      await this.#apply(path, files);
    } catch (error) {
      // A bad file is reported once, not at every look; a log that could not record is tried again.
      if (error instanceof PolicyLoadError) this.#refused_signature = signature;
      await this.#refuse(path, error);
    }
  }

  #isTakenUp(signature: string): boolean {
    if (signature === this.#refused_signature) return true;
    return signature === this.#signature && this.#last_error === "";
  }

  async #apply(path: string, files: PolicyFiles): Promise<void> {
    const next = compilePolicySet(files.documents, {
      mode: files.mode,
      epoch: this.#set.epoch + 1,
    });
    await this.options.record({
      outcome: "applied",
      source: path,
      before: digestsOf(this.#set),
      after: digestsOf(next),
      epoch: next.epoch,
    });
    this.#set = next;
    this.#signature = files.signature;
    this.#refused_signature = undefined;
    this.#warnings = files.warnings;
    this.#loaded_at_ms = this.options.now_ms();
    this.#last_error = "";
    for (const listener of this.#listeners) listener(next.epoch);
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

const NO_FILES: PolicyFiles = { mode: "directory", documents: [], warnings: [], signature: "" };

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
