/**
 * What the scanner found: kind and byte span, never the secret itself.
 *
 * @module
 */
import type { DecodeStep } from "./decode/view.ts";
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
  /** A built-in detector, or a pattern of the policy. */
  readonly source: "builtin" | "pattern";
  /** The frozen kind it is, or is filed under. */
  readonly kind: CredentialKind;
  /** First byte. */
  readonly offset: number;
  /** Byte behind the last. */
  readonly end: number;
  /** The precise rule, where the frozen kinds have no name for it, e.g. `stripe_key`. */
  readonly detector?: DetectorName;
  /** A checksum inside the value was computed and agrees, so this is no look-alike. */
  readonly verified?: true;
  /** What was undone to see it, outermost first, e.g. `["base64", "gzip"]`. */
  readonly via?: readonly DecodeStep[];
}

/** A finding of a locale pack, e.g. category `NATIONAL_ID[zh-TW/arc_new]`. */
export interface LocaleFinding {
  /** A locale pack. */
  readonly source: "locale";
  /** Canonical category (contract `interception` §2.8). */
  readonly category: string;
  /** First byte. */
  readonly offset: number;
  /** Byte behind the last. */
  readonly end: number;
  /** Raised one step where a label such as `統編` stands before it. */
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
  /** Like `scan`, and names what could not be decoded, where a scanner decodes at all. */
  inspect?(text: string): Inspection;
  /** The same for bytes, compressed ones too. */
  inspectBytes?(bytes: Uint8Array): Inspection;
}

/** Why a part of a text was not looked behind. */
export type UndecodedReason = "depth" | "size" | "expansion" | "corrupt";

/** A part of a text that could not be decoded within bounds: it is not known to be clean. */
export interface Undecoded {
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  /**
   * `depth`: more encodings in each other than are undone; `size`: more bytes in all; `expansion`: a
   * compressed stream grows too far; `corrupt`: one is damaged behind what was searched of it.
   */
  readonly reason: UndecodedReason;
  readonly via: readonly DecodeStep[];
}

/** Findings, and what must not be taken for clean although nothing was found in it. */
export interface Inspection {
  readonly findings: Finding[];
  readonly undecoded: readonly Undecoded[];
}

/** A scanner that also takes what came off a wire or a file, without making a string of it. */
export interface ByteScanner extends Scanner {
  /** The same for bytes that are UTF-8 already; malformed ones count as characters of no meaning. */
  scanBytes(bytes: Uint8Array): Finding[];
  inspect(text: string): Inspection;
  /** Like `scanBytes`, and names what could not be decoded; looks into compressed bytes too. */
  inspectBytes(bytes: Uint8Array): Inspection;
}
