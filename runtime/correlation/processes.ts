/**
 * Which process came from which, as far as anybody told.
 *
 * @module
 */
import { CORRELATION_LIMITS } from "./limits.ts";

/** Who a process's parent is. */
export interface ProcessTable {
  /** `undefined` when nobody knows. */
  readonly parentOf: (pid: number) => number | undefined;
}

/** A process and its ancestors, nearest first; stops at what is unknown, at a cycle, at the bound. */
export function lineOf(pid: number, processes: ProcessTable): readonly number[] {
  const line = [pid];
  const seen = new Set(line);
  for (let at = pid; line.length <= CORRELATION_LIMITS.ancestors;) {
    const parent = processes.parentOf(at);
    if (parent === undefined || parent <= 0 || seen.has(parent)) break;
    seen.add(parent);
    line.push(parent);
    at = parent;
  }
  return line;
}

/** Parents as kernel events tell them, bounded. Ask `behind` for what they did not tell. */
export class ToldProcesses implements ProcessTable {
  readonly #parents = new Map<number, number>();
  readonly #behind: ProcessTable | undefined;

  constructor(behind?: ProcessTable) {
    this.#behind = behind;
  }

  /** A process was seen; a number that was used before is the new process's now. */
  tell(pid: number, parent: number): void {
    this.#parents.delete(pid);
    this.#parents.set(pid, parent);
    if (this.#parents.size <= CORRELATION_LIMITS.processes) return;
    for (const oldest of this.#parents.keys()) {
      this.#parents.delete(oldest);
      break;
    }
  }

  /** @inheritdoc */
  parentOf = (pid: number): number | undefined => {
    return this.#parents.get(pid) ?? this.#behind?.parentOf(pid);
  };
}
