/**
 * Verifies the log from its files alone, and plays the forger on a copy: turns one denial into an
 * allow, first crudely, then with every later hash of the chain made to fit.
 *
 * @module
 */
import { type ChainHead, GENESIS, headAfter, seal } from "../../core/audit/chain.ts";
import { encodeLine, parseLine } from "../../core/audit/line.ts";
import { type LogReader, verifyChainJsonl, verifyLog } from "../../core/audit/verify/mod.ts";
import { type Claim, claim } from "./evidence.ts";

/** The log file inside an audit directory. */
const LOG_FILE = "gateway-default.jsonl";

/** What a verification of files came to. */
export interface Verification {
  readonly ok: boolean;
  readonly entries: number;
  /** Entries under the signed checkpoint. */
  readonly covered: number;
  /** One line for a person. */
  readonly summary: string;
  /** First bad entry, when one is named. */
  readonly index?: number;
}

/**
 * Verifies an audit directory: chain, tiles and the signed checkpoint.
 *
 * @param verifier_key Got from the gateway while it ran: the directory cannot vouch for itself.
 */
export async function verifyDirectory(
  directory: string,
  verifier_key: string,
): Promise<Verification> {
  const { ok, entries, covered, summary, first } = await verifyLog(readerOf(directory), {
    verifier_key,
  });
  const index = first?.index;
  return { ok, entries, covered, summary, ...(index === undefined ? {} : { index }) };
}

function readerOf(directory: string): LogReader {
  return {
    async read(name) {
      try {
        return await Deno.readFile(`${directory}/${name}`);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
  };
}

/**
 * Claims about the log of a finished run.
 *
 * @param denied_index Entry of the denial to forge; without one there is nothing to forge.
 */
export async function claimsAboutTheLog(
  audit_dir: string,
  scratch_dir: string,
  verifier_key: string,
  denied_index: number | undefined,
): Promise<Claim[]> {
  const whole = await verifyDirectory(audit_dir, verifier_key);
  const claims = [
    claim(
      `the log verifies: ${whole.entries} entries, ${whole.covered} under the signed checkpoint`,
      whole.ok && whole.covered === whole.entries ? "" : whole.summary,
    ),
  ];
  if (denied_index === undefined) {
    return [...claims, claim("a denial is in the log", "there is none, so nothing can be forged")];
  }
  for (const forgery of ["crude", "careful"] as const) {
    const copy = `${scratch_dir}/${forgery}`;
    await copyDirectory(audit_dir, copy);
    await forge(copy, denied_index, forgery);
    claims.push(await claimFound(copy, verifier_key, denied_index, forgery));
  }
  return claims;
}

async function claimFound(
  copy: string,
  verifier_key: string,
  denied_index: number,
  forgery: "crude" | "careful",
): Promise<Claim> {
  const { index, ok, summary } = await verifyDirectory(copy, verifier_key);
  const named = index === undefined ? "no entry" : `entry ${index}`;
  const against = !ok && index === denied_index ? "" : `${named}: ${summary}`;
  if (forgery === "crude") {
    return claim(
      `tampered copy, entry ${denied_index} changed from denied to allowed: the verifier names ${named}`,
      against,
    );
  }
  // The chain alone must be fooled, or the forgery was not careful and proves nothing.
  const chain = await verifyChainJsonl(await Deno.readFile(`${copy}/${LOG_FILE}`));
  return claim(
    `tampered copy, every later hash made to fit (the chain alone says ${
      chain.ok ? "OK" : "NOT OK"
    }): the signed tree names ${named}`,
    chain.ok ? against : chain.summary,
  );
}

/** Turns the denial at `index` into an allow. */
async function forge(directory: string, index: number, how: "crude" | "careful"): Promise<void> {
  const path = `${directory}/${LOG_FILE}`;
  const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
  const denied = lines[index];
  if (denied === undefined) throw new Error(`the log has no entry ${index}`);
  lines[index] = allowed(denied);
  if (how === "careful") refit(lines, index);
  await Deno.writeTextFile(path, lines.join("\n") + "\n");
}

function allowed(line: string): string {
  const entry = parseLine(line);
  const payload = entry.payload
    .replace('"decision":2', '"decision":1')
    .replace('"verdict":"deny"', '"verdict":"allow"');
  if (payload === entry.payload) throw new Error("the entry to forge records no denial");
  return encodeLine({ ...entry, event_type: "ToolCallIntercepted", payload });
}

/** Computes every hash from `index` on again, as the gateway would have. */
function refit(lines: string[], index: number): void {
  let head: ChainHead = index === 0
    ? GENESIS
    : headAfter(BigInt(index - 1), parseLine(lines[index - 1] ?? "").entry_hash.toHex());
  for (let at = index; at < lines.length; at++) {
    const sealed = seal(parseLine(lines[at] ?? ""), head);
    lines[at] = sealed.line;
    head = sealed.next;
  }
}

async function copyDirectory(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await copyDirectory(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else if (entry.isFile) await Deno.copyFile(`${from}/${entry.name}`, `${to}/${entry.name}`);
  }
}
