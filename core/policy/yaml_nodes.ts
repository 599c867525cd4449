/**
 * From the YAML library's nodes to ours, refusing what has no place in a policy: keys that are not
 * texts, duplicate keys, merge keys, unknown tags, unbounded or circular aliases.
 *
 * @module
 */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { LIMITS } from "../limits.ts";
import type { Position } from "./position.ts";
import { DOCUMENT_FIELD, type Problems } from "./problems.ts";
import { offsetInSource, type ScalarStyle } from "./scalar_position.ts";
import type { MappingEntry, ScalarNode, SourceNode } from "./source_node.ts";
import { received } from "./suggest.ts";

/** Tags of YAML's core schema; they only repeat what the policy language already knows. */
const CORE_TAG = /^(!|tag:yaml\.org,2002:(str|int|float|bool|null|map|seq))$/;

/** An anchor that has been met; `node` is absent while it is still being read. */
interface Anchored {
  readonly node?: SourceNode;
}

/** Converts the nodes of one document. Use once. */
export class YamlNodes {
  readonly #anchors = new Map<string, Anchored>();
  #aliases = 0;

  constructor(
    private readonly source: string,
    private readonly locateOffset: (offset: number) => Position,
    private readonly problems: Problems,
  ) {}

  /** The node as located data. What was refused became `null` and a problem. */
  convert(node: unknown, fallback = 0): SourceNode {
    if (isAlias(node)) return this.#alias(node);
    if (isScalar(node)) return this.#anchored(node.anchor, () => this.#scalar(node));
    if (isMap(node)) return this.#anchored(node.anchor, () => this.#mapping(node));
    if (isSeq(node)) return this.#anchored(node.anchor, () => this.#sequence(node));
    return this.#nothing(fallback);
  }

  #fail(message: string, offset: number): void {
    this.problems.error(
      DOCUMENT_FIELD,
      `YAML parse error: ${message}`,
      this.locateOffset(offset),
    );
  }

  #nothing(offset: number): ScalarNode {
    const at = this.locateOffset(offset);
    return { kind: "scalar", at, value: null, text: "", locate: () => at };
  }

  #anchored(anchor: string | undefined, read: () => SourceNode): SourceNode {
    if (anchor === undefined) return read();
    this.#anchors.set(anchor, {});
    const node = read();
    this.#anchors.set(anchor, { node });
    return node;
  }

  #alias(alias: Alias): SourceNode {
    const offset = alias.range?.[0] ?? 0;
    this.#aliases += 1;
    if (this.#aliases === LIMITS.policy_aliases + 1) {
      this.#fail(`more than ${LIMITS.policy_aliases} aliases: write the values out`, offset);
    }
    const anchored = this.#anchors.get(alias.source);
    if (anchored?.node !== undefined) return anchored.node;
    this.#fail(
      anchored === undefined
        ? `alias ${received(`*${alias.source}`)} names no anchor that stands before it`
        : `alias ${received(`*${alias.source}`)} stands inside its own anchor`,
      offset,
    );
    return this.#nothing(offset);
  }

  #checkTag(tag: string | undefined, offset: number): void {
    if (tag === undefined || CORE_TAG.test(tag)) return;
    this.#fail(`tag ${received(tag)} is not part of the policy language: remove it`, offset);
  }

  #scalar(scalar: Scalar): ScalarNode {
    const [start, end] = scalar.range ?? [0, 0, 0];
    this.#checkTag(scalar.tag, start);
    const value = toScalarValue(scalar.value);
    const text = scalar.source ?? String(value);
    const style = styleOf(scalar.type);
    return {
      kind: "scalar",
      at: this.locateOffset(start),
      value,
      text,
      locate: (offset) =>
        this.locateOffset(
          offsetInSource(style, this.source.slice(start, end), start, text, offset),
        ),
    };
  }

  #sequence(sequence: YAMLSeq): SourceNode {
    const start = sequence.range?.[0] ?? 0;
    this.#checkTag(sequence.tag, start);
    const items = sequence.items.map((item) => {
      // A pair inside a flow list, `[a: b]`, is a one-key mapping.
      return this.convert(item, start);
    });
    return { kind: "sequence", at: this.locateOffset(start), items };
  }

  #mapping(map: YAMLMap): SourceNode {
    const start = map.range?.[0] ?? 0;
    this.#checkTag(map.tag, start);
    const first_at = new Map<string, Position>();
    const entries: MappingEntry[] = [];
    for (const pair of map.items) {
      const entry = this.#entry(pair.key, pair.value, start);
      if (entry === undefined) continue;
      const first = first_at.get(entry.key);
      if (first !== undefined) {
        this.problems.error(
          DOCUMENT_FIELD,
          `YAML parse error: duplicate key ${
            received(entry.key)
          }, already on line ${first.line}: ` +
            "remove one of them",
          entry.key_at,
        );
        continue;
      }
      first_at.set(entry.key, entry.key_at);
      entries.push(entry);
    }
    return { kind: "mapping", at: this.locateOffset(start), entries };
  }

  #entry(key: unknown, value: unknown, map_start: number): MappingEntry | undefined {
    const key_node = this.convert(key, map_start);
    const converted = this.convert(value, isScalar(key) ? key.range?.[1] ?? map_start : map_start);
    if (key_node.kind !== "scalar" || key_node.value === null) {
      this.problems.error(
        DOCUMENT_FIELD,
        `YAML parse error: a key must be a text, received a ${
          key_node.kind === "scalar" ? "null" : key_node.kind
        }`,
        key_node.at,
      );
      return undefined;
    }
    if (key_node.text === "<<" && isScalar(key) && key.type === "PLAIN") {
      this.problems.error(
        DOCUMENT_FIELD,
        "YAML parse error: merge keys are not part of the policy language: write the keys out",
        key_node.at,
      );
      return undefined;
    }
    return { key: key_node.text, key_at: key_node.at, value: converted };
  }
}

function styleOf(type: string | null | undefined): ScalarStyle {
  switch (type) {
    case "PLAIN":
    case "QUOTE_SINGLE":
    case "QUOTE_DOUBLE":
    case "BLOCK_LITERAL":
      return type;
    default:
      return "OTHER";
  }
}

function toScalarValue(value: unknown): ScalarNode["value"] {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return value;
    default:
      return null;
  }
}
