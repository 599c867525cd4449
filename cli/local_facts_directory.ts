/**
 * A copy of a gateway's decision facts, read without the gateway.
 *
 * @module
 */
import { REPLAY_LIMITS } from "../core/replay/limits.ts";
import { readFacts, segmentStart } from "../core/replay/reading.ts";
import type { FactBatch } from "../core/replay/replay.ts";
import { FACTS_KEY_BYTES } from "../core/replay/segment.ts";
import { CommandError, ExitCode } from "./exit_code.ts";
import { readFile, readSmallText } from "./files.ts";

/** A directory of segments and the file of their key. */
export interface FactsDirectory {
  readonly directory: string;
  readonly key_file: string;
}

/**
 * What `--facts` and `--facts-key` name; `undefined` when the gateway is to be asked.
 *
 * @throws {CommandError} when only one of the two is given.
 */
export function factsDirectoryOf(
  { facts, facts_key }: {
    readonly facts?: string | undefined;
    readonly facts_key?: string | undefined;
  },
): FactsDirectory | undefined {
  if (facts === undefined && facts_key === undefined) return undefined;
  if (facts !== undefined && facts_key !== undefined) {
    return { directory: facts, key_file: facts_key };
  }
  throw new CommandError(
    "--facts and --facts-key belong together",
    ExitCode.USAGE,
    "give both, or neither to ask the gateway",
  );
}

/** One frame more than a segment may grow to. */
const SEGMENT_FILE_BYTES_MAX = REPLAY_LIMITS.segment_bytes + REPLAY_LIMITS.frame_bytes;

/** Opens a directory: gives its batches from a moment on, as often as asked. */
export async function openFactsDirectory(
  { directory, key_file }: FactsDirectory,
  onNote: (note: string) => void,
): Promise<(from_ms: number) => AsyncGenerator<FactBatch>> {
  const digits = await readSmallText(key_file, "facts key");
  if (!new RegExp(`^[0-9a-fA-F]{${2 * FACTS_KEY_BYTES}}$`).test(digits)) {
    throw new CommandError(
      `cannot use facts key \`${key_file}\`: expected ${2 * FACTS_KEY_BYTES} hexadecimal digits`,
      ExitCode.FAILURE,
      "name the gateway's facts.key",
    );
  }
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      if (entry.isFile && segmentStart(entry.name) !== undefined) names.push(entry.name);
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`cannot read facts in \`${directory}\`: ${why}`);
  }
  if (names.length === 0) onNote(`\`${directory}\` holds no segment of decision facts`);
  const told = new Set<string>();
  return (from_ms) =>
    readFacts({
      source: {
        names,
        read: (name) => readFile(`${directory}/${name}`, SEGMENT_FILE_BYTES_MAX, "facts"),
      },
      key: Uint8Array.fromHex(digits),
      from_ms,
      breathe: () => Promise.resolve(),
      onProblem: ({ segment, problem }) => {
        const note = `${segment}: ${problem}`;
        if (!told.has(note)) onNote(note);
        told.add(note);
      },
    });
}
