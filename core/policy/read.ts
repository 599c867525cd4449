/**
 * Reads located data by the definition of the language: types, closed key sets and bounds. What a
 * value means beyond its type is the business of `sections/`.
 *
 * Every problem is collected; a key whose value has a problem is absent from the result.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type {
  ChoiceSpec,
  EntriesSpec,
  FlagSpec,
  IntegerSpec,
  Keys,
  ListSpec,
  MoneySpec,
  SectionSpec,
  Spec,
  TextSpec,
} from "./language.ts";
import { readMicroUsd } from "./money.ts";
import type { Located, Position } from "./position.ts";
import type { Problems } from "./problems.ts";
import { describeNode, type MappingNode, type ScalarNode, type SourceNode } from "./source_node.ts";
import { didYouMean, received } from "./suggest.ts";

/** A value that was read: where it stands, and the dotted path to name it by. */
export interface ReadValue<T> extends Located<T> {
  readonly path: string;
  /** Where its key stands; the value itself for a list item. */
  readonly key_at: Position;
}

/** A text, with the way back from an offset in it to the file. */
export interface ReadText extends ReadValue<string> {
  locate(offset: number): Position;
}

/** A section: the keys that were stated and have the right type. */
export type ReadSection<K extends Keys> = { readonly [P in keyof K]?: Read<K[P]> };

/** What a value of the language reads to. */
export type Read<S extends Spec> = S extends TextSpec ? ReadText
  : S extends ChoiceSpec<infer V> ? ReadValue<V>
  : S extends FlagSpec ? ReadValue<boolean>
  : S extends IntegerSpec | MoneySpec ? ReadValue<number>
  : S extends ListSpec<infer I> ? ReadValue<readonly Read<I>[]>
  : S extends SectionSpec<infer K> ? ReadValue<ReadSection<K>>
  : S extends EntriesSpec<infer E> ? ReadValue<ReadonlyMap<string, Read<E>>>
  : never;

/** What one value of the language is read from. */
interface Place {
  readonly node: SourceNode;
  readonly path: string;
  readonly key_at: Position;
}

/** Reads one document. Use once: it counts the rules. */
export class Reader {
  #rules = 0;

  constructor(private readonly problems: Problems) {}

  /** The keys of a mapping that is known to be one. `path` is empty at the top level. */
  keys<K extends Keys>(spec: SectionSpec<K>, node: MappingNode, path: string): ReadSection<K> {
    const values: Record<string, unknown> = Object.create(null);
    for (const entry of node.entries) {
      const entry_path = path === "" ? entry.key : `${path}.${entry.key}`;
      const entry_spec = Object.hasOwn(spec.keys, entry.key) ? spec.keys[entry.key] : undefined;
      if (entry_spec === undefined) {
        this.problems.error(entry_path, unknownKey(entry.key, spec), entry.key_at);
        continue;
      }
      const place = { node: entry.value, path: entry_path, key_at: entry.key_at };
      const value = this.#value(entry_spec, place);
      if (value !== undefined) values[entry.key] = value;
    }
    return values as ReadSection<K>;
  }

