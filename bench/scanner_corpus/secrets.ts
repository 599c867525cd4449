/**
 * Secrets as their issuers describe them: alphabet, length, checksum. Written from the vendors'
 * pages, not from the scanner's own rules, so that a wrong rule shows.
 *
 * @module
 */
import { ALNUM, BASE64, base64, BASE64URL, DIGITS, HEX, LOWER, Random, UPPER } from "./random.ts";

/** One kind of secret. */
export interface SecretMaker {
  /** Name in the tables. */
  readonly name: string;
  /** `secret`: a credential; `personal`: a card, a number, an address, which no secret scanner seeks. */
  readonly class: "secret" | "personal";
  readonly make: (random: Random) => string;
  /** The value needs this name in front of it to be known. */
  readonly named?: readonly string[];
  /** The value is written as it stands, in a line of its own. */
  readonly bare?: true;
}

const secret = (
  name: string,
  make: (random: Random) => string,
  named?: readonly string[],
): SecretMaker => ({ name, class: "secret", make, ...(named && { named }) });
const personal = (name: string, make: (random: Random) => string): SecretMaker => ({
  name,
  class: "personal",
  make,
});

const BASE62 = DIGITS + UPPER + LOWER;

/** CRC-32 in six characters of base62, as GitHub and npm end their tokens with. */
function crc62(text: string): string {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  let rest = (crc ^ 0xffffffff) >>> 0;
  let digits = "";
  for (let index = 0; index < 6; index++) {
    digits = BASE62[rest % 62] + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

function checked(random: Random, prefix: string, length: number): string {
  const body = random.chars(ALNUM, length - 6);
  return prefix + body + crc62(body);
}

function password(random: Random): string {
  return random.chars(ALNUM, 6) + random.chars(DIGITS, 2) + random.chars(ALNUM, 6);
}

function url(scheme: string, port: number): (random: Random) => string {
  return (random) =>
    `${scheme}://svc_${random.chars(LOWER, 5)}:${password(random)}@` +
    `db-${random.chars(LOWER, 4)}.internal:${port}/${random.chars(LOWER, 6)}`;
}

function jwt(random: Random): string {
  const part = (value: unknown): string =>
    btoa(JSON.stringify(value)).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
  const body = part({ sub: random.chars(DIGITS, 10), name: "A. User", iat: 1_700_000_000 });
  return `${part({ alg: "HS256", typ: "JWT" })}.${body}.${random.chars(BASE64URL, 43)}`;
}

function pem(name: string, bytes: number): (random: Random) => string {
  return (random) => {
    const lines = base64(random.bytes(bytes)).match(/.{1,64}/g) ?? [];
    return `-----BEGIN ${name}-----\n${lines.join("\n")}\n-----END ${name}-----`;
  };
}

function luhn(digits: string): string {
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const doubled = Number(digit) * (index % 2 === 0 ? 2 : 1);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return digits + (10 - sum % 10) % 10;
}

function iban(random: Random): string {
  const account = random.chars(DIGITS, 18);
  let rest = 0;
  // D = 13, E = 14, then the check digits as zeros (ISO 13616).
  for (const digit of `${account}131400`) rest = (rest * 10 + Number(digit)) % 97;
  return `DE${String(98 - rest).padStart(2, "0")}${account}`;
}

const BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

/** Every kind of secret of the corpus. */
export const SECRETS: readonly SecretMaker[] = [
  secret("anthropic", (r) => `sk-ant-api03-${r.chars(BASE64URL, 93)}AA`),
  secret("openai", (r) => `sk-${r.chars(ALNUM, 20)}T3BlbkFJ${r.chars(ALNUM, 20)}`),
  secret(
    "openai_project",
    (r) => `sk-proj-${r.chars(BASE64URL, 74)}T3BlbkFJ${r.chars(BASE64URL, 74)}`,
  ),
  secret("aws_key_id", (r) => `AKIA${r.chars(UPPER + "234567", 16)}`),
  secret("aws_secret", (r) => r.chars(BASE64, 40), [
    "aws_secret_access_key",
    "AWS_SECRET_ACCESS_KEY",
  ]),
  ...["ghp_", "gho_", "ghu_", "ghs_", "ghr_"].map((prefix) =>
    secret(`github ${prefix}`, (r) => checked(r, prefix, 36))
  ),
  secret("github_fine_grained", (r) => `github_pat_${r.chars(ALNUM, 22)}_${r.chars(ALNUM, 59)}`),
  secret(
    "slack_bot",
    (r) => `xoxb-${r.chars("123456789", 12)}-${r.chars("123456789", 12)}-${r.chars(ALNUM, 24)}`,
  ),
  secret(
    "slack_user",
    (r) =>
      `xoxp-${r.chars("123456789", 12)}-${r.chars("123456789", 12)}-${r.chars("123456789", 12)}-${
        r.chars(HEX, 32)
      }`,
  ),
  secret(
    "slack_app",
    (r) => `xapp-1-A${r.chars(UPPER + DIGITS, 10)}-${r.chars("123456789", 13)}-${r.chars(HEX, 64)}`,
  ),
  secret(
    "slack_webhook",
    (r) =>
      `https://hooks.slack.com/services/T${r.chars(UPPER + DIGITS, 8)}/B${
        r.chars(UPPER + DIGITS, 10)
      }/${r.chars(ALNUM, 24)}`,
  ),
  secret("stripe", (r) => `sk_live_${r.chars(ALNUM, 24)}`),
  secret("stripe_long", (r) => `rk_live_${r.chars(ALNUM, 99)}`),
  secret("google_api", (r) => `AIza${r.chars(BASE64URL, 35)}`),
  secret("google_oauth", (r) => `GOCSPX-${r.chars(BASE64URL, 28)}`, ["client_secret"]),
  secret("gitlab", (r) => `glpat-${r.chars(BASE64URL, 20)}`),
  secret("npm", (r) => checked(r, "npm_", 36)),
  secret("pypi", (r) => `pypi-AgEIcHlwaS5vcmc${r.chars(BASE64URL, 150)}`),
  secret("hugging_face", (r) => `hf_${r.chars(LOWER + UPPER, 34)}`),
  secret("digitalocean", (r) => `dop_v1_${r.chars(HEX, 64)}`),
  secret("sendgrid", (r) => `SG.${r.chars(BASE64URL, 22)}.${r.chars(BASE64URL, 43)}`),
  secret("twilio", (r) => `SK${r.chars(HEX, 32)}`, ["twilio_api_key", "TWILIO_API_KEY_SID"]),
  secret("telegram", (r) => `${r.chars("123456789", 10)}:AA${r.chars(BASE64URL, 33)}`, [
    "telegram_bot_token",
  ]),
  secret(
    "discord_webhook",
    (r) => `https://discord.com/api/webhooks/${r.chars("123456789", 18)}/${r.chars(BASE64URL, 68)}`,
  ),
  secret("docker", (r) => `dckr_pat_${r.chars(BASE64URL, 27)}`, ["docker_token"]),
  secret("shopify", (r) => `shpat_${r.chars(HEX, 32)}`),
  secret(
    "azure_storage",
    (r) =>
      `DefaultEndpointsProtocol=https;AccountName=acct${r.chars(LOWER, 5)};AccountKey=${
        base64(r.bytes(64))
      };EndpointSuffix=core.windows.net`,
  ),
  secret("json_web_token", jwt),
  secret("postgres_url", url("postgres", 5432)),
  secret("mysql_url", url("mysql", 3306)),
  secret("mongodb_url", url("mongodb+srv", 27017)),
  secret("redis_url", url("redis", 6379)),
  secret("amqp_url", url("amqp", 5672)),
  secret("basic_auth_url", (r) => `https://deploy:${password(r)}@git.example.com/repo.git`),
  secret("basic_auth_header", (r) => `Basic ${btoa(`svc-${r.chars(LOWER, 5)}:${password(r)}`)}`, [
    "Authorization",
  ]),
  secret("age_key", (r) => `AGE-SECRET-KEY-1${r.chars(BECH32, 58)}`),
  { ...secret("rsa_key", pem("RSA PRIVATE KEY", 1_190)), bare: true },
  { ...secret("ec_key", pem("EC PRIVATE KEY", 121)), bare: true },
  { ...secret("openssh_key", pem("OPENSSH PRIVATE KEY", 400)), bare: true },
  personal("card", (r) => luhn(`4${r.chars(DIGITS, 14)}`)),
  personal(
    "card_grouped",
    (r) =>
      luhn(`5${r.text(["1", "2", "3", "4", "5"])}${r.chars(DIGITS, 13)}`).replace(
        /(\d{4})(?=\d)/g,
        "$1 ",
      ),
  ),
  personal("ssn", (r) => `${100 + r.below(565)}-${10 + r.below(89)}-${1_000 + r.below(8_999)}`),
  personal("email", (r) => `${r.chars(LOWER, 7)}.${r.chars(LOWER, 5)}@${r.chars(LOWER, 6)}.com`),
  personal("iban", iban),
];
