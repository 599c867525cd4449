/**
 * Verifies an audit log from its files alone: the linear chain, the Merkle tree, every tile and
 * bundle, and the signed checkpoint. Written apart from the code that writes logs, from the same
 * contracts, so that one mistake cannot hide in both.
 *
 * @module
 */
import { ChainCheck, LOG_FILE, splitLines } from "./chain.ts";
import { LogCheck, type VerifyOptions } from "./log_check.ts";
import type { ChainReport, Problem, VerifyReport } from "./report.ts";
import type { LogReader } from "./resources.ts";

export type { VerifyOptions } from "./log_check.ts";

export type { LogReader } from "./resources.ts";
export type { ChainReport, Problem, ProblemKind, VerifyReport } from "./report.ts";
export { type ProofReport, verifyProof } from "./proof.ts";

/** Verifies a whole log. Never throws for what it finds; only for a reader that fails. */
export async function verifyLog(
  reader: LogReader,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  return await new LogCheck(reader, options).run();
}

/**
 * Checks the linear chain of a JSONL file, as the reference's `verify-chain` does and more
 * strictly. A file without entries is not OK: it proves nothing.
 *
 * @param input The file, or its pieces.
 */
export async function verifyChainJsonl(
  input: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<ChainReport> {
  const chain = new ChainCheck();
  for await (const { bytes, ended } of splitLines(input instanceof Uint8Array ? [input] : input)) {
    chain.push(bytes, ended);
  }
  const problems: readonly Problem[] = chain.entries > 0 ? chain.problems : [{
    kind: "no_entries",
    resource: LOG_FILE,
    message: "there are no entries: nothing is verified",
  }];
  const first = problems[0];
  return {
    ok: first === undefined,
    reference_ok: chain.reference_ok,
    entries: chain.entries,
    ...(first === undefined ? {} : { first }),
    problems,
    summary: first === undefined
      ? `OK \u2014 ${chain.entries} entries verified`
      : `NOT OK: ${first.message}`,
  };
}
