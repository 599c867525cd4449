/**
 * Runs the appending child under the narrowest permissions and reads what it acknowledges.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("./_append_child.ts", import.meta.url));
const SOURCE = fileURLToPath(new URL("../../", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** What a child said before it ended. */
export interface ChildOutput {
  readonly acknowledged: readonly { readonly seq: number; readonly hash: string }[];
  readonly refused: readonly string[];
  readonly other: readonly string[];
}

/** How to run the child. */
export interface ChildOptions {
  readonly writers: number;
  readonly checkpoint_interval_ms?: number;
  /** Program and arguments put before the child's own, e.g. a tracer or a shell with limits. */
  readonly wrap?: readonly string[];
  /** Whether the tree has its own thread, which needs to read the program's source. */
  readonly tree_thread?: boolean;
  /** Called with each acknowledgement's count; `true` kills the child with SIGKILL. */
  readonly kill_when?: (acknowledged: number) => boolean;
}

/** Deno command line of the child: it may write its root directory and nothing else. */
function childCommand(root: string, options: ChildOptions): string[] {
  return [
    ...(options.wrap ?? []),
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--no-remote",
    "--no-check",
    `--config=${CONFIG}`,
    `--allow-read=${options.tree_thread ? `${root},${SOURCE}` : root}`,
    `--allow-write=${root}`,
    CHILD,
    root,
    String(options.writers),
    String(options.checkpoint_interval_ms ?? 5),
  ];
}

/** Runs the child to its end. */
export async function runChild(root: string, options: ChildOptions): Promise<ChildOutput> {
  const [program = "", ...args] = childCommand(root, options);
  const child = new Deno.Command(program, { args, stdout: "piped", stderr: "piped" }).spawn();
  const errors = new Response(child.stderr).text();
  const acknowledged: { seq: number; hash: string }[] = [];
  const refused: string[] = [];
  const other: string[] = [];
  let rest = "";
  let killed = false;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [word, seq, hash = ""] = line.split(" ");
      if (word === "ack") acknowledged.push({ seq: Number(seq), hash });
      else if (word === "refused") refused.push(line);
      else other.push(line);
    }
    if (!killed && options.kill_when?.(acknowledged.length)) {
      killed = true;
      child.kill("SIGKILL");
    }
  }
  const { signal, code } = await child.status;
  if (killed) assert.equal(signal, "SIGKILL", await errors);
  else if (code !== 0 && other.length === 0) assert.fail(await errors);
  await errors;
  return { acknowledged, refused, other };
}
