/**
 * Signed policy bundles: a set of policy files, which version of whose it is, and an Ed25519
 * signature over that.
 *
 * What is signed is a note (C2SP signed-note) that names the set by the digest of its exact bytes,
 * so that any implementation of that format can check it. Its first line tells it from a checkpoint
 * that the same key may have signed.
 *
 * @module
 */
import {
  keyId,
  NoteError,
  type NoteSignature,
  type NoteVerifier,
  openNote,
  parseNote,
} from "../../audit/checkpoint.ts";
import { digestOfTexts, nameProblem, type PolicyText, type SetMode } from "./policy_set.ts";

/** First line of the signed text. */
const FIRST_LINE = "agent-assembly policy bundle v1";
const FORMAT = "agent-assembly-policy-bundle/1";
/** Longest bundle text, in characters; a longer one is refused unread. */
export const BUNDLE_CHARS_MAX = 3 * 1024 * 1024;

/** What a bundle says of its set. */
export interface Manifest {
  /** Counts up with its signer; a lower one than was seen before is a downgrade. */
  readonly version: number;
  /** Digest of the set it was made from; `none` for the first. */
  readonly parent: string;
  /** Digest of the set. */
  readonly digest: string;
  readonly mode: SetMode;
  readonly created_at_ms: number;
}

/** A bundle whose signature and content hold. */
export interface Bundle extends Manifest {
  /** Who signed. */
  readonly signer: NoteVerifier;
  readonly texts: readonly PolicyText[];
}

/** A bundle, or why it is none. */
export type BundleCheck =
  | { readonly ok: true; readonly bundle: Bundle }
  | {
    readonly ok: false;
    readonly because: "malformed" | "unknown_signer" | "bad_signature" | "content_mismatch";
    readonly message: string;
  };

/**
 * Makes and signs a bundle.
 *
 * @param sign Makes a signed note of a text, e.g. `signNote` with a key.
 * @throws {RangeError} when it would be longer than {@linkcode BUNDLE_CHARS_MAX}.
 */
export function signBundle(
  manifest: Omit<Manifest, "digest">,
  texts: readonly PolicyText[],
  sign: (text: string) => string,
): string {
  const digest = digestOfTexts(manifest.mode, texts);
  const bundle = JSON.stringify(
    {
      format: FORMAT,
      manifest: sign(manifestText({ ...manifest, digest })),
      files: texts.map(({ name, content }) => ({ name, content: content.toBase64() })),
    },
    undefined,
    2,
  ) + "\n";
  if (bundle.length > BUNDLE_CHARS_MAX) {
    throw new RangeError(
      `cannot bundle the policy: \`${bundle.length}\` characters, at most ${BUNDLE_CHARS_MAX}`,
    );
  }
  return bundle;
}

/**
 * Checks a bundle. Pure; never throws.
 *
 * @param trusted Keys whose signature counts.
 */
export function checkBundle(text: string, trusted: readonly NoteVerifier[]): BundleCheck {
  const shape = readShape(text);
  if (typeof shape === "string") return refuse("malformed", shape);
  const signed = verified(shape.manifest, trusted);
  if ("because" in signed) return { ok: false, ...signed };
  const manifest = readManifest(signed.text);
  if (manifest === undefined) return refuse("malformed", "its manifest is none of ours");
  const found = digestOfTexts(manifest.mode, shape.texts);
  if (found !== manifest.digest) {
    return refuse(
      "content_mismatch",
      `its files are not the signed ones: the set is \`${found}\`, signed is \`${manifest.digest}\``,
    );
  }
  return { ok: true, bundle: { ...manifest, signer: signed.signer, texts: shape.texts } };
}

function verified(
  note: string,
  trusted: readonly NoteVerifier[],
):
  | { readonly text: string; readonly signer: NoteVerifier }
  | {
    readonly because: "malformed" | "unknown_signer" | "bad_signature";
    readonly message: string;
  } {
  let signatures: readonly NoteSignature[];
  try {
    ({ signatures } = parseNote(note));
  } catch (error) {
    return { because: "malformed", message: messageOf(error) };
  }
  let failure: string | undefined;
  for (const signer of trusted.filter((known) => signatures.some((one) => isBy(one, known)))) {
    try {
      return { text: openNote(note, signer), signer };
    } catch (error) {
      failure = messageOf(error);
    }
  }
  return failure === undefined
    ? {
      because: "unknown_signer",
      message: `it is signed by \`${
        signatures.map(({ name }) => name).join(", ").slice(0, 200)
      }\`, whom nobody here trusts`,
    }
    : { because: "bad_signature", message: failure };
}

/** A signature is somebody's by name and key id: a name alone anybody can take. */
function isBy({ name, key_id }: NoteSignature, known: NoteVerifier): boolean {
  return name === known.name && key_id.toHex() === keyId(known.name, known.public_key).toHex();
}

function manifestText(manifest: Manifest): string {
  return [
    FIRST_LINE,
    `version ${manifest.version}`,
    `parent ${manifest.parent}`,
    `set ${manifest.digest}`,
    `mode ${manifest.mode}`,
    `created ${manifest.created_at_ms}`,
    "",
  ].join("\n");
}

const MANIFEST = new RegExp(
  `^${FIRST_LINE}\nversion ([1-9]\\d{0,14})\nparent (none|sha256:[0-9a-f]{64})\n` +
    "set (sha256:[0-9a-f]{64})\nmode (single_file|directory)\ncreated (\\d{1,15})\n$",
);

function readManifest(text: string): Manifest | undefined {
  const match = MANIFEST.exec(text);
  if (match === null) return undefined;
  const [, version, parent = "", digest = "", mode, created] = match;
  return {
    version: Number(version),
    parent,
    digest,
    mode: mode === "single_file" ? "single_file" : "directory",
    created_at_ms: Number(created),
  };
}

interface Shape {
  readonly manifest: string;
  readonly texts: readonly PolicyText[];
}

/** The parts of a bundle text, or what is wrong with it. */
function readShape(text: string): Shape | string {
  if (text.length > BUNDLE_CHARS_MAX) return `it is longer than ${BUNDLE_CHARS_MAX} characters`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  if (!isObject(value) || value["format"] !== FORMAT) return `its format is not \`${FORMAT}\``;
  const { manifest, files } = value;
  if (typeof manifest !== "string" || !Array.isArray(files)) return "it lacks a manifest or files";
  const texts: PolicyText[] = [];
  for (const file of files) {
    const read = readFile(file);
    if (typeof read === "string") return read;
    if (texts.some(({ name }) => name.toLowerCase() === read.name.toLowerCase())) {
      return `file \`${read.name}\` stands in it twice`;
    }
    texts.push(read);
  }
  return { manifest, texts };
}

function readFile(file: unknown): PolicyText | string {
  if (!isObject(file) || typeof file["name"] !== "string" || typeof file["content"] !== "string") {
    return "a file in it lacks a name or content";
  }
  const problem = nameProblem(file["name"]);
  if (problem !== undefined) return `file \`${file["name"].slice(0, 80)}\`: ${problem}`;
  try {
    return { name: file["name"], content: Uint8Array.fromBase64(file["content"]) };
  } catch {
    return `file \`${file["name"]}\` is no base64`;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof NoteError ? error.message : String(error);
}

function refuse(because: "malformed" | "content_mismatch", message: string): BundleCheck {
  return { ok: false, because, message };
}
