/**
 * Which key a log must be signed with: pinned on the command line, remembered from before, or seen
 * now for the first time. A key that changed is refused, and so is a log that shrank or was
 * rewritten since it was last verified.
 *
 * @module
 */
import type { TreeHead } from "../core/audit/checkpoint.ts";
import { consistencyProof, verifyConsistency } from "../core/audit/merkle.ts";
import { HASH_BYTES } from "../core/audit/entry.ts";
import { nodesFromTiles, TILE_WIDTH, type TileName, tilePath } from "../core/audit/tiles.ts";
import type { LogReader } from "../core/audit/verify/mod.ts";
import { CommandError, ExitCode } from "./exit_code.ts";
import { wordsOrFile } from "./files.ts";
import { parsedKey, readKnownLogs, rememberLog, type VerifiedTree } from "./known_logs.ts";

/** Where trust in a key comes from. */
export type TrustSource = "pinned" | "remembered" | "first use";

/** A verifier key that the log has to answer to. */
export interface TrustedKey {
  /** C2SP verifier key text. */
  readonly text: string;
  readonly source: TrustSource;
  /** The tree that was verified before, when remembered. */
  readonly verified?: VerifiedTree;
}

/** The trust flags of a command. */
export interface TrustFlags {
  readonly key?: string | undefined;
  readonly known_keys: string;
}

/**
 * The key to verify with.
 *
 * @param origin Origin that the checkpoint names.
 * @param offered Key that the log's owner offers; absent when there is only the log.
 * @returns `undefined` when no key is known and none was offered.
 * @throws {CommandError} when the offered key is not the remembered one, or a key is malformed.
 */
export async function trustedKey(
  flags: TrustFlags,
  origin: string,
  offered: string | undefined,
): Promise<TrustedKey | undefined> {
  if (flags.key !== undefined) {
    const text = await wordsOrFile(flags.key, "verifier key");
    parsedKey(text, "--key");
    return { text, source: "pinned" };
  }
  const known = (await readKnownLogs(flags.known_keys)).find((log) => log.origin === origin);
  if (known !== undefined) {
    if (offered === undefined || offered === known.key) {
      const { key, verified } = known;
      return { text: key, source: "remembered", ...(verified === undefined ? {} : { verified }) };
    }
    throw new CommandError(
      `the key of log \`${origin}\` changed: remembered \`${known.key}\`, now offered \`${offered}\``,
      ExitCode.VERIFICATION_FAILED,
      `find out why; if the change is yours, remove its line from ${flags.known_keys}`,
    );
  }
  if (offered === undefined) return undefined;
  const { name } = parsedKey(offered, "the gateway");
  if (name !== origin) {
    throw new CommandError(
      `the offered key belongs to log \`${name}\`, the checkpoint to \`${origin}\``,
      ExitCode.VERIFICATION_FAILED,
    );
  }
  return { text: offered, source: "first use" };
}

/**
 * Holds a verified tree against the one verified before, then remembers it. Nothing is remembered
 * of a pinned key.
 *
 * @throws {CommandError} when the log shrank, or does not extend what was verified before.
 */
export async function rememberVerified(
  flags: TrustFlags,
  key: TrustedKey,
  head: TreeHead,
  reader: LogReader,
): Promise<void> {
  if (key.source === "pinned") return;
  const { verified } = key;
  if (verified !== undefined) await checkGrowth(verified, head, reader);
  const { origin, size, root } = head;
  await rememberLog(flags.known_keys, { origin, key: key.text, verified: { size, root } });
}

async function checkGrowth(
  before: VerifiedTree,
  head: TreeHead,
  reader: LogReader,
): Promise<void> {
  if (head.size < before.size) {
    throw new CommandError(
      `log \`${head.origin}\` was rolled back: it had ${before.size} entries when last verified, ` +
        `now ${head.size}`,
      ExitCode.VERIFICATION_FAILED,
      "entries were removed, or an old copy was put in place: find out which",
    );
  }
  const read = (name: TileName) => readTile(name, reader);
  const proof = await consistencyProof(before.size, head.size, nodesFromTiles(head.size, read));
  // An empty tree is a beginning of every tree.
  if (before.size === 0) return;
  if (verifyConsistency(before.size, head.size, before.root, head.root, proof)) return;
  throw new CommandError(
    `the history of log \`${head.origin}\` was rewritten: its first ${before.size} entries are ` +
      "not those verified before",
    ExitCode.VERIFICATION_FAILED,
    "keep both copies, and find out who holds the log's key",
  );
}

/** A partial tile may have given way to the full one; its first hashes are the same. */
async function readTile(name: TileName, reader: LogReader): Promise<Uint8Array> {
  const bytes = await reader.read(`log/${tilePath(name)}`) ??
    await reader.read(`log/${tilePath({ ...name, width: TILE_WIDTH })}`);
  const length = name.width * HASH_BYTES;
  if (bytes !== undefined && bytes.length >= length) return bytes.subarray(0, length);
  throw new CommandError(
    `the log's tile \`${tilePath(name)}\` is missing or short`,
    ExitCode.VERIFICATION_FAILED,
    "run `aasm audit verify`",
  );
}

/** A sentence for people about where the trust comes from. */
export function trustText(key: TrustedKey, flags: TrustFlags): string {
  switch (key.source) {
    case "pinned":
      return "key pinned by --key";
    case "remembered":
      return `key remembered in ${flags.known_keys}` +
        (key.verified === undefined
          ? ""
          : `; extends the ${key.verified.size} entries verified before`);
    case "first use":
      return `key seen for the first time and now remembered in ${flags.known_keys}; ` +
        "compare it with the one the gateway printed at its start";
  }
}
