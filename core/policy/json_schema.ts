/**
 * The policy language as JSON Schema 2020-12, for editors: generated from the one definition.
 *
 * @module
 */
import { BODY, ENVELOPE_KEYS, METADATA, type SectionSpec, type Spec } from "./language.ts";

/** A JSON Schema object. */
type Schema = Record<string, unknown>;

/**
 * The schema of a policy file, flat or envelope. It knows every key, type and enumeration; what
 * needs more than structure (regular expressions, expressions, time zones, pairs of limits) is
 * checked by the loader alone.
 */
export function policyJsonSchema(): Schema {
  const is_envelope = {
    type: "object",
    required: ["spec"],
    properties: { spec: { not: { type: "null" } } },
  };
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Agent Assembly policy",
    if: is_envelope,
    then: { $ref: "#/$defs/envelope" },
    else: { $ref: "#/$defs/body" },
    $defs: { body: schemaOf(BODY), envelope: envelopeSchema() },
  };
}

/** Policy keys beside `spec` are refused, other unknown keys are not: as the loader does. */
function envelopeSchema(): Schema {
  const misplaced = [...Object.keys(BODY.keys), "rules"].map((key) => [key, false]);
  return {
    type: "object",
    description: "Envelope form: metadata beside the policy.",
    required: ["spec"],
    properties: {
      ...Object.fromEntries(ENVELOPE_KEYS.map((key) => [key, true])),
      metadata: {
        type: ["object", "null"],
        description: METADATA.doc,
        properties: propertiesOf(METADATA),
      },
      spec: { $ref: "#/$defs/body" },
      ...Object.fromEntries(misplaced),
    },
  };
}

function schemaOf(spec: Spec): Schema {
  const description = spec.doc;
  switch (spec.type) {
    case "text":
      return {
        description,
        type: ["string", "number", "boolean", ...(spec.nullable ? ["null"] : [])],
        ...(spec.pattern === undefined ? {} : { pattern: spec.pattern }),
      };
    case "choice":
      return { description, enum: [...spec.values] };
    case "flag":
      return { description, type: "boolean" };
    case "integer":
      return { description, type: "integer", minimum: spec.min, maximum: spec.max };
    case "money":
      return { description, type: "number", exclusiveMinimum: 0 };
    case "list":
      return { description, type: "array", items: schemaOf(spec.of) };
    case "section":
      return {
        description,
        type: "object",
        properties: propertiesOf(spec),
        additionalProperties: false,
      };
    case "entries":
      return { description, type: "object", additionalProperties: schemaOf(spec.entry) };
  }
}

function propertiesOf(spec: SectionSpec): Schema {
  return Object.fromEntries(
    Object.entries(spec.keys).map(([key, value]) => [key, schemaOf(value)]),
  );
}
