/**
 * Checkpoints: the tree head as a signed note (C2SP tlog-checkpoint, signed-note), with Ed25519.
 *
 * @module
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { HASH_BYTES } from "./entry.ts";
import { equalBytes } from "./merkle.ts";

/** A tree head: who vouches, how many entries, which root. */
export interface TreeHead {
  /** Origin line of the log. */
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** A signer: the key name and the Ed25519 key behind it. */
export interface NoteSigner {
  readonly name: string;
  readonly private_key: KeyObject;
}

/** A public key as a verifier knows it. */
export interface NoteVerifier {
  readonly name: string;
  /** 32 bytes. */
  readonly public_key: Uint8Array;
}

/** A note that is malformed, or not signed by the key it should be signed by. */
export class NoteError extends Error {
  override readonly name = "NoteError";
}

const ED25519 = 0x01;
const KEY_ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** A larger note is refused unread. */
export const NOTE_BYTES_MAX = 65_536;
const SIGNATURES_MAX = 64;
/** 4-byte key id: SHA-256 of name, newline, type byte and key (signed-note). */
export function keyId(name: string, public_key: Uint8Array): Uint8Array {
  const digest = createHash("sha256").update(`${name}\n`).update(Uint8Array.of(ED25519))
    .update(public_key).digest();
  return new Uint8Array(digest.subarray(0, KEY_ID_BYTES));
}

/** Raw 32 bytes of an Ed25519 public key, or of the public half of a private one. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  const { x } = createPublicKey(key.type === "private" ? privatePem(key) : key)
    .export({ format: "jwk" });
  return Uint8Array.fromBase64(x ?? "", { alphabet: "base64url" });
}

function privatePem(key: KeyObject): string {
  return String(key.export({ type: "pkcs8", format: "pem" }));
}

/** Verifier key text `name+<key id>+<base64>`, as Go's `note` and every C2SP tool read it. */
export function formatVerifierKey(verifier: NoteVerifier): string {
  const id = keyId(verifier.name, verifier.public_key).toHex();
  return `${verifier.name}+${id}+${Uint8Array.of(ED25519, ...verifier.public_key).toBase64()}`;
}

/** @throws {NoteError} When the text is not an Ed25519 verifier key. */
export function parseVerifierKey(text: string): NoteVerifier {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text.trim());
  const name = match?.[1];
  const bytes = decodeBase64(match?.[3] ?? "");
  if (name === undefined || bytes === undefined || bytes.length !== 33 || bytes[0] !== ED25519) {
    throw new NoteError(
      "cannot read verifier key: expected `<name>+<8 hex>+<base64>` of an Ed25519 key",
    );
  }
  const public_key = bytes.slice(1);
  if (keyId(name, public_key).toHex() !== match?.[2]) {
    throw new NoteError("cannot read verifier key: its key id does not belong to its key and name");
  }
  return { name, public_key };
}

/** Note text of a tree head, final newline included. */
export function formatTreeHead(head: TreeHead): string {
  return `${head.origin}\n${head.size}\n${head.root.toBase64()}\n`;
}

/** Signs a tree head; the result is the whole checkpoint. */
export function signTreeHead(head: TreeHead, signer: NoteSigner): string {
  return signNote(formatTreeHead(head), signer);
}

/** Signs a text, final newline included; the result is the whole note (signed-note). */
export function signNote(text: string, signer: NoteSigner): string {
  const id = keyId(signer.name, rawPublicKey(signer.private_key));
  const signature = sign(null, new TextEncoder().encode(text), signer.private_key);
  const line = Uint8Array.of(...id, ...signature).toBase64();
  return `${text}\n\u2014 ${signer.name} ${line}\n`;
}

/** One signature line of a note. */
export interface NoteSignature {
  readonly name: string;
  readonly key_id: Uint8Array;
  readonly signature: Uint8Array;
}

/** A note taken apart; nothing in it is trusted yet. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** @throws {NoteError} When the bytes are not a signed note. */
export function parseNote(note: string): Note {
  // deno-lint-ignore no-control-regex -- the specification forbids exactly these
  if (note.length > NOTE_BYTES_MAX || /[\x00-\x09\x0b-\x1f]/.test(note) || !note.isWellFormed()) {
    throw new NoteError("cannot read note: too long, or it has control characters");
  }
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || !note.endsWith("\n")) {
    throw new NoteError("cannot read note: expected text, an empty line, and signature lines");
  }
  const lines = note.slice(split + 2, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) throw new NoteError("cannot read note: too many signatures");
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): NoteSignature {
  const match = /^\u2014 ([^\s+]+) (\S+)$/u.exec(line);
  const bytes = decodeBase64(match?.[2] ?? "");
  if (match?.[1] === undefined || bytes === undefined || bytes.length <= KEY_ID_BYTES) {
    throw new NoteError("cannot read note: a signature line is malformed");
  }
  return {
    name: match[1],
    key_id: bytes.slice(0, KEY_ID_BYTES),
    signature: bytes.slice(KEY_ID_BYTES),
  };
}

/**
 * Text of a note that the given key signed. Lines of unknown keys are ignored; a line of the
 * known key that does not verify spoils the note (signed-note).
 *
 * @throws {NoteError}
 */
export function openNote(note: string, verifier: NoteVerifier): string {
  const { text, signatures } = parseNote(note);
  const id = keyId(verifier.name, verifier.public_key);
  const ours = signatures.filter((s) => s.name === verifier.name && equalBytes(s.key_id, id));
  if (ours.length === 0) throw new NoteError(`note is not signed by key \`${verifier.name}\``);
  const x = verifier.public_key.toBase64({ alphabet: "base64url", omitPadding: true });
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const message = new TextEncoder().encode(text);
  for (const { signature } of ours) {
    if (signature.length !== SIGNATURE_BYTES || !verify(null, message, key, signature)) {
      throw new NoteError(`note has a bad signature of key \`${verifier.name}\``);
    }
  }
  return text;
}

/** @throws {NoteError} When the note text is not a tree head. */
export function parseTreeHead(text: string): TreeHead {
  const [origin = "", size = "", root = "", ...rest] = text.split("\n");
  const bytes = decodeBase64(root);
  if (
    origin === "" || !/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)) ||
    bytes?.length !== HASH_BYTES || rest.at(-1) !== "" || rest.slice(0, -1).includes("")
  ) {
    throw new NoteError("cannot read checkpoint: expected lines of origin, size and root hash");
  }
  return { origin, size: Number(size), root: bytes };
}

/** Whether a note text is a tree head. */
export function isTreeHead(text: string): boolean {
  try {
    parseTreeHead(text);
    return true;
  } catch {
    return false;
  }
}

/** Strict base64; `undefined` when malformed. */
export function decodeBase64(text: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
    // fromBase64 skips white space, which no C2SP text may hold.
    return bytes.toBase64() === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}
