/**
 * Makes a failing session smaller while it fails in the same way.
 *
 * @module
 */

import type { Op, Session } from "./session.ts";

const TRIALS_MAX = 600;

/** A failure without its numbers and names: two of one kind are equal. */
export function kindOf(message: string): string {
  return message.replace(/[0-9]+|`[^`]*`/g, "#").slice(0, 200);
}

/** The smallest session found for which `fails` holds; `fails` holds for `session`. */
export async function minimize(
  session: Session,
  fails: (smaller: Session) => Promise<boolean>,
): Promise<Session> {
  let trials = 0;
  let best = session;
  const accept = async (smaller: Session): Promise<boolean> => {
    if (++trials > TRIALS_MAX || !await fails(smaller)) return false;
    best = smaller;
    return true;
  };
  for (let size = Math.ceil(best.ops.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.ops.length;) {
      const ops = best.ops.toSpliced(at, size);
      if (!await accept({ ...best, ops })) at += size;
    }
  }
  for (const name of Object.keys(best.bounds) as (keyof Session["bounds"])[]) {
    const { [name]: _left_out, ...bounds } = best.bounds;
    await accept({ ...best, bounds });
  }
  await accept({ ...best, reads: "whole" });
  await accept({ ...best, writes: "whole" });
  for (let at = 0; at < best.ops.length; at++) {
    for (const op of simpler(best.ops[at])) {
      if (await accept({ ...best, ops: best.ops.with(at, op) })) break;
    }
  }
  return best;
}

/** Plainer forms of a step, plainest first. */
function simpler(op: Op | undefined): Op[] {
  if (op?.op !== "frame") return [];
  const forms: Op[] = [];
  if ((op.times ?? 1) > 1) {
    const { times = 1, ...once } = op;
    forms.push(once, { ...op, times: Math.ceil(times / 8) }, { ...op, times: times >> 1 });
  }
  if (op.payload.length > 16) {
    forms.push({ ...op, payload: op.payload.slice(0, 16) });
    forms.push({ ...op, payload: op.payload.slice(0, op.payload.length >> 1) });
  }
  return forms;
}
