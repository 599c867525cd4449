/**
 * The key that an agent keeps over its restarts (contract `wire` §6.3). A file that anybody else
 * could have read or written is refused, never repaired.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { link, lstat, mkdir, open, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { IdentityUnavailableError } from "../errors.ts";
import { AgentKey, hexOf } from "./agent_key.ts";

/** First line of every key file. */
const FORMAT = "aa-identity-key/1";
/** A key file is under 300 bytes with any sensible id; more is none of ours. */
const FILE_BYTES_MAX = 8_192;

/** Where keys are kept, and for whom. */
export interface IdentityStoreOptions {
  /** Directory of the keys, mode 0700; made when it is missing. */
  readonly directory: string;
  /** Wall clock. @default Date.now */
  readonly now_ms?: () => number;
  /** Owner that files must have. @default the user of this process */
  readonly owner_uid?: number;
}

/** Keys of agents in a directory. */
export class IdentityStore {
  readonly #directory: string;
  readonly #now_ms: () => number;
  readonly #owner_uid: number;

  /** Takes what it is made of. @throws {IdentityUnavailableError} when it cannot be known whose files to trust. */
  constructor(options: IdentityStoreOptions) {
    this.#directory = options.directory;
    this.#now_ms = options.now_ms ?? Date.now;
    this.#owner_uid = options.owner_uid ?? ownUid();
  }

  /**
   * The key of an agent, made at its first use.
   *
   * @param agent_id The configured id: a name, not a did:key.
   * @throws {IdentityUnavailableError} naming what is wrong with the file and what to do.
   */
  async key(agent_id: string): Promise<AgentKey> {
    const path = this.#path(agent_id);
    await this.#requireDirectory();
    if (await exists(`${path}.revoked`)) {
      throw refusal(path, "was revoked: rotate it, or configure another agent id");
    }
    const found = await this.#read(path, agent_id);
    if (found !== undefined) return found;
    await this.#make(path, agent_id);
    const made = await this.#read(path, agent_id);
    if (made === undefined) throw refusal(path, "was made and is gone again");
    return made;
  }

  /** Marks the key as not to be used any more. */
  async revoke(agent_id: string): Promise<void> {
    const path = this.#path(agent_id);
    await this.#requireDirectory();
    await writeFile(`${path}.revoked`, "", { mode: 0o600 });
  }

  /** Puts the key aside, so that the next use makes a new one: a new agent to the gateway. */
  async rotate(agent_id: string): Promise<void> {
    const path = this.#path(agent_id);
    await this.#requireDirectory();
    const at_unix = Math.floor(this.#now_ms() / 1_000);
    await rename(path, path.replace(/\.key$/, `.retired-${at_unix}.key`));
    await unlink(`${path}.revoked`).catch(() => {
      // It was not revoked.
    });
  }

  #path(agent_id: string): string {
    if (agent_id.trim() === "") throw new IdentityUnavailableError("an agent id is needed");
    if (agent_id.startsWith("did:key:")) {
      throw new IdentityUnavailableError(
        "the configured agent id is a did:key: configure a name, the did:key follows from its own key",
      );
    }
    const slug = createHash("sha256").update(agent_id).digest("hex");
    return join(this.#directory, `${slug}.key`);
  }

  async #requireDirectory(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const stats = await lstat(this.#directory);
    if (!stats.isDirectory()) throw refusal(this.#directory, "is no directory, or a symbolic link");
    this.#requireOwn(this.#directory, stats);
  }

  #requireOwn(path: string, { uid, mode }: Stats): void {
    if (uid !== this.#owner_uid) {
      throw refusal(path, `belongs to user ${uid}, not to ${this.#owner_uid}: who made it?`);
    }
    if ((mode & 0o077) !== 0) {
      const bits = (mode & 0o777).toString(8).padStart(4, "0");
      throw refusal(
        path,
        `is open to others (mode \`${bits}\`): its key may be known; rotate it, then close it`,
      );
    }
  }

