/**
 * A proof that travels alone: entry index, inclusion path and checkpoint in one text
 * (C2SP tlog-proof).
 *
 * @module
 */
import { decodeBase64, NOTE_BYTES_MAX } from "./checkpoint.ts";
import { HASH_BYTES } from "./entry.ts";

/** The parts of a proof text. */
export interface LogProof {
  readonly index: bigint;
  /** Leaf's sibling first. */
  readonly path: readonly Uint8Array[];
  /** The checkpoint, verbatim. */
  readonly checkpoint: string;
}

/** A text that is not a tlog proof. */
export class ProofError extends Error {
  override readonly name = "ProofError";
}

const HEADER = "c2sp.org/tlog-proof@v1";
/** Longest inclusion path: the tree has fewer than 2^63 entries. */
const PATH_HASHES_MAX = 63;

/** Proof text; file extension `.tlog-proof`. */
export function formatProof(proof: LogProof): string {
  const path = proof.path.map((hash) => `${hash.toBase64()}\n`).join("");
  return `${HEADER}\nindex ${proof.index}\n${path}\n${proof.checkpoint}`;
}

/**
 * Takes a proof text apart; the `extra` line is skipped, it proves nothing.
 *
 * @throws {ProofError}
 */
export function parseProof(text: string): LogProof {
  const split = text.indexOf("\n\n");
  if (split < 0 || text.length > 2 * NOTE_BYTES_MAX) {
    throw new ProofError("cannot read proof: expected a header, an empty line and a checkpoint");
  }
  const [header, ...lines] = text.slice(0, split).split("\n");
  if (header !== HEADER) throw new ProofError(`cannot read proof: expected \`${HEADER}\` first`);
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = /^index (0|[1-9]\d{0,18})$/.exec(lines.shift() ?? "")?.[1];
  if (index === undefined) throw new ProofError("cannot read proof: expected `index <number>`");
  if (lines.length > PATH_HASHES_MAX) throw new ProofError("cannot read proof: path is too long");
  const path = lines.map((line) => {
    const hash = decodeBase64(line);
    if (hash?.length !== HASH_BYTES) {
      throw new ProofError("cannot read proof: a path line is not the base64 of 32 bytes");
    }
    return hash;
  });
  return { index: BigInt(index), path, checkpoint: text.slice(split + 2) };
}
