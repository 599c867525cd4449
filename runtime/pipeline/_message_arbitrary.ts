/**
 * Messages of any schema for property tests, made from the descriptor: every field may be there,
 * every text may be anything.
 *
 * @module
 */
import {
  create,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import fc from "fast-check";

/** An arbitrary message; `text` makes its strings, `bytes` its bytes. */
export function arbitraryMessage<D extends DescMessage>(
  schema: D,
  text: fc.Arbitrary<string>,
  bytes: fc.Arbitrary<Uint8Array>,
): fc.Arbitrary<MessageShape<D>> {
  return initOf(schema, text, bytes, 3).map((init) => create(schema, init as MessageInitShape<D>));
}

type Init = Record<string, unknown>;

function initOf(
  schema: DescMessage,
  text: fc.Arbitrary<string>,
  bytes: fc.Arbitrary<Uint8Array>,
  depth: number,
): fc.Arbitrary<Init> {
  const plain: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of schema.fields) {
    if (field.oneof !== undefined) continue;
    const value = valueOf(field, text, bytes, depth);
    if (value !== undefined) plain[field.localName] = value;
  }
  const oneofs: Record<string, fc.Arbitrary<unknown>> = {};
  for (const oneof of schema.oneofs) {
    const cases = oneof.fields.flatMap((field) => {
      const value = valueOf(field, text, bytes, depth);
      return value === undefined ? [] : [value.map((it) => ({ case: field.localName, value: it }))];
    });
    oneofs[oneof.localName] = fc.oneof(...cases);
  }
  return fc.record({ ...plain, ...oneofs }, { requiredKeys: [] });
}

function valueOf(
  field: DescField,
  text: fc.Arbitrary<string>,
  bytes: fc.Arbitrary<Uint8Array>,
  depth: number,
): fc.Arbitrary<unknown> | undefined {
  switch (field.fieldKind) {
    case "scalar":
      return scalarOf(field.scalar, text, bytes);
    case "enum":
      return fc.integer({ min: 0, max: 9 });
    case "message":
      return depth === 0 ? undefined : initOf(field.message, text, bytes, depth - 1);
    case "list": {
      const element = field.listKind === "scalar"
        ? scalarOf(field.scalar, text, bytes)
        : field.listKind === "message"
        ? depth === 0 ? undefined : initOf(field.message, text, bytes, depth - 1)
        : fc.integer({ min: 0, max: 9 });
      return element === undefined ? undefined : fc.array(element, { maxLength: 3 });
    }
    case "map": {
      const value = field.mapKind === "scalar" ? scalarOf(field.scalar, text, bytes) : undefined;
      return value === undefined ? undefined : fc.dictionary(text, value, { maxKeys: 3 });
    }
  }
}

function scalarOf(
  scalar: ScalarType,
  text: fc.Arbitrary<string>,
  bytes: fc.Arbitrary<Uint8Array>,
): fc.Arbitrary<unknown> {
  switch (scalar) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return bytes;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return fc.double({ noNaN: true });
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return fc.bigInt({ min: 0n, max: 1n << 40n });
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return fc.bigInt({ min: 0n, max: 1n << 40n });
    default:
      return fc.integer({ min: 0, max: 1_000_000 });
  }
}
