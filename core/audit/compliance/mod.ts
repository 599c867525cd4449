/**
 * A compliance export: entries of the log, each with the requirements it is evidence for, in five
 * forms, ended by a manifest with which a stranger can check them. Pure.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { AuditLineError, parseLine } from "../line.ts";
import { leaf, Peaks } from "../verify/tree.ts";
import { catalogue, controlsOf, type Framework, NOT_EVIDENCED } from "./controls.ts";
import { type ComplianceFormat, type ComplianceWriter, complianceWriter } from "./formats.ts";
import { HOW_TO_VERIFY, type Manifest } from "./manifest.ts";
import { type ComplianceRecord, complianceRecord } from "./record.ts";

export { type Framework, FRAMEWORKS } from "./controls.ts";
export { COMPLIANCE_FORMATS, type ComplianceFormat } from "./formats.ts";

/** What is exported, of which log. */
export interface ComplianceTerms {
  readonly framework: Framework;
  readonly format: ComplianceFormat;
  /** First moment, and the moment after the last, milliseconds since the epoch. */
  readonly from_ms?: number;
  readonly to_ms?: number;
  readonly generator: string;
  readonly generated_at_ms: number;
  /** The log's checkpoint, whose signature has been checked with the key. */
  readonly checkpoint: {
    readonly note: string;
    readonly origin: string;
    readonly size: number;
    readonly root_hex: string;
    readonly verifier_key: string;
  };
}

/** The entries are not the log that the checkpoint signs. */
export class ComplianceMismatch extends Error {
  override readonly name = "ComplianceMismatch";
}

/** Takes every entry of a log in order, and gives the text of the export piece by piece. */
export class ComplianceExport {
  readonly #terms: ComplianceTerms;
  readonly #writer: ComplianceWriter;
  readonly #body: Hash = createHash("sha256");
  readonly #tree = new Peaks();
  readonly #citations: Map<string, number>;
  #exported = 0;
  #unreadable = 0;
  #first = -1n;
  #last = -1n;

  constructor(terms: ComplianceTerms) {
    const { framework, format, checkpoint } = terms;
    this.#terms = terms;
    this.#writer = complianceWriter(format, { framework, origin: checkpoint.origin });
    this.#citations = new Map(catalogue(framework).map(({ id }) => [id, 0]));
  }

  /** Entries in the export so far. */
  get exported(): number {
    return this.#exported;
  }

  /** What comes before the first entry. */
  head(): string {
    return this.#counted(this.#writer.head);
  }

  /**
   * The text of one entry; empty when it is outside the time asked for.
   *
   * @param line The entry as logged, without its newline.
   */
  add(line: Uint8Array): string {
    const audit_index = BigInt(this.#tree.size);
    this.#tree.push(leaf(line));
    const first = this.#exported + this.#unreadable === 0;
    const record = recordOf(line);
    if (typeof record === "string") {
      this.#unreadable++;
      return this.#counted(this.#writer.unreadable({ audit_index, problem: record }, first));
    }
    if (!this.#asked(record)) return "";
    // The place in the log is what a proof is about, whatever the entry says of itself.
    const placed = { ...record, audit_index };
    const controls = controlsOf(this.#terms.framework, placed);
    for (const id of controls) this.#citations.set(id, (this.#citations.get(id) ?? 0) + 1);
    this.#exported++;
    if (this.#first < 0n) this.#first = audit_index;
    this.#last = audit_index;
    return this.#counted(this.#writer.entry({ record: placed, controls }, first));
  }

  /**
   * The manifest.
   *
   * @throws {ComplianceMismatch} when the entries are not exactly those under the checkpoint.
   */
  foot(): string {
    const { checkpoint, generated_at_ms } = this.#terms;
    if (this.#tree.size !== checkpoint.size || this.#tree.root() !== checkpoint.root_hex) {
      throw new ComplianceMismatch(
        `the ${this.#tree.size} entries read are not the ${checkpoint.size} that the checkpoint of ` +
          `\`${checkpoint.origin}\` signs`,
      );
    }
    return this.#writer.foot(this.#manifest(), generated_at_ms);
  }

  #manifest(): Manifest {
    const { framework, format, generator, generated_at_ms, from_ms, to_ms } = this.#terms;
    const { note, verifier_key, origin, size, root_hex } = this.#terms.checkpoint;
    return {
      framework,
      format,
      generator,
      generated_at: new Date(generated_at_ms).toISOString(),
      from: from_ms === undefined ? "" : new Date(from_ms).toISOString(),
      to: to_ms === undefined ? "" : new Date(to_ms).toISOString(),
      exported: this.#exported,
      unreadable: this.#unreadable,
      first_index: this.#first,
      last_index: this.#last,
      citations: Object.fromEntries(this.#citations),
      not_evidenced: NOT_EVIDENCED[framework],
      body_sha256: this.#body.digest("hex"),
      log: { origin, size, root_hex, checkpoint: note, verifier_key, verified: true },
      how_to_verify: HOW_TO_VERIFY,
    };
  }

  #asked({ timestamp_ns }: ComplianceRecord): boolean {
    const { from_ms, to_ms } = this.#terms;
    return (from_ms === undefined || timestamp_ns >= BigInt(from_ms) * 1_000_000n) &&
      (to_ms === undefined || timestamp_ns < BigInt(to_ms) * 1_000_000n);
  }

  #counted(text: string): string {
    this.#body.update(text, "utf8");
    return text;
  }
}

function recordOf(line: Uint8Array): ComplianceRecord | string {
  try {
    return complianceRecord(parseLine(new TextDecoder("utf-8", { fatal: true }).decode(line)));
  } catch (error) {
    return error instanceof AuditLineError ? error.message : "is not UTF-8 text";
  }
}
