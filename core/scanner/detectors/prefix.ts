/**
 * The literal prefixes and what must follow each to count: those with a frozen kind (contract
 * `interception` §2.2) here, the others in `vendors.ts`, `addresses.ts` and `assigned.ts`.
 *
 * The reference takes every prefix, in any case, in the middle of any word. Here a prefix that is
 * also part of ordinary words must look like a token, and one that is not may be as short as the
 * vectors pin (traps S1 to S3). In strict mode all of them must look as their issuer makes them.
 *
 * @module
 */
import type { CredentialKind } from "../finding.ts";
import { LABEL_START } from "../labels.ts";
import { ADDRESSES } from "./addresses.ts";
import { ASSIGNED } from "./assigned.ts";
import type { DetectorName } from "./catalog.ts";
import { BASE64_PADDED, BASE64URL, chars, LETTERS_DIGITS, type Shape } from "./shape.ts";
import { VENDORS } from "./vendors.ts";

/** What must surround a prefix. */
export type PrefixRule =
  /** A token of base64url characters, one of the frozen kinds. */
  | {
    readonly form: "token";
    /** Characters a token needs after the prefix when it starts a word. */
    readonly chars_min: number;
    /** Letters and digits in a row it needs when glued to a word, so that no letter hides a key. */
    readonly chars_glued: number;
    /** A token shorter than this needs a digit or an upper-case letter. */
    readonly chars_plain: number;
    /** What strict mode wants after the prefix. */
    readonly strict: Shape;
    /** The last six of 36 characters are a CRC-32 of the rest. */
    readonly checksum?: true;
  }
  /** An AWS access key id: upper case, 16 upper-case letters or digits after the prefix. */
  | { readonly form: "aws" }
  /** The value of a JSON pair whose key is `"type"`. */
  | { readonly form: "gcp" }
  /** Something, anything, after the prefix; `late` ones are the last pass of §2.1. */
  | { readonly form: "value"; readonly late: boolean; readonly strict?: Shape }
  /** A database address; some schemes count only with a password in them. */
  | { readonly form: "url"; readonly needs_password: boolean }
  /** First line of a private key. */
  | { readonly form: "pem" }
  /** First line of the private part of a PuTTY key file. */
  | { readonly form: "putty" }
  /** A vendor's token: starts a word, has a shape. */
  | {
    readonly form: "vendor";
    readonly shape: Shape;
    /** A run in front of the prefix that belongs to the token, of so many characters. */
    readonly before?: { readonly chars: number; readonly least: number; readonly most: number };
    /** The token ends where its shape does: no letter or digit may follow. */
    readonly closed?: true;
    /** It must hold a digit and a letter: the prefix alone says little. */
    readonly mixed?: true;
    readonly checksum?: "crc32_base62" | "jwt_header";
  }
  /** `scheme://user:password@host`, whatever the scheme; the prefix is `://`. */
  | { readonly form: "userinfo" }
  /** A value that a name is given: `name=value`, `"name": "value"`, `name: value`. */
  | {
    readonly form: "assigned";
    readonly value: Shape;
    /** The value ends where its shape does. */
    readonly closed: boolean;
    readonly check?: "mixed" | "basic_auth" | "not_a_placeholder";
    /** Nothing but what the prefix holds separates name and value. */
    readonly glued: boolean;
  }
  /** The values of a cookie header. */
  | { readonly form: "cookie" }
  /** Start of one of the scanner's own labels: no finding. */
  | { readonly form: "label" };

/** One prefix. */
export interface Prefix {
  readonly text: string;
  /** Upper and lower case differ. */
  readonly exact_case: boolean;
  /** It counts only as the first bytes of a text. */
  readonly at_start?: true;
  readonly kind: CredentialKind;
  /** Name in the catalogue of detectors, for what the frozen kinds have no name for. */
  readonly detector?: DetectorName;
  readonly rule: PrefixRule;
}

/** Tokens whose prefix is no part of any word: short ones count, as the vectors pin (trap S3). */
function distinct(strict: Shape, checksum?: true): PrefixRule {
  const rule = { form: "token", chars_min: 4, chars_glued: 16, chars_plain: 0, strict } as const;
  return checksum === undefined ? rule : { ...rule, checksum };
}

