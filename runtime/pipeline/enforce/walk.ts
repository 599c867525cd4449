/**
 * Every string and bytes field of every message, found by its descriptor: a field that the schema
 * gains is scanned without a line of code here (trap R4).
 *
 * @module
 */
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { IDENTIFIER_FIELDS, isIdentifier } from "./identifiers.ts";
import type { Tally, TextGuard } from "./text.ts";

type Members = Record<string, unknown>;
type Change = (value: unknown, guard: TextGuard, tally: Tally) => unknown;

interface Step {
  readonly name: string;
  /** Name of the oneof that holds the field, when one does. */
  readonly oneof: string | undefined;
  readonly change: Change;
}

const PLANS = new Map<string, readonly Step[]>();

/** Redacts a message in place, with everything in it. Fields that the schema lacks are dropped. */
export function redactMessage(
  schema: DescMessage,
  message: Message,
  guard: TextGuard,
  tally: Tally,
): void {
  if (message.$unknown !== undefined && message.$unknown.length > 0) {
    tally.omitted += message.$unknown.length;
    delete message.$unknown;
  }
  const members = message as unknown as Members;
  for (const { name, oneof, change } of planOf(schema)) {
    if (oneof === undefined) {
      const value = members[name];
      if (value !== undefined) members[name] = change(value, guard, tally);
      continue;
    }
    const chosen = members[oneof] as { case?: string; value?: unknown } | undefined;
    if (chosen?.case === name) chosen.value = change(chosen.value, guard, tally);
  }
}

/** Changes every text of a message in place, map values included, keys and bytes not. */
export function changeTexts(
  schema: DescMessage,
  message: Message,
  change: (text: string) => string,
): void {
  const members = message as unknown as Members;
  for (const field of schema.fields) {
    const holder = field.oneof === undefined
      ? members
      : (members[field.oneof.localName] as { case?: string; value?: unknown } | undefined);
    if (field.oneof !== undefined && holder?.["case"] !== field.localName) continue;
    const name = field.oneof === undefined ? field.localName : "value";
    if (holder === undefined) continue;
    const value = (holder as Members)[name];
    (holder as Members)[name] = changedTexts(field, value, change);
  }
}

function changedTexts(field: DescField, value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string" && field.fieldKind === "scalar") return change(value);
  const one = (element: unknown): unknown => {
    if (typeof element === "string") return change(element);
    if (field.message !== undefined && typeof element === "object" && element !== null) {
      changeTexts(field.message, element as Message, change);
    }
    return element;
  };
  if (field.fieldKind === "message") return one(value);
  if (field.fieldKind === "list" && Array.isArray(value)) return value.map(one);
  if (field.fieldKind !== "map" || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, one(element)]));
}

/** The names of all fields that are scanned, `<message>.<field>`; for tests and docs. */
export function scannedFields(schema: DescMessage, seen = new Set<string>()): ReadonlySet<string> {
  for (const field of schema.fields) {
    const name = `${schema.typeName}.${field.name}`;
    if (seen.has(name)) continue;
    if (changeOf(field) !== undefined) seen.add(name);
    const inner = messageOf(field);
    if (inner !== undefined) scannedFields(inner, seen);
  }
  return seen;
}

function planOf(schema: DescMessage): readonly Step[] {
  const known = PLANS.get(schema.typeName);
  if (known !== undefined) return known;
  const steps: Step[] = [];
  for (const field of schema.fields) {
    const change = changeOf(field);
    if (change !== undefined) {
      steps.push({ name: field.localName, oneof: field.oneof?.localName, change });
    }
  }
  PLANS.set(schema.typeName, steps);
  return steps;
}

function changeOf(field: DescField): Change | undefined {
  switch (field.fieldKind) {
    case "scalar":
      return scalarChange(field.scalar, field);
    case "message":
      return messageChange(field.message);
    case "enum":
      return undefined;
    case "list":
      return listChange(field);
    case "map":
      return mapChange(field);
  }
}

function messageOf(field: DescField): DescMessage | undefined {
  return field.message ?? undefined;
}

function scalarChange(scalar: ScalarType, field: DescField): Change | undefined {
  if (scalar === ScalarType.BYTES) {
    return (value, guard, tally) => value instanceof Uint8Array ? guard.bytes(value, tally) : value;
  }
  if (scalar !== ScalarType.STRING) return undefined;
  const name = `${field.parent.typeName}.${field.name}`;
  if (Object.hasOwn(IDENTIFIER_FIELDS, name)) {
    return (value, guard, tally) =>
      typeof value !== "string" || isIdentifier(value) ? value : guard.text(value, tally);
  }
  return (value, guard, tally) => typeof value === "string" ? guard.text(value, tally) : value;
}

function messageChange(schema: DescMessage): Change {
  return (value, guard, tally) => {
    redactMessage(schema, value as Message, guard, tally);
    return value;
  };
}

/** Lists of numbers stay; of everything else no more elements than an event may have. */
function listChange(field: DescField & { fieldKind: "list" }): Change | undefined {
  const change = field.listKind === "scalar"
    ? scalarChange(field.scalar, field)
    : field.listKind === "message"
    ? messageChange(field.message)
    : undefined;
  if (change === undefined) return undefined;
  return (value, guard, tally) => {
    const list = value as readonly unknown[];
    const kept = list.slice(0, Math.max(0, tally.elements_left));
    tally.elements_left -= kept.length;
    tally.omitted += list.length - kept.length;
    return kept.map((element) => change(element, guard, tally));
  };
}

function mapChange(field: DescField & { fieldKind: "map" }): Change | undefined {
  const change = field.mapKind === "scalar"
    ? scalarChange(field.scalar, field)
    : field.mapKind === "message"
    ? messageChange(field.message)
    : undefined;
  const texts = field.mapKey === ScalarType.STRING;
  if (change === undefined && !texts) return undefined;
  return (value, guard, tally) => {
    const names = new Names();
    const kept: [string, unknown][] = [];
    for (const [key, element] of Object.entries(value as Members)) {
      if (tally.elements_left <= 0) {
        tally.omitted++;
        continue;
      }
      tally.elements_left--;
      const name = texts ? names.free(guard.text(key, tally)) : key;
      kept.push([name, change === undefined ? element : change(element, guard, tally)]);
    }
    return Object.fromEntries(kept);
  };
}

/** Keys of one map: a key that is taken gets `#2`, `#3`, … (contract `interception` §1.5). */
class Names {
  readonly #taken = new Set<string>();
  readonly #next = new Map<string, number>();

  free(name: string): string {
    let free = name;
    while (this.#taken.has(free)) {
      const number = this.#next.get(name) ?? 2;
      this.#next.set(name, number + 1);
      free = `${name}#${number}`;
    }
    this.#taken.add(free);
    return free;
  }
}
