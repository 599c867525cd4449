/** Contract `interception` §2.2 and §2.8. */
import assert from "node:assert/strict";
import {
  assess,
  CATEGORIES,
  CATEGORY_BASES,
  CREDENTIAL_KINDS,
  type CredentialKind,
  DETECTORS,
  parseCategory,
  statusOf,
} from "./mod.ts";

/** The 34 strings that the reference knows. */
const KNOWN: readonly string[] = [
  "API_KEY[anthropic:key]",
  "API_KEY[openai:key]",
  "CLOUD_ACCESS_KEY[aws:access_key_id]",
  "CLOUD_SERVICE_ACCOUNT_KEY[gcp:service_account_json]",
  "CLOUD_CONNECTION_STRING[azure:storage]",
  ...["app_installation", "oauth", "personal_access", "refresh", "user_to_server"]
    .map((variant) => `ACCESS_TOKEN[github:${variant}]`),
  ...["app_level", "bot", "oauth", "refresh", "user"]
    .map((variant) => `ACCESS_TOKEN[slack:${variant}]`),
  ...["mongodb", "mysql", "postgresql"].map((name) => `DATABASE_CONNECTION_URI[${name}:uri]`),
  ...["ec", "openssh", "pgp", "pkcs8", "rsa"].map((variant) => `PRIVATE_KEY[pem:${variant}]`),
  "NATIONAL_ID[en-US/ssn]",
  "PAYMENT_CARD_NUMBER",
  "EMAIL_ADDRESS",
  "HIGH_ENTROPY_SECRET",
  "POLICY_DEFINED_MATCH",
  ...["national_id", "arc_new", "arc_legacy"].map((variant) => `NATIONAL_ID[zh-TW/${variant}]`),
  "PHONE_NUMBER[zh-TW/mobile]",
  "PHONE_NUMBER[zh-TW/landline]",
  "TAX_IDENTIFIER[zh-TW/business_id]",
];

function assessKind(kind: CredentialKind): ReturnType<typeof assess> {
  return assess({ source: "builtin", kind, offset: 0, end: 1 });
}

Deno.test("the reference's 34 canonical categories are known, and every kind has one", () => {
  assert.equal(new Set(KNOWN).size, 34);
  for (const category of KNOWN) assert.ok(CATEGORIES.has(category), category);
  const own = [...CREDENTIAL_KINDS, "Custom" as const].map((kind) => assessKind(kind).category);
  assert.deepEqual(new Set([...own, ...KNOWN]).size, 34);
});

Deno.test("every category, the detectors' included, is of the one grammar and of the 14 bases", () => {
  assert.equal(CATEGORY_BASES.length, 14);
  for (const category of CATEGORIES) {
    const parsed = parseCategory(category);
    assert.ok(parsed !== undefined, category);
    const { base, qualifier } = parsed;
    assert.equal(qualifier === undefined ? base : `${base}[${qualifier}]`, category);
  }
});

Deno.test("parsing is closed: what nobody has is refused, however well it is formed", () => {
  for (
    const text of [
      "",
      "API_KEY",
      "API_KEY[acme:key]",
      "API_KEY[openai:key] ",
      "api_key[openai:key]",
      "PAYMENT_CARD_NUMBER[]",
      "NATIONAL_ID[en-US:ssn]",
      "PASSWORD",
    ]
  ) assert.equal(parseCategory(text), undefined, text);
});

Deno.test("severity, confidence and method are those of the contract", () => {
  const rows: readonly (readonly [CredentialKind, string])[] = [
    ["OpenAiKey", "api_key critical high deterministic"],
    ["AzureConnectionString", "cloud_credential critical high deterministic"],
    ["SlackBotToken", "auth_token critical high deterministic"],
    ["MysqlUrl", "database_url high high deterministic"],
    ["PgpPrivateKey", "private_key critical high deterministic"],
    ["CreditCardLuhn", "pii critical medium deterministic"],
    ["SsnPattern", "pii critical medium deterministic"],
    ["EmailAddress", "pii medium medium heuristic"],
    ["GenericHighEntropy", "generic low low heuristic"],
    ["Custom", "custom high high policy_defined"],
  ];
  for (const [kind, expected] of rows) {
    const { group, severity, confidence, method } = assessKind(kind);
    assert.equal(`${group} ${severity} ${confidence} ${method}`, expected);
  }
});

Deno.test("a detector's finding is judged as what it is, not as the kind it is filed under", () => {
  const finding = { source: "builtin", kind: "GenericHighEntropy", offset: 0, end: 9 } as const;
  const stripe = assess({ ...finding, detector: "stripe_key" });
  assert.equal(stripe.severity, "critical");
  assert.equal(stripe.category, DETECTORS.stripe_key.category);
  assert.equal(statusOf(stripe), "confirmed");
  assert.equal(statusOf(assess(finding)), "suspected");
});

Deno.test("a locale finding keeps its category and its confidence", () => {
  const judged = assess({
    source: "locale",
    category: "NATIONAL_ID[zh-TW/arc_new]",
    offset: 0,
    end: 10,
    confidence: "medium",
  });
  assert.equal(
    `${judged.category} ${judged.severity} ${judged.confidence}`,
    "NATIONAL_ID[zh-TW/arc_new] critical medium",
  );
});