/** `sk-` ends words such as "task-" and starts names such as "sk-learn" (trap S1). */
const OPENAI: PrefixRule = {
  form: "token",
  chars_min: 16,
  chars_glued: 32,
  chars_plain: 32,
  strict: [chars(BASE64URL, 40)],
};

const GITHUB = distinct([chars(LETTERS_DIGITS, 36, 36)], true);
const GITHUB_APP = distinct([chars(LETTERS_DIGITS, 36)], true);
const SLACK = distinct([chars(BASE64URL, 24)]);
const URL: PrefixRule = { form: "url", needs_password: false };
const PEM: PrefixRule = { form: "pem" };

function prefix(text: string, kind: CredentialKind, rule: PrefixRule): Prefix {
  return { text, exact_case: false, kind, rule };
}

/** The prefixes of the frozen kinds. */
const FROZEN: readonly Prefix[] = [
  prefix("sk-ant-", "AnthropicKey", distinct([chars(BASE64URL, 40)])),
  prefix("sk-", "OpenAiKey", OPENAI),
  { text: "AKIA", exact_case: true, kind: "AwsAccessKey", rule: { form: "aws" } },
  { text: "ASIA", exact_case: true, kind: "AwsAccessKey", rule: { form: "aws" } },
  prefix('"service_account"', "GcpServiceAccount", { form: "gcp" }),
  prefix("DefaultEndpointsProtocol=", "AzureConnectionString", { form: "value", late: false }),
  ...["AccountKey=", "SharedAccessKey="].map((text): Prefix => ({
    text,
    exact_case: true,
    kind: "AzureConnectionString",
    rule: { form: "value", late: true, strict: [chars(BASE64_PADDED, 40)] },
  })),
  prefix("ghp_", "GitHubPat", GITHUB),
  prefix("github_pat_", "GitHubPat", distinct([chars(BASE64URL, 82, 82)])),
  prefix("ghs_", "GitHubAppToken", GITHUB_APP),
  prefix("gho_", "GitHubOAuthToken", GITHUB),
  prefix("ghu_", "GitHubUserToken", GITHUB),
  prefix("ghr_", "GitHubRefreshToken", distinct([chars(LETTERS_DIGITS, 36, 36, 76)], true)),
  prefix("xoxb-", "SlackBotToken", SLACK),
  prefix("xoxp-", "SlackUserToken", SLACK),
  prefix("xoxa-", "SlackOAuthToken", SLACK),
  prefix("xapp-", "SlackAppToken", SLACK),
  prefix("xoxr-", "SlackRefreshToken", SLACK),
  prefix("postgres://", "PostgresUrl", URL),
  prefix("postgresql://", "PostgresUrl", URL),
  prefix("mysql://", "MysqlUrl", URL),
  prefix("mongodb://", "MongodbUrl", URL),
  prefix("mongodb+srv://", "MongodbUrl", URL),
  prefix("-----BEGIN RSA PRIVATE KEY-----", "RsaPrivateKey", PEM),
  prefix("-----BEGIN EC PRIVATE KEY-----", "EcPrivateKey", PEM),
  prefix("-----BEGIN OPENSSH PRIVATE KEY-----", "OpensshPrivateKey", PEM),
  prefix("-----BEGIN PRIVATE KEY-----", "PrivateKey", PEM),
  prefix("-----BEGIN ENCRYPTED PRIVATE KEY-----", "PrivateKey", PEM),
  prefix("-----BEGIN DSA PRIVATE KEY-----", "PrivateKey", PEM),
  prefix("-----BEGIN PGP PRIVATE KEY BLOCK-----", "PgpPrivateKey", PEM),
];

const LABEL: Prefix = {
  text: LABEL_START,
  exact_case: true,
  kind: "Custom",
  rule: { form: "label" },
};

/** Every prefix, longer ones first: where two start at one place, the longer one speaks. */
export const PREFIXES: readonly Prefix[] = [
  ...[...FROZEN, ...VENDORS, ...ADDRESSES, ...ASSIGNED, LABEL],
]
  .sort((a, b) => b.text.length - a.text.length);
