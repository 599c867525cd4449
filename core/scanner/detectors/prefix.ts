/**
 * The literal prefixes (contract `interception` §2.2) and what must follow each to count.
 *
 * The reference takes every prefix, in any case, in the middle of any word. Here a prefix that is
 * also part of ordinary words must look like a token, and one that is not may be as short as the
 * vectors pin (traps S1 to S3).
 *
 * @module
 */
import { type Automaton, buildAutomaton } from "../automaton.ts";
import type { CredentialKind } from "../finding.ts";

/** What must surround a prefix. */
export type PrefixRule =
  /** A token of base64url characters. */
  | {
    readonly form: "token";
    /** Characters a token needs after the prefix when it starts a word. */
    readonly chars_min: number;
    /** Letters and digits in a row it needs when glued to a word, so that no letter hides a key. */
    readonly chars_glued: number;
    /** A token shorter than this needs a digit or an upper-case letter. */
    readonly chars_plain: number;
  }
  /** An AWS access key id: upper case, 16 upper-case letters or digits after the prefix. */
  | { readonly form: "aws" }
  /** The value of a JSON pair whose key is `"type"`. */
  | { readonly form: "gcp" }
  /** Something, anything, after the prefix. */
  | { readonly form: "value"; readonly exact_case?: true }
  /** A database or broker address; some schemes count only with a password in them. */
  | { readonly form: "url"; readonly needs_password?: true }
  /** First line of a private key. */
  | { readonly form: "pem" }
  /** A vendor's token: exact case, starts a word. */
  | {
    readonly form: "vendor";
    readonly detector: string;
    readonly chars_min: number;
    /** Parts joined by dots. */
    readonly dotted?: true;
  };

/** One prefix of the automaton. */
export interface Prefix {
  readonly text: string;
  readonly kind: CredentialKind;
  readonly rule: PrefixRule;
}

/** Tokens whose prefix is no part of any word: short ones count, as the vectors pin (trap S3). */
const DISTINCT: PrefixRule = { form: "token", chars_min: 4, chars_glued: 16, chars_plain: 0 };
/** `sk-` ends words such as "task-" and starts names such as "sk-learn" (trap S1). */
const AMBIGUOUS: PrefixRule = { form: "token", chars_min: 16, chars_glued: 32, chars_plain: 32 };

const URL: PrefixRule = { form: "url" };
const PEM: PrefixRule = { form: "pem" };

function vendor(text: string, detector: string, chars_min: number, dotted?: true): Prefix {
  const rule = { form: "vendor", detector, chars_min } as const;
  return {
    text,
    kind: "GenericHighEntropy",
    rule: dotted === undefined ? rule : { ...rule, dotted },
  };
}

/** Every prefix. Where two start at one place, the longer one is the more specific. */
export const PREFIXES: readonly Prefix[] = [
  { text: "sk-ant-", kind: "AnthropicKey", rule: DISTINCT },
  { text: "sk-", kind: "OpenAiKey", rule: AMBIGUOUS },
  { text: "AKIA", kind: "AwsAccessKey", rule: { form: "aws" } },
  { text: "ASIA", kind: "AwsAccessKey", rule: { form: "aws" } },
  { text: '"service_account"', kind: "GcpServiceAccount", rule: { form: "gcp" } },
  { text: "DefaultEndpointsProtocol=", kind: "AzureConnectionString", rule: { form: "value" } },
  {
    text: "AccountKey=",
    kind: "AzureConnectionString",
    rule: { form: "value", exact_case: true },
  },
  {
    text: "SharedAccessKey=",
    kind: "AzureConnectionString",
    rule: { form: "value", exact_case: true },
  },
  { text: "ghp_", kind: "GitHubPat", rule: DISTINCT },
  { text: "github_pat_", kind: "GitHubPat", rule: DISTINCT },
  { text: "ghs_", kind: "GitHubAppToken", rule: DISTINCT },
  { text: "gho_", kind: "GitHubOAuthToken", rule: DISTINCT },
  { text: "ghu_", kind: "GitHubUserToken", rule: DISTINCT },
  { text: "ghr_", kind: "GitHubRefreshToken", rule: DISTINCT },
  { text: "xoxb-", kind: "SlackBotToken", rule: DISTINCT },
  { text: "xoxp-", kind: "SlackUserToken", rule: DISTINCT },
  { text: "xoxa-", kind: "SlackOAuthToken", rule: DISTINCT },
  { text: "xapp-", kind: "SlackAppToken", rule: DISTINCT },
  { text: "xoxr-", kind: "SlackRefreshToken", rule: DISTINCT },
  { text: "postgres://", kind: "PostgresUrl", rule: URL },
  { text: "postgresql://", kind: "PostgresUrl", rule: URL },
  { text: "mysql://", kind: "MysqlUrl", rule: URL },
  { text: "mongodb://", kind: "MongodbUrl", rule: URL },
  { text: "mongodb+srv://", kind: "MongodbUrl", rule: URL },
  { text: "-----BEGIN RSA PRIVATE KEY-----", kind: "RsaPrivateKey", rule: PEM },
  { text: "-----BEGIN EC PRIVATE KEY-----", kind: "EcPrivateKey", rule: PEM },
  { text: "-----BEGIN OPENSSH PRIVATE KEY-----", kind: "OpensshPrivateKey", rule: PEM },
  { text: "-----BEGIN PRIVATE KEY-----", kind: "PrivateKey", rule: PEM },
  { text: "-----BEGIN ENCRYPTED PRIVATE KEY-----", kind: "PrivateKey", rule: PEM },
  { text: "-----BEGIN DSA PRIVATE KEY-----", kind: "PrivateKey", rule: PEM },
  { text: "-----BEGIN PGP PRIVATE KEY BLOCK-----", kind: "PgpPrivateKey", rule: PEM },
  // Secrets the frozen kinds have no name for (trap S7): the kind is the generic one, the
  // detector says which. Lengths are the vendors' documented ones or just below.
  vendor("eyJ", "json_web_token", 40, true),
  vendor("AIza", "google_api_key", 35),
  vendor("GOCSPX-", "google_oauth_secret", 24),
  vendor("sk_live_", "stripe_key", 16),
  vendor("sk_test_", "stripe_key", 16),
  vendor("rk_live_", "stripe_key", 16),
  vendor("rk_test_", "stripe_key", 16),
  vendor("whsec_", "stripe_webhook_secret", 24),
  vendor("SG.", "sendgrid_key", 60, true),
  vendor("npm_", "npm_token", 36),
  vendor("pypi-AgE", "pypi_token", 50),
  vendor("glpat-", "gitlab_token", 20),
  vendor("hf_", "hugging_face_token", 30),
  vendor("dckr_pat_", "docker_token", 24),
  { text: "redis://", kind: "GenericHighEntropy", rule: { form: "url", needs_password: true } },
  { text: "rediss://", kind: "GenericHighEntropy", rule: { form: "url", needs_password: true } },
  { text: "amqp://", kind: "GenericHighEntropy", rule: { form: "url", needs_password: true } },
  { text: "amqps://", kind: "GenericHighEntropy", rule: { form: "url", needs_password: true } },
];

/** Finds all prefixes at once. */
export const PREFIX_AUTOMATON: Automaton = buildAutomaton(PREFIXES.map(({ text }) => text));
