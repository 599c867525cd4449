/** The cases of contract `interception` §10.1 (rows 1 to 29) that are spelled out there. */
import assert from "node:assert/strict";
import { DEFAULT_SCANNER, redact } from "./mod.ts";

/** Two halves of a secret, 18 characters each: neither scores alone. */
const HALF_1 = "aB3dEf7hJk9mNp2qRs";
const HALF_2 = "5tUv8wXy4zC6gLhQ1V";
const HEX_64 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const PEM = (name: string, body: string): string =>
  `KEY=-----BEGIN ${name}-----\n${body}\n-----END ${name}-----`;

/** Case of §10.1, input, findings as `kind@offset`, redacted text with labels shortened to `[Kind]`. */
type Case = readonly [id: number, input: string, findings: string, redacted: string];

const XS = "X".repeat(40);

const CASES: readonly Case[] = [
  [1, `Authorization: sk-ant-api03-${XS}`, "AnthropicKey@15", "Authorization: [AnthropicKey]"],
  [2, `OPENAI_API_KEY=sk-proj-${XS}`, "OpenAiKey@15", "OPENAI_API_KEY=[OpenAiKey]"],
  [
    3,
    "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
    "AwsAccessKey@18",
    "AWS_ACCESS_KEY_ID=[AwsAccessKey]",
  ],
  [3, "id=ASIAIOSFODNN7EXAMPLE", "AwsAccessKey@3", "id=[AwsAccessKey]"],
  [
    4,
    "AZURE_CONN=DefaultEndpointsProtocol=https;AccountName=myaccount;AccountKey=XXXX",
    "AzureConnectionString@11 AzureConnectionString@64",
    "AZURE_CONN=[AzureConnectionString];AccountName=myaccount;[AzureConnectionString]",
  ],
  ...['{"type": "service_account"', '{"type":"service_account"', '{"type" :"service_account"']
    .concat('{"type" : "service_account"')
    .map((text): Case => [
      5,
      `${text}, "project_id": "p"}`,
      "GcpServiceAccount@1",
      '{[GcpServiceAccount], "project_id": "p"}',
    ]),
  ...([
    ["ghp_AbCdEfGh", "GitHubPat"],
    ["ghs_AbCdEfGh", "GitHubAppToken"],
    ["gho_AbCdEfGh", "GitHubOAuthToken"],
    ["ghu_AbCdEfGh", "GitHubUserToken"],
    ["ghr_AbCdEfGh", "GitHubRefreshToken"],
    ["github_pat_AbCdEfGh", "GitHubPat"],
    ["xoxb-AbCdEf", "SlackBotToken"],
    ["xoxa-AbCdEf", "SlackOAuthToken"],
    ["xoxp-AbCdEf", "SlackUserToken"],
    ["xapp-AbCdEf", "SlackAppToken"],
    ["xoxr-AbCdEf", "SlackRefreshToken"],
  ] as const).map(([token, kind]): Case => [6, `tok=${token}`, `${kind}@4`, `tok=[${kind}]`]),
  [
    7,
    "MONGO_URI=mongodb://admin:pass@cluster0.mongodb.net/mydb",
    "EmailAddress@0 GenericHighEntropy@0 MongodbUrl@10",
    "[MongodbUrl]",
  ],
  [8, "DB=mysql://admin:secret@mysql.internal/app", "EmailAddress@0 MysqlUrl@3", "[MysqlUrl]"],
  [8, "mysql://root:secret@db/x", "MysqlUrl@0", "[MysqlUrl]"],
  [
    9,
    "DATABASE_URL=postgres://user:password@db.internal:5432/mydb",
    "EmailAddress@0 GenericHighEntropy@0 PostgresUrl@13",
    "[PostgresUrl]",
  ],
  ...[
    "4532015112830366",
    "４５３２０１５１１２８３０３６６",
    "４５３２　０１５１　１２８３　０３６６",
  ]
    .concat("4532-0151-1283-0366", "4532.0151.1283.0366", "4532 0151 1283 0366")
    .map((card): Case => [10, `card=${card}`, "CreditCardLuhn@5", "card=[CreditCardLuhn]"]),
  ...["4532015112830367", "4532–0151–1283–0366"]
    .map((card): Case => [11, `card=${card}`, "", `card=${card}`]),
  ...["123-45-6789", "１２３-４５-６７８９", "123－45－6789", "１２３－４５－６７８９"]
    .map((ssn): Case => [12, `ssn=${ssn}`, "SsnPattern@4", "ssn=[SsnPattern]"]),
  [13, "contact=alice@example.com", "EmailAddress@0", "[EmailAddress]"],
  [14, `secret=${HEX_64}`, "GenericHighEntropy@7", "secret=[GenericHighEntropy]"],
  [
    14,
    `fp ${HEX_64.match(/../g)?.join(":")} end`,
    "GenericHighEntropy@3",
    "fp [GenericHighEntropy] end",
  ],
  [
    15,
    "token=aB3dEfGhIjKlMnOpQrStUvWxYz0123456789AB",
    "GenericHighEntropy@0",
    "[GenericHighEntropy]",
  ],
  [
    16,
    `auth=${HALF_1}${HALF_2}aGVsbG9Xb3JsZFRoaXNJc0FWZXJ5TG9uZ0Jhc2U2NA`,
    "GenericHighEntropy@5",
    "auth=[GenericHighEntropy]",
  ],
  [
    17,
    "token: aB3dEf7hJk9mNp2qRs5tUva 8wXy4zC6gLhQ1VjD0 end",
    "GenericHighEntropy@7 GenericHighEntropy@31",
    "token: [GenericHighEntropy] [GenericHighEntropy] end",
  ],
  [
    18,
    `authorization: ${HALF_1} ${HALF_2} trailing`,
    "GenericHighEntropy@15 GenericHighEntropy@34",
    "authorization: [GenericHighEntropy] [GenericHighEntropy] trailing",
  ],
  [
    19,
    `authorization: ${HALF_1}  ${HALF_2} trailing`,
    "",
    `authorization: ${HALF_1}  ${HALF_2} trailing`,
  ],
  [
    20,
    `a,${HALF_1},${HALF_2},3`,
    "GenericHighEntropy@0",
    `[GenericHighEntropy],${HALF_1},${HALF_2},3`,
  ],
  [
    21,
    "token: aB3dEf7hJk9mNp2qRs5\nreplicas: 3",
    "GenericHighEntropy@7 GenericHighEntropy@27",
    "token: [GenericHighEntropy]\n[GenericHighEntropy]: 3",
  ],
  [
    22,
    "SELECT aB3dEf7hJk9mNp2qR,replicasCount FROM t",
    "GenericHighEntropy@7",
    "SELECT [GenericHighEntropy],replicasCount FROM t",
  ],
  [
    23,
    "installation ghs_16C7e42F292c6912E7710c838347Ae178B4a",
    "GitHubAppToken@13",
    "installation [GitHubAppToken]",
  ],
  [
    24,
    "授權標頭金鑰為aB3dEfGhIjKlMnO.pQrStUvWxYz01234中文",
    "GenericHighEntropy@21",
    "授權標頭金鑰為[GenericHighEntropy]中文",
  ],
  [
    25,
    `授權標頭為${HALF_1}　${HALF_2}中文`,
    "GenericHighEntropy@15 GenericHighEntropy@36",
    "授權標頭為[GenericHighEntropy]　[GenericHighEntropy]中文",
  ],
  [
    26,
    PEM("EC PRIVATE KEY", "MHcCAQEEIIGLlamZzoRf5GqMtQbVJrXhkTyZ2"),
    "EcPrivateKey@4 GenericHighEntropy@35",
    "KEY=[EcPrivateKey]\n[GenericHighEntropy]\n-----END EC PRIVATE KEY-----",
  ],
  [
    27,
    PEM(
      "EC PRIVATE KEY",
      "MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu\nwJ8=",
    ),
    "EcPrivateKey@4 GenericHighEntropy@35",
    "KEY=[EcPrivateKey]",
  ],
  ...([
    ["OPENSSH PRIVATE KEY", "OpensshPrivateKey"],
    ["PGP PRIVATE KEY BLOCK", "PgpPrivateKey"],
    ["PRIVATE KEY", "PrivateKey"],
  ] as const).map(([name, kind]): Case => [
    28,
    PEM(name, "MIIEvQIBADANBgkq"),
    `${kind}@4`,
    `KEY=[${kind}]\nMIIEvQIBADANBgkq\n-----END ${name}-----`,
  ]),
  ...[
    "The quick brown fox jumps over the lazy dog. This is a normal log message with no secrets.",
    "代理程式在執行動作之前會先詢問閘道，並將決定寫入稽核紀錄。",
    "エージェントはツールを実行する前にポリシー判定を問い合わせます。",
    "ตัวแทนจะสอบถามนโยบายก่อนเรียกใช้เครื่องมือทุกครั้ง",
    "參考號碼 1234 5678 9012 3456 已建立",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "mac 00:1a:2b:3c:4d:5e",
    "md5 d41d8cd98f00b204e9800998ecf8427e",
    "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
  ].map((text): Case => [29, text, "", text]),
];

for (const [id, input, expected, redacted] of CASES) {
  const shown = JSON.stringify(input.slice(0, 60));
  Deno.test(`interception 10.1 #${id}: ${shown} holds ${expected || "nothing"}`, () => {
    const findings = DEFAULT_SCANNER.scan(input);
    const seen = findings.map((finding) =>
      `${finding.source === "locale" ? finding.category : finding.kind}@${finding.offset}`
    );
    assert.equal(seen.join(" "), expected);
    assert.equal(redact(input, findings).replaceAll("[REDACTED:", "["), redacted);
    assert.deepEqual(DEFAULT_SCANNER.scanBytes(new TextEncoder().encode(input)), findings);
  });
}

Deno.test("interception 10.1: every case from 1 to 29 is here", () => {
  const ids = new Set(CASES.map(([id]) => id));
  assert.deepEqual([...ids], Array.from({ length: 29 }, (_, index) => index + 1));
});
