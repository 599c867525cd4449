/**
 * What must hold after every step, by name, and the first time it did not.
 *
 * @module
 */

/** The laws a run is held to. */
export const LAWS = [
  /** What the ledger says is spent and reserved is what was reserved, settled and released. */
  "money",
  /** No reservation takes a scope past a limit in force. */
  "limit",
  /** What a client was answered is in the log for good, in an unbroken signed chain. */
  "ack",
  /** A grant is used once, by the bytes a person agreed to. */
  "approval",
  /** No answer leaves without its entry in the log. */
  "evidence",
  /** Nothing is allowed to an agent after its suspension was acknowledged. */
  "suspend",
  /** A crash alone never makes the log or the records refuse to open. */
  "recovery",
  /** No failure goes unheard. */
  "unhandled",
] as const;

/** One law. */
export type Law = (typeof LAWS)[number];

/** Laws that can be broken on purpose, to show that breaking them is seen. */
export const BREAKS = ["money", "limit", "ack", "approval", "evidence", "suspend"] as const;

/** A law broken on purpose. */
export type Break = (typeof BREAKS)[number];

/** A law that did not hold. */
export interface Violation {
  readonly law: Law;
  readonly detail: string;
  readonly step: number;
}

/** Keeps the first violation of a run: what comes later may only follow from it. */
export class Verdict {
  #first: Violation | undefined;
  step = 0;

  get first(): Violation | undefined {
    return this.#first;
  }

  /** Notes that a law does not hold. */
  violated(law: Law, detail: string): void {
    this.#first ??= { law, detail, step: this.step };
  }
}
