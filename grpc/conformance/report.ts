/**
 * What a conformance suite found: one outcome for each case and peer, printed as a table whose last
 * line counts them.
 *
 * @module
 */
// deno-lint-ignore-file no-console

/** How one case with one peer ended; every reason fits one line. */
type Outcome =
  | { readonly status: "ok"; readonly took_ms: number }
  | { readonly status: "FAIL"; readonly reason: string }
  | { readonly status: "SKIP"; readonly reason: string };

const REASON_CHARS_MAX = 600;

/** Collects outcomes in the order they come. */
export class Report {
  readonly #peers: string[] = [];
  readonly #cases: string[] = [];
  readonly #outcomes = new Map<string, Outcome>();

  /**
   * Runs a case and records how it ended.
   *
   * @param timeout_ms past it the case has failed; `body` hears of it by its signal
   */
  async run(
    peer: string,
    name: string,
    timeout_ms: number,
    body: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const started_ms = performance.now();
    const overdue = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const reason = new Error(`not done within ${timeout_ms} ms`);
        overdue.abort(reason);
        reject(reason);
      }, timeout_ms);
    });
    try {
      await Promise.race([body(overdue.signal), timeout]);
      this.record(peer, name, { status: "ok", took_ms: performance.now() - started_ms });
    } catch (reason) {
      this.fail(peer, name, reason);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Records a case that went well elsewhere, for example in a peer's own program. */
  pass(peer: string, name: string, took_ms: number): void {
    this.record(peer, name, { status: "ok", took_ms });
  }

  /** Records a failure. */
  fail(peer: string, name: string, reason: unknown): void {
    const text = reason instanceof Error ? reason.message : String(reason);
    this.record(peer, name, { status: "FAIL", reason: oneLine(text) });
  }

  /** Records a case that does not apply to a peer, and why. */
  skip(peer: string, name: string, reason: string): void {
    this.record(peer, name, { status: "SKIP", reason });
  }

  /** Whether a case was recorded for a peer. */
  has(peer: string, name: string): boolean {
    return this.#outcomes.has(keyOf(peer, name));
  }

  private record(peer: string, name: string, outcome: Outcome): void {
    if (!this.#peers.includes(peer)) this.#peers.push(peer);
    if (!this.#cases.includes(name)) this.#cases.push(name);
    this.#outcomes.set(keyOf(peer, name), outcome);
    if (outcome.status === "FAIL") console.log(`FAIL ${peer}: ${name}: ${outcome.reason}`);
  }

  /** Prints the table, every reason, and the counts; 0 when nothing failed, else 1. */
  print(): number {
    const count = { ok: 0, FAIL: 0, SKIP: 0 };
    const first = Math.max(4, ...this.#cases.map((name) => name.length)) + 2;
    const widths = this.#peers.map((peer) => Math.max(peer.length, 9) + 2);
    console.log(
      "\n" + "case".padEnd(first) +
        this.#peers.map((peer, at) => peer.padEnd(widths[at] ?? 0)).join(""),
    );
    for (const name of this.#cases) {
      const cells = this.#peers.map((peer, at) => {
        const outcome = this.#outcomes.get(keyOf(peer, name));
        if (outcome !== undefined) count[outcome.status]++;
        return cellOf(outcome).padEnd(widths[at] ?? 0);
      });
      console.log((name.padEnd(first) + cells.join("")).trimEnd());
    }
    this.#printReasons("SKIP");
    this.#printReasons("FAIL");
    console.log(`${count.ok} passed, ${count.FAIL} failed, ${count.SKIP} skipped`);
    return count.FAIL === 0 && count.ok > 0 ? 0 : 1;
  }

  /** Reasons once each, with the cases and peers they hold for. */
  #printReasons(status: "SKIP" | "FAIL"): void {
    const where = new Map<string, string[]>();
    for (const [key, outcome] of this.#outcomes) {
      if (outcome.status !== status) continue;
      const places = where.get(outcome.reason) ?? [];
      places.push(key);
      where.set(outcome.reason, places);
    }
    for (const [reason, places] of where) console.log(`${status} ${places.join(", ")}: ${reason}`);
  }
}

function keyOf(peer: string, name: string): string {
  return `${name} (${peer})`;
}

function cellOf(outcome: Outcome | undefined): string {
  if (outcome === undefined) return "-";
  return outcome.status === "ok" ? `ok ${Math.round(outcome.took_ms)} ms` : outcome.status;
}

function oneLine(text: string): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, " | ");
  return line.length <= REASON_CHARS_MAX ? line : `${line.slice(0, REASON_CHARS_MAX)} ...`;
}
