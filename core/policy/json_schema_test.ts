import assert from "node:assert/strict";
import fc from "fast-check";
import { ANOMALY_RESPONSES, DETECTOR_NAMES } from "../anomaly/detectors.ts";
import { policyJsonSchema } from "./json_schema.ts";
import { BODY, type SectionSpec } from "./language.ts";
import { loadPolicy } from "./load.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const SCHEMA = policyJsonSchema();

/** The keywords the generated schema uses, after JSON Schema 2020-12; an unknown one throws. */
const KEYWORDS: Record<
  string,
  (argument: unknown, value: Json, schema: Record<string, unknown>) => boolean
> = {
  $ref: (ref, value) => {
    const definitions = SCHEMA.$defs as Record<string, unknown>;
    return accepts(definitions[String(ref).replace("#/$defs/", "")], value);
  },
  type: (types, value) => [types].flat().some((type) => isOfType(type, value)),
  enum: (values, value) => (values as Json[]).includes(value),
  minimum: (bound, value) => typeof value !== "number" || value >= Number(bound),
  maximum: (bound, value) => typeof value !== "number" || value <= Number(bound),
  exclusiveMinimum: (bound, value) => typeof value !== "number" || value > Number(bound),
  pattern: (pattern, value) =>
    typeof value !== "string" || new RegExp(String(pattern), "u").test(value),
  required: (keys, value) =>
    !isObject(value) || (keys as string[]).every((key) => Object.hasOwn(value, key)),
  items: (schema, value) => !Array.isArray(value) || value.every((item) => accepts(schema, item)),
  properties: (schemas, value) =>
    !isObject(value) ||
    Object.entries(schemas as object).every(([key, schema]) =>
      !Object.hasOwn(value, key) || accepts(schema, value[key] ?? null)
    ),
  additionalProperties: (schema, value, { properties = {} }) =>
    !isObject(value) ||
    Object.entries(value).every(([key, item]) =>
      Object.hasOwn(properties as object, key) || accepts(schema, item)
    ),
  not: (schema, value) => !accepts(schema, value),
  if: (schema, value, { then, else: otherwise }) =>
    accepts(accepts(schema, value) ? then : otherwise, value),
};
const ANNOTATIONS = new Set(["$schema", "$defs", "title", "description", "then", "else"]);

function accepts(schema: unknown, value: Json): boolean {
  if (typeof schema === "boolean") return schema;
  assert.ok(typeof schema === "object" && schema !== null);
  return Object.entries(schema).every(([keyword, argument]) => {
    if (ANNOTATIONS.has(keyword)) return true;
    const check = KEYWORDS[keyword];
    assert.ok(check !== undefined, `keyword ${keyword}`);
    return check(argument, value, schema as Record<string, unknown>);
  });
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOfType(type: unknown, value: Json): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  const name: string = typeof value;
  return name === type;
}

function loads(value: Json): boolean {
  return loadPolicy("p", JSON.stringify(value), { reject_blank: true }).ok;
}

const BODY_FIXTURE: Json = {
  version: 1.5,
  scope: "agent:0f8fad5b-d9cb-469f-a165-70867728950e",
  network: { allowlist: ["*.example.com", "*"] },
  schedule: { active_hours: { start: "00:00", end: "24:00", timezone: "Asia/Taipei" } },
  budget: {
    daily_limit_usd: 0.5,
    monthly_limit_usd: 10,
    team_daily_limit_usd: 1,
    team_monthly_limit_usd: 1,
    org_daily_limit_usd: 1,
    org_monthly_limit_usd: 1,
    global_daily_limit_usd: 1,
    global_monthly_limit_usd: 1,
    timezone: "UTC",
    action_on_exceed: "deny",
    window: "1h",
    limits: {
      "a b": { per: "subtree", window: "rolling", days: 7, usd: 1, tokens: 1 },
      "": { calls: 1, wall_seconds: 1 },
    },
    assumed_output_tokens: 1,
    agent_settlement: "trusted",
  },
  data: {
    sensitive_patterns: ["a+"],
    credential_action: "alert_and_redact",
    locale_packs: ["zh-TW"],
  },
  tools: {
    "*": { allow: false, limit_per_hour: 0 },
    "a b": { allow: true, requires_approval_if: "args.n > 1", cost_usd: 0.25 },
    "": {},
  },
  capabilities: { allow: ["file_read", "mcp_tool:git", "model:x:y"], deny: ["network_inbound"] },
  filesystem: { read: { allow: ["/a"] }, write: {} },
  syscalls: { allow: ["read", "getrandom"] },
  approval_timeout_secs: 1,
  approval: { timeout_seconds: 0, escalation_role: "lead" },
  anomaly: Object.fromEntries(
    DETECTOR_NAMES.map((name, at) => [name, ANOMALY_RESPONSES[at % 4] ?? "alert"]),
  ),
  rate_limits: [
    { per: "agent", tool: "db_*", action: "tool_call", limit: 0, window: "1m" },
    { per: "global", action: "send_message", limit: 1_000_000, window: "31days" },
  ],
};