  /** One more rule; `false` once there are too many, which is reported once. */
  #countRule(path: string, at: Position): boolean {
    this.#rules += 1;
    if (this.#rules === LIMITS.policy_rules + 1) {
      this.problems.error(
        path,
        `more than ${LIMITS.policy_rules} rules in one policy: split it by scope`,
        at,
      );
    }
    return this.#rules <= LIMITS.policy_rules;
  }

  #value(spec: Spec, place: Place): ReadValue<unknown> | undefined {
    switch (spec.type) {
      case "text":
        return this.#text(spec, place);
      case "choice":
        return this.#choice(spec, place);
      case "flag":
        return this.#flag(place);
      case "integer":
        return this.#integer(spec, place);
      case "money":
        return this.#money(place);
      case "list":
        return this.#list(spec, place);
      case "section":
        return this.#section(spec, place);
      case "entries":
        return this.#entries(spec, place);
    }
  }

  #refuse(place: Place, expected: string): undefined {
    const { node } = place;
    if (node.kind === "scalar" && node.value === null) {
      this.problems.error(
        place.path,
        `has no value; ${expected}: write one, or remove the key`,
        place.key_at,
      );
      return;
    }
    const shown = node.kind === "scalar" ? ` ${received(node.text)}` : "";
    this.problems.error(
      place.path,
      `${expected}, received ${describeNode(node)}${shown}`,
      node.at,
    );
  }

  #scalar(place: Place, expected: string): ScalarNode | undefined {
    if (place.node.kind === "scalar" && place.node.value !== null) return place.node;
    return this.#refuse(place, expected);
  }

  #text(spec: TextSpec, place: Place): ReadText | undefined {
    const { node } = place;
    if (spec.nullable && node.kind === "scalar" && node.value === null) return undefined;
    const scalar = this.#scalar(place, "must be a text");
    if (scalar === undefined) return undefined;
    return { ...found(place, scalar.text), locate: scalar.locate };
  }

  #choice(spec: ChoiceSpec, place: Place): ReadValue<string> | undefined {
    const scalar = this.#scalar(place, spec.expected);
    if (scalar === undefined) return undefined;
    if (spec.values.includes(scalar.text)) return found(place, scalar.text);
    const hint = didYouMean(scalar.text, spec.values);
    this.problems.error(
      place.path,
      `${spec.expected}, received ${received(scalar.text)}: ${hint}valid values: ${
        spec.values.join(", ")
      }`,
      scalar.at,
    );
    return undefined;
  }

  #flag(place: Place): ReadValue<boolean> | undefined {
    const scalar = this.#scalar(place, "must be `true` or `false`");
    if (scalar === undefined) return undefined;
    if (typeof scalar.value === "boolean") return found(place, scalar.value);
    return this.#refuse(place, "must be `true` or `false`, without quotes");
  }

  #integer(spec: IntegerSpec, place: Place): ReadValue<number> | undefined {
    const expected = `must be a whole number from ${spec.min} to ${spec.max}`;
    const scalar = this.#scalar(place, expected);
    if (scalar === undefined) return undefined;
    const { value, text } = scalar;
    if (typeof value !== "number" || !/^([-+]?\d+|0x[\da-fA-F]+|0o[0-7]+)$/.test(text)) {
      return this.#refuse(place, `${expected}, without quotes`);
    }
    if (value === 0 && spec.min === 1) {
      this.problems.error(
        place.path,
        `must be greater than 0, received ${received(text)}`,
        scalar.at,
      );
      return undefined;
    }
    if (value < spec.min || value > spec.max) return this.#refuse(place, expected);
    return found(place, value);
  }

  #money(place: Place): ReadValue<number> | undefined {
    const expected = "must be an amount of US dollars";
    const scalar = this.#scalar(place, expected);
    if (scalar === undefined) return undefined;
    if (typeof scalar.value !== "number") {
      return this.#refuse(place, `${expected}: a number without quotes`);
    }
    const amount = readMicroUsd(scalar.text, scalar.value);
    if (amount.ok) return found(place, amount.micro_usd);
    this.problems.error(
      place.path,
      `${amount.reason}, received ${received(scalar.text)}`,
      scalar.at,
    );
    return undefined;
  }

  #list(spec: ListSpec, place: Place): ReadValue<readonly unknown[]> | undefined {
    const { node } = place;
    if (node.kind !== "sequence") return this.#refuse(place, "must be a list (`[]` when empty)");
    const items: unknown[] = [];
    for (const [index, item] of node.items.entries()) {
      const path = `${place.path}[${index}]`;
      if (!this.#countRule(path, item.at)) break;
      const value = this.#value(spec.of, { node: item, path, key_at: item.at });
      if (value !== undefined) items.push(value);
    }
    return found(place, items);
  }

  #section(spec: SectionSpec, place: Place): ReadValue<ReadSection<Keys>> | undefined {
    const { node } = place;
    if (node.kind !== "mapping") return this.#refuse(place, "must be a mapping (`{}` when empty)");
    return found(place, this.keys(spec, node, place.path));
  }

  #entries(spec: EntriesSpec, place: Place): ReadValue<ReadonlyMap<string, unknown>> | undefined {
    const { node } = place;
    if (node.kind !== "mapping") return this.#refuse(place, "must be a mapping (`{}` when empty)");
    const entries = new Map<string, unknown>();
    for (const { key, key_at, value } of node.entries) {
      const path = `${place.path}.${key}`;
      if (!this.#countRule(path, key_at)) break;
      const entry = this.#section(spec.entry, { node: value, path, key_at });
      if (entry !== undefined) entries.set(key, entry);
    }
    return found(place, entries);
  }
}

function found<T>(place: Place, value: T): ReadValue<T> {
  const { line, column } = place.node.at;
  return { value, line, column, path: place.path, key_at: place.key_at };
}

/** What is said about a key outside the closed set of a section. */
export function unknownKey(key: string, spec: SectionSpec): string {
  const keys = Object.keys(spec.keys);
  return `unknown key ${received(key)}: ${didYouMean(key, keys)}valid keys: ${keys.join(", ")}`;
}
