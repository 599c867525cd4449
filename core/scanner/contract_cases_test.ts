/** The cases of contract `interception` §10.1 (rows 1 to 29) that are spelled out there. */
import assert from "node:assert/strict";
import { DEFAULT_SCANNER, redact } from "./mod.ts";

/** Two halves of a secret, 18 characters each: neither scores alone. */
const HALF_1 = "aB3dEf7hJk9mNp2qRs";
const HALF_2 = "5tUv8wXy4zC6gLhQ1V";
const HEX_64 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const PEM = (name: string, body: string): string =>
  `KEY=-----BEGIN ${name}-----\n${body}\n-----END ${name}-----`;

/** Input, findings as `kind@offset`, redacted text with labels shortened to `[Kind]`. */
const CASES: readonly (readonly [input: string, findings: string, redacted: string])[] = [
  ["AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AwsAccessKey@18", "AWS_ACCESS_KEY_ID=[AwsAccessKey]"],
  ["id=ASIAIOSFODNN7EXAMPLE", "AwsAccessKey@3", "id=[AwsAccessKey]"],
  ...['{"type": "service_account"', '{"type":"service_account"', '{"type" :"service_account"']
    .concat('{"type" : "service_account"')
    .map((text) =>
      [`${text}, "p": 1}`, "GcpServiceAccount@1", '{[GcpServiceAccount], "p": 1}'] as const
    ),
  ["tok=ghs_AbCdEfGh", "GitHubAppToken@4", "tok=[GitHubAppToken]"],
  ["tok=gho_AbCdEfGh", "GitHubOAuthToken@4", "tok=[GitHubOAuthToken]"],
  ["tok=ghu_AbCdEfGh", "GitHubUserToken@4", "tok=[GitHubUserToken]"],
  ["tok=ghr_AbCdEfGh", "GitHubRefreshToken@4", "tok=[GitHubRefreshToken]"],
  ["tok=github_pat_AbCdEfGh", "GitHubPat@4", "tok=[GitHubPat]"],
  ["tok=xoxb-AbCdEf", "SlackBotToken@4", "tok=[SlackBotToken]"],
  ["tok=xoxp-AbCdEf", "SlackUserToken@4", "tok=[SlackUserToken]"],
  ["tok=xapp-AbCdEf", "SlackAppToken@4", "tok=[SlackAppToken]"],
  ["tok=xoxr-AbCdEf", "SlackRefreshToken@4", "tok=[SlackRefreshToken]"],
  ["DB=mysql://admin:secret@mysql.internal/app", "EmailAddress@0 MysqlUrl@3", "[MysqlUrl]"],
  ["mysql://root:secret@db/x", "MysqlUrl@0", "[MysqlUrl]"],
  ["card=4532015112830366", "CreditCardLuhn@5", "card=[CreditCardLuhn]"],
  ["card=4532 0151 1283 0366.", "CreditCardLuhn@5", "card=[CreditCardLuhn]."],
  ["card=4532-0151-1283-0366", "CreditCardLuhn@5", "card=[CreditCardLuhn]"],
  ["card=4532.0151.1283.0366", "CreditCardLuhn@5", "card=[CreditCardLuhn]"],
  ["card=４５３２　０１５１　１２８３　０３６６", "CreditCardLuhn@5", "card=[CreditCardLuhn]"],
  ["card=4532015112830367", "", "card=4532015112830367"],
  ["card=4532–0151–1283–0366", "", "card=4532–0151–1283–0366"],
  ["ssn=123-45-6789", "SsnPattern@4", "ssn=[SsnPattern]"],
  ["ssn=１２３－４５－６７８９", "SsnPattern@4", "ssn=[SsnPattern]"],
  [`secret=${HEX_64}`, "GenericHighEntropy@7", "secret=[GenericHighEntropy]"],
  [
    `fp ${HEX_64.match(/../g)?.join(":")} end`,
    "GenericHighEntropy@3",
    "fp [GenericHighEntropy] end",
  ],
  [
    "token: aB3dEf7hJk9mNp2qRs5tUva 8wXy4zC6gLhQ1VjD0 end",
    "GenericHighEntropy@7 GenericHighEntropy@31",
    "token: [GenericHighEntropy] [GenericHighEntropy] end",
  ],
  [
    `authorization: ${HALF_1} ${HALF_2} trailing`,
    "GenericHighEntropy@15 GenericHighEntropy@34",
    "authorization: [GenericHighEntropy] [GenericHighEntropy] trailing",
  ],
  [
    "installation ghs_16C7e42F292c6912E7710c838347Ae178B4a",
    "GitHubAppToken@13",
    "installation [GitHubAppToken]",
  ],
  [
    "授權標頭金鑰為aB3dEfGhIjKlMnO.pQrStUvWxYz01234中文",
    "GenericHighEntropy@21",
    "授權標頭金鑰為[GenericHighEntropy]中文",
  ],
  [
    PEM("EC PRIVATE KEY", "MHcCAQEEIIGLlamZzoRf5GqMtQbVJrXhkTyZ2"),
    "EcPrivateKey@4 GenericHighEntropy@35",
    "KEY=[EcPrivateKey]\n[GenericHighEntropy]\n-----END EC PRIVATE KEY-----",
  ],
  ...([["OPENSSH PRIVATE KEY", "OpensshPrivateKey"], ["PRIVATE KEY", "PrivateKey"]] as const)
    .map(([name, kind]) =>
      [
        PEM(name, "MIIEvQIBADANBgkq"),
        `${kind}@4`,
        `KEY=[${kind}]\nMIIEvQIBADANBgkq\n-----END ${name}-----`,
      ] as const
    ),
  [
    PEM("PGP PRIVATE KEY BLOCK", "lQOYBF0AAAABCADK"),
    "PgpPrivateKey@4",
    "KEY=[PgpPrivateKey]\nlQOYBF0AAAABCADK\n-----END PGP PRIVATE KEY BLOCK-----",
  ],
  ["ตัวแทนจะสอบถามนโยบายก่อนเรียกใช้เครื่องมือทุกครั้ง", "", "ตัวแทนจะสอบถามนโยบายก่อนเรียกใช้เครื่องมือทุกครั้ง"],
  ["參考號碼 1234 5678 9012 3456 已建立", "", "參考號碼 1234 5678 9012 3456 已建立"],
  ["id 550e8400-e29b-41d4-a716-446655440000", "", "id 550e8400-e29b-41d4-a716-446655440000"],
  ["mac 00:1a:2b:3c:4d:5e", "", "mac 00:1a:2b:3c:4d:5e"],
  ["md5 d41d8cd98f00b204e9800998ecf8427e", "", "md5 d41d8cd98f00b204e9800998ecf8427e"],
  [
    "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "",
    "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
  ],
];

for (const [input, expected, redacted] of CASES) {
  Deno.test(`${JSON.stringify(input.slice(0, 60))} holds ${expected || "nothing"}`, () => {
    const findings = DEFAULT_SCANNER.scan(input);
    const seen = findings.map((finding) =>
      `${finding.source === "locale" ? finding.category : finding.kind}@${finding.offset}`
    );
    assert.equal(seen.join(" "), expected);
    assert.equal(redact(input, findings).replaceAll("[REDACTED:", "["), redacted);
  });
}
