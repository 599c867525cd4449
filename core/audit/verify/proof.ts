/**
 * Verifies one entry with its proof, offline (C2SP tlog-proof).
 *
 * @module
 */
import { base64, readCheckpoint, toHex } from "./note.ts";
import { readRecord, RecordError } from "./record.ts";
import { leaf, provesInclusion } from "./tree.ts";

/** Whether a proof holds. */
export type ProofReport =
  | {
    readonly ok: true;
    readonly index: bigint;
    /** Entries of the log when the proof was made. */
    readonly size: number;
    readonly origin: string;
  }
  | { readonly ok: false; readonly message: string };

const FORM =
  /^c2sp\.org\/tlog-proof@v1\n(?:extra [^\n]*\n)?index (0|[1-9]\d{0,14})\n((?:[^\n]+\n)*)\n/;

/**
 * Checks that a line is entry `index` of the log that the key belongs to.
 *
 * @param proof Text of a `.tlog-proof`.
 * @param line JSON line of the entry, without the newline.
 * @param verifier_key `<origin>+<id>+<key>`.
 */
export function verifyProof(proof: string, line: string, verifier_key: string): ProofReport {
  const form = FORM.exec(proof);
  if (form === null) return refused("it is not a tlog proof");
  const index = Number(form[1]);
  const path = (form[2] ?? "").split("\n").slice(0, -1).map(base64);
  const reading = readCheckpoint(proof.slice(form[0].length), verifier_key);
  if (reading.kind === "unreadable") return refused(`its checkpoint ${reading.reason}`);
  if (reading.signature !== "valid") {
    return refused(reading.reason ?? "its checkpoint is not signed");
  }
  const hashes = path.map((hash) => hash?.length === 32 ? toHex(hash) : "");
  if (hashes.includes("")) return refused("its path holds something other than hashes");
  const { size, root, origin } = reading.head;
  const bytes = new TextEncoder().encode(line);
  if (!provesInclusion(index, size, leaf(bytes), hashes, root)) {
    return refused(`its path does not lead from this line to the signed root as entry ${index}`);
  }
  return ownHash(line, index) ?? { ok: true, index: BigInt(index), size, origin };
}

/** The line is in the tree; it must also be the entry it says it is. */
function ownHash(line: string, index: number): ProofReport | undefined {
  try {
    const record = readRecord(line);
    if (record.seq !== BigInt(index)) {
      return refused(`the line is entry ${record.seq}, not ${index}`);
    }
    if (record.computed_hash !== record.stated_hash) return refused("the line's own hash is wrong");
    return undefined;
  } catch (error) {
    if (error instanceof RecordError) return refused(`the line ${error.message}`);
    throw error;
  }
}

function refused(what: string): ProofReport {
  return { ok: false, message: `the proof does not hold: ${what}` };
}
