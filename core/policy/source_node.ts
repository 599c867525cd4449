/**
 * A parsed policy text as plain located data: what the reader of the language sees. Aliases are
 * already resolved (an aliased node is shared, not copied), keys are texts and unique.
 *
 * @module
 */
import type { Position } from "./position.ts";

/** One node of a policy text. */
export type SourceNode = ScalarNode | SequenceNode | MappingNode;

/** A single value. */
export interface ScalarNode {
  readonly kind: "scalar";
  readonly at: Position;
  readonly value: string | number | boolean | null;
  /** The value as a text: what was written, without quotes and with escapes resolved. */
  readonly text: string;
  /** Where a UTF-16 offset of {@linkcode ScalarNode.text} stands in the file. */
  locate(offset: number): Position;
}

/** A list. */
export interface SequenceNode {
  readonly kind: "sequence";
  readonly at: Position;
  readonly items: readonly SourceNode[];
}

/** A mapping, in the order of the text. */
export interface MappingNode {
  readonly kind: "mapping";
  readonly at: Position;
  readonly entries: readonly MappingEntry[];
}

/** One key of a mapping. */
export interface MappingEntry {
  readonly key: string;
  readonly key_at: Position;
  readonly value: SourceNode;
}

/** The entry of a key, if any. */
export function entryOf(node: MappingNode, key: string): MappingEntry | undefined {
  return node.entries.find((entry) => entry.key === key);
}

/** How a value reads in an error text. */
export function describeNode(node: SourceNode): string {
  if (node.kind === "sequence") return "a list";
  if (node.kind === "mapping") return "a mapping";
  if (node.value === null) return "nothing";
  return typeof node.value === "string" ? "text" : `a ${typeof node.value}`;
}
