/**
 * The linear chain, checked line by line, and a name for what is wrong.
 *
 * @module
 */
import { type LineRecord, readRecord, RecordError } from "./record.ts";
import { type Problem, PROBLEMS_MAX } from "./report.ts";

const ZEROS = "00".repeat(32);
/** The log file's name in an audit directory. */
export const LOG_FILE = "gateway-default.jsonl";
const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Checks the chain as lines arrive. */
export class ChainCheck {
  #seq = 0n;
  /** `undefined` behind a line that could not be read. */
  #previous: string | undefined = ZEROS;
  #position = 0;
  #reference_ok = true;
  #problems: Problem[] = [];
  /** A gap whose entry may still turn up later, which makes it a reorder. */
  #missing: { readonly seq: bigint; readonly problem: number } | undefined;

  /** Lines seen. */
  get entries(): number {
    return this.#position;
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Whether the reference's weaker check passes too (wire §5.5). */
  get reference_ok(): boolean {
    return this.#reference_ok;
  }

  /** Takes the next line; `ended` says whether a newline follows it. */
  push(bytes: Uint8Array, ended: boolean): void {
    const index = this.#position++;
    let record: LineRecord;
    try {
      record = readRecord(TEXT.decode(bytes));
    } catch (error) {
      this.#reference_ok = false;
      const what = error instanceof RecordError ? error.message : "is not UTF-8 text";
      this.#add(index, "unreadable", `line ${index + 1} ${what}`);
      this.#seq++;
      this.#previous = undefined;
      return;
    }
    if (!ended) {
      this.#add(index, "unreadable", `line ${index + 1} is cut off: no newline ends it`);
    }
    this.#judge(index, record);
    this.#seq = record.seq + 1n;
    this.#previous = record.stated_hash;
  }

  #judge(index: number, record: LineRecord): void {
    const linked = this.#previous === undefined || record.previous_hash === this.#previous;
    const authentic = record.computed_hash === record.stated_hash;
    if (!authentic || (!linked && index > 0)) this.#reference_ok = false;
    if (this.#missing?.seq === record.seq) this.#found(this.#missing);
    const line = `line ${index + 1}`;
    if (!authentic) {
      this.#add(
        index,
        "edit",
        `${line}: the content of entry ${record.seq} does not have its hash`,
      );
    } else if (record.seq > this.#seq) {
      this.#missing ??= { seq: this.#seq, problem: this.#problems.length };
      this.#add(
        index,
        "omission",
        `${line} holds entry ${record.seq}: entry ${this.#seq} is missing`,
      );
    } else if (record.seq < this.#seq) {
      const what = `${line} holds entry ${record.seq} where entry ${this.#seq} belongs`;
      this.#add(index, "insertion", what);
    } else if (!linked) {
      const before = index === 0 ? "the beginning of a log" : "the entry before it";
      this.#add(index, "edit", `${line}: entry ${record.seq} does not follow ${before}`);
    }
  }

  /** The entry that seemed missing stands later. */
  #found(missing: { readonly seq: bigint; readonly problem: number }): void {
    const problem = this.#problems[missing.problem];
    if (problem === undefined) return;
    const message = `${problem.message}; it stands at line ${this.#position}`;
    this.#problems[missing.problem] = { ...problem, kind: "reorder", message };
    this.#missing = undefined;
  }

  #add(index: number, kind: Problem["kind"], message: string): void {
    if (this.#problems.length >= PROBLEMS_MAX) return;
    this.#problems.push({ kind, index, line: index + 1, resource: LOG_FILE, message });
  }
}

/** Lines of a byte stream; the last may lack its newline. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly ended: boolean }> {
  let rest = new Uint8Array(0);
  for await (const chunk of chunks) {
    const data = new Uint8Array(rest.length + chunk.length);
    data.set(rest);
    data.set(chunk, rest.length);
    let from = 0;
    for (let to = data.indexOf(10); to >= 0; to = data.indexOf(10, from)) {
      yield { bytes: data.subarray(from, to), ended: true };
      from = to + 1;
    }
    rest = data.slice(from);
  }
  if (rest.length > 0) yield { bytes: rest, ended: false };
}
