/**
 * Signed notes and checkpoints as a stranger reads them (C2SP signed-note, tlog-checkpoint), with
 * an Ed25519 implementation of its own.
 *
 * @module
 */
import { hash } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519";

/** What a checkpoint claims. */
export interface Head {
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
}

/** Whether the checkpoint is the log's own. `unchecked`: no verifier key was given. */
export type SignatureState = "valid" | "invalid" | "unchecked";

/** A checkpoint read, or why it cannot be. */
export type CheckpointReading =
  | {
    readonly kind: "head";
    readonly head: Head;
    readonly signature: SignatureState;
    /** Why the signature does not count. */
    readonly reason?: string;
  }
  | { readonly kind: "unreadable"; readonly reason: string };

const NOTE_CHARS_MAX = 65_536;

/** Reads a checkpoint and judges its signature. */
export function readCheckpoint(note: string, verifier_key: string | undefined): CheckpointReading {
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n") || note.length > NOTE_CHARS_MAX) {
    return { kind: "unreadable", reason: "is not a signed note" };
  }
  const text = note.slice(0, end + 1);
  const [origin, size, root, ...rest] = text.split("\n");
  const root_bytes = base64(root ?? "");
  if (
    !origin || !/^(?:0|[1-9]\d{0,14})$/.test(size ?? "") || root_bytes?.length !== 32 ||
    rest.pop() !== "" || rest.includes("")
  ) {
    return { kind: "unreadable", reason: "does not state an origin, a size and a root hash" };
  }
  const head: Head = { origin, size: Number(size), root: toHex(root_bytes) };
  if (verifier_key === undefined) return { kind: "head", head, signature: "unchecked" };
  const reason = signatureProblem(text, note.slice(end + 2, -1).split("\n"), verifier_key, origin);
  return reason === undefined
    ? { kind: "head", head, signature: "valid" }
    : { kind: "head", head, signature: "invalid", reason };
}

function signatureProblem(
  text: string,
  lines: readonly string[],
  verifier_key: string,
  origin: string,
): string | undefined {
  const key = readVerifierKey(verifier_key);
  if (key === undefined) return "the verifier key given is not an Ed25519 verifier key";
  if (key.name !== origin) return `its origin \`${origin}\` is not the key's name \`${key.name}\``;
  let found = false;
  for (const line of lines) {
    const [dash, name, blob, ...more] = line.split(" ");
    const bytes = base64(blob ?? "");
    if (dash !== "\u2014" || !name || bytes === undefined || bytes.length < 5 || more.length > 0) {
      return "it has a malformed signature line";
    }
    if (name !== key.name || toHex(bytes.subarray(0, 4)) !== key.id) continue;
    found = true;
    if (!verifies(bytes.subarray(4), text, key.bytes)) return "its signature does not verify";
  }
  return found ? undefined : "it is not signed by the verifier key";
}

function verifies(signature: Uint8Array, text: string, key: Uint8Array): boolean {
  try {
    // Strict RFC 8032 verification, not the laxer ZIP 215 default.
    return ed25519.verify(signature, new TextEncoder().encode(text), key, { zip215: false });
  } catch {
    return false;
  }
}

function readVerifierKey(
  text: string,
): { name: string; id: string; bytes: Uint8Array } | undefined {
  const [name, id, ...rest] = text.trim().split("+");
  // Standard base64 may hold plus signs of its own.
  const blob = base64(rest.join("+"));
  if (!name || /\s/.test(name) || blob?.length !== 33 || blob[0] !== 1) return undefined;
  const named = new Uint8Array([...new TextEncoder().encode(`${name}\n`), ...blob]);
  if (hash("sha256", named, "hex").slice(0, 8) !== id) return undefined;
  return { name, id, bytes: blob.slice(1) };
}

/** Strict standard base64; `undefined` otherwise. */
export function base64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const binary = atob(text);
  // Trailing bits that decode to nothing would give one hash two texts.
  return btoa(binary) === text ? Uint8Array.from(binary, (c) => c.charCodeAt(0)) : undefined;
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
