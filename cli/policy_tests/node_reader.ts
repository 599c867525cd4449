/**
 * Typed reads of a parsed test file. A value of the wrong type is one located problem and
 * `undefined`; a key nobody knows is a problem too, because a mistyped key tests nothing.
 *
 * @module
 */
import { isoTimeMs } from "../arguments/values.ts";
import type { Position } from "../../core/policy/position.ts";
import type { Problems } from "../../core/policy/problems.ts";
import { describeNode, type MappingNode, type SourceNode } from "../../core/policy/source_node.ts";
import { didYouMean, received } from "../../core/policy/suggest.ts";

/** A value and the dotted path that names it. */
export interface Field {
  readonly node: SourceNode;
  readonly path: string;
}

/** Reads values, collecting problems. */
export class NodeReader {
  constructor(readonly problems: Problems) {}

  /** The values of a mapping by key; every key must be one of `known`. */
  keys(field: Field, known: readonly string[]): ReadonlyMap<string, Field> | undefined {
    const { node } = field;
    if (node.kind !== "mapping") return this.refuse(field, `a mapping with ${known.join(", ")}`);
    const values = new Map<string, Field>();
    for (const entry of node.entries) {
      const path = this.#below(field.path, entry.key);
      if (known.includes(entry.key)) {
        values.set(entry.key, { node: entry.value, path });
      } else {
        const hint = didYouMean(entry.key, known);
        const message = `unknown key \`${entry.key}\`: ${hint}expected ${known.join(", ")}`;
        this.problems.error(path, message, entry.key_at);
      }
    }
    return values;
  }

  /** The items of a list. */
  items(field: Field, expected: string): readonly Field[] | undefined {
    if (field.node.kind !== "sequence") return this.refuse(field, expected);
    return field.node.items.map((node, index) => ({ node, path: `${field.path}[${index}]` }));
  }

  /** A text that was written as one: numbers and booleans must be quoted. */
  text(field: Field | undefined, expected = "text"): string | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    if (node.kind === "scalar" && typeof node.value === "string") return node.value;
    return this.refuse(field, expected);
  }

  /** One of a few words. */
  word<W extends string>(field: Field | undefined, words: readonly W[]): W | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    const found = node.kind === "scalar" ? words.find((word) => word === node.value) : undefined;
    return found ?? this.refuse(field, `one of ${words.join(", ")}`);
  }

  /** A whole number within bounds. */
  integer(field: Field | undefined, min: number, max: number): number | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    const number = node.kind === "scalar" && typeof node.value === "number" ? node.value : NaN;
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    return this.refuse(field, `a whole number from ${min} to ${max}`);
  }

  /** An ISO 8601 date or a time with its zone, as epoch milliseconds. */
  time(field: Field | undefined): number | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    const ms = node.kind === "scalar" ? isoTimeMs(node.text) : undefined;
    return ms ?? this.refuse(field, "a time with its zone such as 2026-01-31T09:00:00Z");
  }

  /** The JSON text of a value; a text stands for itself, malformed or not. */
  json(field: Field | undefined): string | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    if (node.kind === "scalar" && typeof node.value === "string") return node.value;
    return jsonOf(node);
  }

  /** Records that a required key is missing. */
  missing(parent: MappingNode, path: string, key: string, why: string): undefined {
    this.problems.error(this.#below(path, key), `is missing: ${why}`, parent.at);
    return undefined;
  }

  /** Records a value of the wrong type. */
  refuse(field: Field, expected: string): undefined {
    const { node } = field;
    const shown = node.kind === "scalar" && node.value !== null ? ` ${received(node.text)}` : "";
    const message = `expected ${expected}, received ${describeNode(node)}${shown}`;
    this.problems.error(field.path, message, node.at);
    return undefined;
  }

  #below(path: string, key: string): string {
    return path === "" ? key : `${path}.${key}`;
  }
}

/** A position to report about, for a field. */
export function positionOf(field: Field): Position {
  return field.node.at;
}

function jsonOf(node: SourceNode): string {
  switch (node.kind) {
    case "scalar":
      return JSON.stringify(node.value);
    case "sequence":
      return `[${node.items.map(jsonOf).join(",")}]`;
    case "mapping":
      return `{${
        node.entries.map((entry) => `${JSON.stringify(entry.key)}:${jsonOf(entry.value)}`).join(",")
      }}`;
  }
}