const FIXTURES: readonly Json[] = [
  {},
  BODY_FIXTURE,
  { version: null },
  { schedule: {}, budget: {}, data: {}, tools: {}, capabilities: {}, filesystem: {}, syscalls: {} },
  { spec: {} },
  { apiVersion: [1], kind: { a: 1 }, metadata: null, spec: BODY_FIXTURE, note: "kept" },
  { metadata: { name: "n", version: 2, description: null, owner: ["x"] }, spec: BODY_FIXTURE },
];

Deno.test("what loads is valid under the schema", () => {
  for (const fixture of FIXTURES) {
    assert.ok(loads(fixture), JSON.stringify(loadPolicy("p", JSON.stringify(fixture))));
    assert.ok(accepts(SCHEMA, fixture), JSON.stringify(fixture));
  }
});

Deno.test("the fixture states every key of the language", () => {
  const walk = (spec: SectionSpec, value: Json, path: string): void => {
    assert.ok(isObject(value), path);
    for (const [key, inner] of Object.entries(spec.keys)) {
      if (path === "" && key === "tools") continue;
      assert.ok(Object.hasOwn(value, key), `${path}${key}`);
      if (inner.type === "section" && !(path === "filesystem.")) {
        walk(inner, value[key] ?? null, `${path}${key}.`);
      }
    }
  };
  walk(BODY, BODY_FIXTURE, "");
});

Deno.test("structural errors fail both the loader and the schema", () => {
  const wrong: readonly Json[] = [
    [],
    "text",
    5,
    { rules: [] },
    { capabilties: {} },
    { apiVersion: "v1" },
    { spec: null },
    { spec: [] },
    { scope: "org:a", spec: {} },
    { rules: [], spec: {} },
    { metadata: 5, spec: {} },
    { metadata: { name: {} }, spec: {} },
    { scope: "mars" },
    { scope: "team:" },
    { network: null },
    { network: [] },
    { network: { allowlst: [] } },
    { network: { allowlist: "a" } },
    { network: { allowlist: [" "] } },
    { schedule: { active_hours: { start: "9:00", end: "10:00", timezone: "UTC" } } },
    { schedule: { active_hours: { start: "24:00", end: "24:00", timezone: "UTC" } } },
    { budget: { daily_limit_usd: 0 } },
    { budget: { daily_limit_usd: "1" } },
    { budget: { action_on_exceed: "pause" } },
    { data: { credential_action: "mask" } },
    { tools: [] },
    { tools: { x: null } },
    { tools: { x: { allow: "true" } } },
    { tools: { x: { limit_per_hour: -1 } } },
    { tools: { x: { limit_per_hour: 4_294_967_296 } } },
    { tools: { x: { limit_per_hour: 1.5 } } },
    { tools: { x: { requires_approval_if: " " } } },
    { capabilities: { allow: ["fly"] } },
    { capabilities: { allow: ["mcp_tool:"] } },
    { filesystem: { read: { allow: ["relative"] } } },
    { filesystem: { read: [] } },
    { syscalls: { allow: ["fork"] } },
    { approval_timeout_secs: 0 },
    { approval: { timeout: 5 } },
  ];
  for (const value of wrong) {
    assert.equal(loads(value), false, `loads: ${JSON.stringify(value)}`);
    assert.equal(accepts(SCHEMA, value), false, `accepted: ${JSON.stringify(value)}`);
  }
});

/** Every container and leaf of a value, as a way to write another value in its place. */
function places(value: Json, put: (value: Json) => Json): ((value: Json) => Json)[] {
  if (Array.isArray(value)) {
    return [
      put,
      ...value.flatMap((item, index) => places(item, (inner) => put(value.with(index, inner)))),
    ];
  }
  if (!isObject(value)) return [put];
  return [
    put,
    ...Object.entries(value).flatMap(([key, item]) =>
      places(item, (inner) => put({ ...value, [key]: inner }))
    ),
  ];
}

const PLACES = FIXTURES.flatMap((fixture) => places(fixture, (value) => value));
const REPLACEMENT: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, 0, 1, -1, 0.5, 1e20, "", " ", "x", "read", "/a", "UTC", [], {}),
  fc.constantFrom<Json>([[]], [{}], ["x"], { x: 1 }, { allow: [] }, { "": {} }),
);

Deno.test("the schema refuses nothing that loads, whatever is changed", () => {
  fc.assert(
    fc.property(fc.constantFrom(...PLACES), REPLACEMENT, (put, replacement) => {
      const value = put(replacement);
      if (loads(value)) assert.ok(accepts(SCHEMA, value), JSON.stringify(value));
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("an unknown key in any section fails both", () => {
  const unknown = { no_such_key: 1 };
  const sections = [
    ...[
      "network",
      "schedule",
      "budget",
      "data",
      "capabilities",
      "filesystem",
      "syscalls",
      "approval",
    ]
      .map((key) => ({ [key]: unknown })),
    { tools: { x: unknown } },
    { filesystem: { write: unknown } },
    unknown,
  ];
  for (const section of sections) {
    for (const value of [section, { spec: section }]) {
      assert.equal(loads(value), false);
      assert.equal(accepts(SCHEMA, value), false, JSON.stringify(value));
    }
  }
});
