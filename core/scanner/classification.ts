/**
 * What a finding is and how bad: group, severity, confidence and method of each kind (contract
 * `interception` §2.2), and the canonical category (§2.8).
 *
 * @module
 */
import { DETECTORS } from "./detectors/catalog.ts";
import { CREDENTIAL_KINDS, type CredentialKind, type Finding } from "./finding.ts";

/** How a finding is judged; `category` is canonical, see {@linkcode parseCategory}. */
export interface Assessment {
  /** Groups of kinds, as the reference names them. */
  readonly group:
    | "api_key"
    | "cloud_credential"
    | "auth_token"
    | "database_url"
    | "private_key"
    | "pii"
    | "generic"
    | "custom";
  /** Canonical category (§2.8). */
  readonly category: string;
  /** What a leak of it means. */
  readonly severity: "critical" | "high" | "medium" | "low";
  /** How sure the scanner is that it is what it is called. */
  readonly confidence: "high" | "medium" | "low";
  /** By its form, by its statistics, or because the policy says so. */
  readonly method: "deterministic" | "heuristic" | "policy_defined";
}

/** The 14 bases of canonical categories, frozen (§2.8). */
export const CATEGORY_BASES = [
  "API_KEY",
  "CLOUD_ACCESS_KEY",
  "CLOUD_SERVICE_ACCOUNT_KEY",
  "CLOUD_CONNECTION_STRING",
  "ACCESS_TOKEN",
  "DATABASE_CONNECTION_URI",
  "PRIVATE_KEY",
  "PAYMENT_CARD_NUMBER",
  "EMAIL_ADDRESS",
  "NATIONAL_ID",
  "TAX_IDENTIFIER",
  "PHONE_NUMBER",
  "HIGH_ENTROPY_SECRET",
  "POLICY_DEFINED_MATCH",
] as const;

const key = (category: string): Assessment => certain("api_key", `API_KEY[${category}:key]`);
const cloud = (category: string): Assessment => certain("cloud_credential", category);
const token = (category: string): Assessment => certain("auth_token", `ACCESS_TOKEN[${category}]`);
const database = (scheme: string): Assessment => ({
  ...certain("database_url", `DATABASE_CONNECTION_URI[${scheme}:uri]`),
  severity: "high",
});
const pem = (variant: string): Assessment => certain("private_key", `PRIVATE_KEY[pem:${variant}]`);
const number = (category: string): Assessment => ({
  ...certain("pii", category),
  confidence: "medium",
});

function certain(group: Assessment["group"], category: string): Assessment {
  return {
    group,
    category,
    severity: "critical",
    confidence: "high",
    method: "deterministic",
  };
}

const KINDS: Readonly<Record<CredentialKind, Assessment>> = {
  AnthropicKey: key("anthropic"),
  OpenAiKey: key("openai"),
  AwsAccessKey: cloud("CLOUD_ACCESS_KEY[aws:access_key_id]"),
  GcpServiceAccount: cloud("CLOUD_SERVICE_ACCOUNT_KEY[gcp:service_account_json]"),
  AzureConnectionString: cloud("CLOUD_CONNECTION_STRING[azure:storage]"),
  GitHubAppToken: token("github:app_installation"),
  GitHubOAuthToken: token("github:oauth"),
  GitHubPat: token("github:personal_access"),
  GitHubRefreshToken: token("github:refresh"),
  GitHubUserToken: token("github:user_to_server"),
  SlackAppToken: token("slack:app_level"),
  SlackBotToken: token("slack:bot"),
  SlackOAuthToken: token("slack:oauth"),
  SlackRefreshToken: token("slack:refresh"),
  SlackUserToken: token("slack:user"),
  MongodbUrl: database("mongodb"),
  MysqlUrl: database("mysql"),
  PostgresUrl: database("postgresql"),
  EcPrivateKey: pem("ec"),
  OpensshPrivateKey: pem("openssh"),
  PgpPrivateKey: pem("pgp"),
  PrivateKey: pem("pkcs8"),
  RsaPrivateKey: pem("rsa"),
  CreditCardLuhn: number("PAYMENT_CARD_NUMBER"),
  SsnPattern: number("NATIONAL_ID[en-US/ssn]"),
  EmailAddress: {
    group: "pii",
    category: "EMAIL_ADDRESS",
    severity: "medium",
    confidence: "medium",
    method: "heuristic",
  },
  GenericHighEntropy: {
    group: "generic",
    category: "HIGH_ENTROPY_SECRET",
    severity: "low",
    confidence: "low",
    method: "heuristic",
  },
  Custom: {
    group: "custom",
    category: "POLICY_DEFINED_MATCH",
    severity: "high",
    confidence: "high",
    method: "policy_defined",
  },
};

/** Severity of a locale entity where no label stands before it (§2.9). */
const LOCALE: Readonly<Record<string, Assessment["severity"]>> = {
  "NATIONAL_ID[zh-TW/national_id]": "critical",
  "NATIONAL_ID[zh-TW/arc_new]": "critical",
  "NATIONAL_ID[zh-TW/arc_legacy]": "critical",
  "PHONE_NUMBER[zh-TW/mobile]": "medium",
  "PHONE_NUMBER[zh-TW/landline]": "medium",
  "TAX_IDENTIFIER[zh-TW/business_id]": "low",
};

/**
 * Judges a finding: by its detector where it has one, else by its kind. A checksum that agrees makes
 * the confidence high.
 */
export function assess(finding: Finding): Assessment {
  if (finding.source === "locale") {
    return {
      group: "pii",
      category: finding.category,
      severity: LOCALE[finding.category] ?? "medium",
      confidence: finding.confidence,
      method: "deterministic",
    };
  }
  const own = finding.detector === undefined ? KINDS[finding.kind] : DETECTORS[finding.detector];
  const { group, category, severity, method } = own;
  const confidence = finding.verified === true ? "high" : own.confidence;
  return { group, category, severity, confidence, method };
}

/** `confirmed` for high confidence, `suspected` for less (§2.8). */
export function statusOf({ confidence }: Assessment): "confirmed" | "suspected" {
  return confidence === "high" ? "confirmed" : "suspected";
}

/** A canonical category in parts. */
export interface Category {
  /** One of the 14. */
  readonly base: (typeof CATEGORY_BASES)[number];
  /** `scheme:variant` or `locale/variant`, without the brackets; absent for a bare base. */
  readonly qualifier?: string;
}

/** Every canonical category: those of the kinds, the locale packs and the detectors. */
export const CATEGORIES: ReadonlySet<string> = new Set([
  ...CREDENTIAL_KINDS.map((kind) => KINDS[kind].category),
  KINDS.Custom.category,
  ...Object.keys(LOCALE),
  ...Object.values(DETECTORS).map(({ category }) => category),
]);

/**
 * Parses a canonical category: `BASE`, `BASE[scheme:variant]` or `BASE[locale/variant]`. Closed: a
 * text that no kind, pack or detector has is `undefined`, however well it is formed.
 */
export function parseCategory(text: string): Category | undefined {
  if (!CATEGORIES.has(text)) return undefined;
  const parts = /^([A-Z_]+)(?:\[([a-z0-9_]+:[a-z0-9_]+|[A-Za-z-]+\/[a-z0-9_]+)\])?$/.exec(text);
  const base = CATEGORY_BASES.find((name) => name === parts?.[1]);
  if (base === undefined) return undefined;
  const qualifier = parts?.[2];
  return qualifier === undefined ? { base } : { base, qualifier };
}
