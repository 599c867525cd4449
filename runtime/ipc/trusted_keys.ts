/**
 * Which handshake keys a runtime takes (contract `wire` §3.4, trap R16): the one anyone can make
 * from the agent's id, keys that were installed for it, or either.
 *
 * @module
 */
import { HandshakeKeys, publicIdKey } from "../../proto/ipc/mod.ts";
import { ed25519KeyOf, parseDidKey } from "../../core/identity/did_key.ts";
import { isPublicKey } from "../../core/identity/ed25519.ts";
import type { Connection } from "../parts.ts";
import { IPC_ROOM_LIMITS } from "./limits.ts";

/** Which of the two kinds of keys the runtime takes. */
export type HandshakeMode = "public_id" | "installed" | "either";

/** A trusted key as read, or what is wrong with its text. */
export type ParsedKey =
  | { readonly ok: true; readonly public_key: Uint8Array }
  | { readonly ok: false; readonly message: string };

/**
 * Reads a public key of an agent.
 *
 * @param text 64 hexadecimal digits, or a did:key.
 */
export function parseTrustedKey(text: string): ParsedKey {
  const bytes = /^[0-9a-fA-F]{64}$/.test(text) ? Uint8Array.fromHex(text) : keyOfDid(text);
  if (bytes === undefined) {
    return { ok: false, message: "is neither 64 hexadecimal digits nor an Ed25519 did:key" };
  }
  return isPublicKey(bytes)
    ? { ok: true, public_key: bytes }
    : { ok: false, message: "is not a point of the curve" };
}

function keyOfDid(text: string): Uint8Array | undefined {
  const did = parseDidKey(text);
  return did.ok ? ed25519KeyOf(did.bytes) : undefined;
}

/**
 * Reads a file of trusted keys: one a line, in either form; blank lines and lines after `#` are
 * comments.
 *
 * @throws {Error} naming the line that is no key
 */
export function parseTrustedKeyFile(text: string): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const word = line.replace(/#.*$/, "").trim();
    if (word === "") continue;
    const key = parseTrustedKey(word);
    if (!key.ok) throw new Error(`line ${index + 1} ${key.message}`);
    keys.push(key.public_key);
  }
  return keys;
}

/**
 * All the keys that the runtime was told to trust.
 *
 * @throws {Error} naming the key or the line that is none, or a file that others may write
 */
export async function readTrustedKeys(config: {
  readonly trusted_keys: readonly string[];
  readonly trusted_keys_file?: string;
}): Promise<Uint8Array[]> {
  const keys = config.trusted_keys.map((text) => {
    const key = parseTrustedKey(text);
    if (!key.ok) throw new Error(`the trusted key \`${text.slice(0, 80)}\` ${key.message}`);
    return key.public_key;
  });
  const path = config.trusted_keys_file;
  if (path !== undefined) {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o022) !== 0) {
      throw new Error(`the trusted keys in \`${path}\` can be changed by others: \`chmod 600\` it`);
    }
    try {
      keys.push(...parseTrustedKeyFile(await Deno.readTextFile(path)));
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`the trusted keys in \`${path}\` cannot be read: ${text}`, { cause: error });
    }
  }
  if (keys.length > IPC_ROOM_LIMITS.trusted_keys_max) {
    throw new Error(`more than ${IPC_ROOM_LIMITS.trusted_keys_max} trusted keys are named`);
  }
  return keys;
}

/**
 * The keys that a handshake may use.
 *
 * @param installed Public keys of 32 bytes that the runtime was told to trust.
 */
export function handshakeKeys(
  mode: HandshakeMode,
  agent_id: string,
  installed: readonly Uint8Array[],
): HandshakeKeys<Connection["handshake"]> {
  const known: [Uint8Array, Connection["handshake"]][] = [];
  const shared = publicIdKey(agent_id).public_key;
  // First, so that a public-id key that was also "installed" never counts as a secret.
  if (mode !== "installed") known.push([shared, "public_id"]);
  if (mode !== "public_id") {
    for (const key of installed) {
      if (!sameBytes(key, shared)) known.push([key, "installed"]);
    }
  }
  return new HandshakeKeys(known);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
