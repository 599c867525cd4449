/**
 * What the scanner found: kind and byte span, never the secret itself.
 *
 * @module
 */
import type { DetectorName } from "./detectors/catalog.ts";

/** The 27 built-in kinds in the order of the reference, frozen (contract `interception` §2.2). */
export const CREDENTIAL_KINDS = [
  "AnthropicKey",
  "AwsAccessKey",
  "GcpServiceAccount",
  "OpenAiKey",
  "AzureConnectionString",
  "GitHubAppToken",
  "GitHubOAuthToken",
  "GitHubPat",
  "GitHubRefreshToken",
  "GitHubUserToken",
  "SlackAppToken",
  "SlackBotToken",
  "SlackOAuthToken",
  "SlackRefreshToken",
  "SlackUserToken",
  "MongodbUrl",
  "MysqlUrl",
  "PostgresUrl",
  "EcPrivateKey",
  "OpensshPrivateKey",
  "PgpPrivateKey",
  "PrivateKey",
  "RsaPrivateKey",
  "CreditCardLuhn",
  "EmailAddress",
  "SsnPattern",
  "GenericHighEntropy",
] as const;

/** A built-in kind, or `Custom` for a pattern of the policy. */
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number] | "Custom";

/** A finding of a built-in detector or a policy pattern. Offsets are UTF-8 bytes of the text. */
export interface CredentialFinding {
  readonly source: "builtin" | "pattern";
  readonly kind: CredentialKind;
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  /** The precise rule, where the frozen kinds have no name for it, e.g. `stripe_key`. */
  readonly detector?: DetectorName;
  /** A checksum inside the value was computed and agrees, so this is no look-alike. */
  readonly verified?: true;
}

/** A finding of a locale pack, e.g. category `NATIONAL_ID[zh-TW/arc_new]`. */
export interface LocaleFinding {
  readonly source: "locale";
  readonly category: string;
  readonly offset: number;
  readonly end: number;
  readonly confidence: "high" | "medium" | "low";
}

/** Any finding. */
export type Finding = CredentialFinding | LocaleFinding;

/** What replaces a finding: `[REDACTED:<Kind>]`, or `[REDACTED]` for a locale finding. */
export function labelOf(finding: Finding): string {
  return finding.source === "locale" ? "[REDACTED]" : `[REDACTED:${finding.kind}]`;
}

/** A text scanner with everything compiled. Pure: same text, same findings. */
export interface Scanner {
  /** Findings in order of offset. */
  scan(text: string): Finding[];
}

/** A scanner that also takes what came off a wire or a file, without making a string of it. */
export interface ByteScanner extends Scanner {
  /** The same for bytes that are UTF-8 already; malformed ones count as characters of no meaning. */
  scanBytes(bytes: Uint8Array): Finding[];
}
