/**
 * Where prices come from: the table of `--pricing FILE`, else the built-in one.
 *
 * @module
 */
import {
  DEFAULT_PRICING,
  LEDGER_LIMITS,
  type Pricing,
  readPricing,
} from "../../core/ledger/mod.ts";

/**
 * Reads the pricing file.
 *
 * @param path Absent: the built-in table.
 * @throws {Error} naming the file and what is wrong: a gateway does not start on prices that are
 * not the operator's.
 */
export async function loadPricing(path: string | undefined): Promise<Pricing> {
  if (path === undefined) return DEFAULT_PRICING;
  const { size } = await Deno.stat(path).catch((error) => {
    throw unreadable(path, error instanceof Error ? error.message : String(error));
  });
  if (size > LEDGER_LIMITS.pricing_file_bytes) {
    const most = LEDGER_LIMITS.pricing_file_bytes;
    throw unreadable(path, `it has ${size} bytes, at most ${most}`);
  }
  const read = readPricing(await Deno.readTextFile(path));
  if (read.ok) return read.pricing;
  throw unreadable(path, read.problem);
}

function unreadable(path: string, problem: string): Error {
  return new Error(
    `cannot read pricing file \`${path}\`: ${problem}; mend it, or start without --pricing`,
  );
}