  /** `undefined` when there is no such file. */
  async #read(path: string, agent_id: string): Promise<AgentKey | undefined> {
    let named: Stats;
    try {
      named = await lstat(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw refusal(path, "cannot be looked at", error);
    }
    if (!named.isFile()) throw refusal(path, "is a symbolic link or no file: remove it");
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
      .catch((error) => {
        throw refusal(path, "cannot be opened", error);
      });
    try {
      // Judged is what was opened, whatever the name leads to by now.
      const opened = await file.stat();
      if (!opened.isFile() || opened.ino !== named.ino || opened.dev !== named.dev) {
        throw refusal(path, "was replaced while it was read");
      }
      this.#requireOwn(path, opened);
      if (opened.size > FILE_BYTES_MAX) throw refusal(path, "is no key file: it is too large");
      return new AgentKey(seedOf(await file.readFile("utf8"), path, agent_id));
    } finally {
      await file.close();
    }
  }

  /** Written whole beside its place and then linked there: nobody reads half a key. */
  async #make(path: string, agent_id: string): Promise<void> {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    const text = [
      FORMAT,
      `agent_id_hex=${hexOf(new TextEncoder().encode(agent_id))}`,
      `created_at_unix=${Math.floor(this.#now_ms() / 1_000)}`,
      `secret_seed_hex=${hexOf(seed)}`,
      "",
    ].join("\n");
    const draft = `${path}.${hexOf(crypto.getRandomValues(new Uint8Array(8)))}.new`;
    try {
      const file = await open(draft, "wx", 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await link(draft, path).catch((error) => {
        // Another process was faster: its key is the agent's.
        if (Reflect.get(Object(error), "code") !== "EEXIST") throw error;
      });
    } catch (error) {
      throw refusal(path, "cannot be made", error);
    } finally {
      await unlink(draft).catch(() => {
        // It was not made.
      });
    }
  }
}

/** The directory of keys: `${AASM_STATE_DIR:-$HOME/.aasm}/identity` (contract `wire` §6.3). */
export function identityDirectory(
  variable: (name: string) => string | undefined,
): string | undefined {
  const state = variable("AASM_STATE_DIR");
  if (state !== undefined && state !== "") return join(state, "identity");
  const home = variable("HOME");
  return home === undefined || home === "" ? undefined : join(home, ".aasm", "identity");
}

/** The four lines, exactly. */
function seedOf(text: string, path: string, agent_id: string): Uint8Array {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const [format, id, created, secret] = lines;
  const id_hex = /^agent_id_hex=((?:[0-9a-f]{2})+)$/.exec(id ?? "")?.[1];
  const seed_hex = /^secret_seed_hex=([0-9a-f]{64})$/.exec(secret ?? "")?.[1];
  const well_formed = lines.length === 4 && format === FORMAT &&
    /^created_at_unix=\d{1,15}$/.test(created ?? "");
  if (!well_formed || id_hex === undefined || seed_hex === undefined) {
    throw refusal(path, "is damaged: restore it, or rotate the identity");
  }
  if (id_hex !== hexOf(new TextEncoder().encode(agent_id))) {
    throw refusal(path, "holds the key of another agent");
  }
  return Uint8Array.from(seed_hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function ownUid(): number {
  let uid: number | undefined;
  try {
    uid = process.getuid?.();
  } catch (error) {
    throw new IdentityUnavailableError(
      "whose files to trust cannot be asked: allow `--allow-sys=uid`, or give `owner_uid`",
      error,
    );
  }
  if (uid !== undefined) return uid;
  throw new IdentityUnavailableError("this system has no user ids: give `owner_uid`");
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw refusal(path, "cannot be looked at", error);
  }
}

function isMissing(error: unknown): boolean {
  return Reflect.get(Object(error), "code") === "ENOENT";
}

function refusal(path: string, what: string, cause?: unknown): IdentityUnavailableError {
  return new IdentityUnavailableError(`identity \`${path}\` ${what}`, cause);
}
