/** What the reference gets wrong (contract `interception` §9.2), and what is done about it here. */
import assert from "node:assert/strict";
import { createScanner, DEFAULT_SCANNER, redact } from "./mod.ts";

/** Kinds found in a text, in order. */
function kinds(text: string): string[] {
  return DEFAULT_SCANNER.scan(text).map((finding) =>
    finding.source === "locale" ? finding.category : finding.kind
  );
}

function redacted(text: string): string {
  return redact(text, DEFAULT_SCANNER.scan(text));
}

/** A key body as long as a real one, in lines of 64 characters. */
const LONG_BODY = [
  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
  "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu",
  "NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCdPEovGhLa0VzMaQ8s",
];

Deno.test("trap S1: task-, risk-, disk- and desk- words are no OpenAI key", () => {
  for (const text of ["task-list", "risk-assessment-of-the-project", "disk-usage", "desk-job"]) {
    assert.deepEqual(kinds(`see ${text} for 2024`), []);
  }
  assert.deepEqual(kinds("pip install sk-learn sk-learn-contrib"), []);
  assert.deepEqual(kinds("key sk-proj-abcdefgh1234"), ["OpenAiKey"]);
});

Deno.test("trap S1: a letter glued to a long key does not hide it", () => {
  const body = "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4";
  assert.deepEqual(kinds(`xsk-${body}`), ["OpenAiKey"]);
  assert.deepEqual(kinds(`xghp_${body}`), ["GitHubPat"]);
});

Deno.test("trap S2: Asia and asian are no AWS key, an upper-case id of 16 is", () => {
  assert.deepEqual(kinds("Asia, asian food, ASIAN markets, akia, AKIA and AKIA1234"), []);
  assert.deepEqual(kinds("akiaiosfodnn7example"), []);
  assert.deepEqual(kinds("ASIAIOSFODNN7EXAMPLE"), ["AwsAccessKey"]);
});

Deno.test("trap S3: tokens of eight characters count, because vectors pin them", () => {
  assert.deepEqual(kinds("tok=ghp_AbCdEfGh"), ["GitHubPat"]);
  assert.deepEqual(kinds("tok=xoxb-AbCd"), ["SlackBotToken"]);
  assert.deepEqual(kinds("the ghp_ prefix"), []);
  assert.deepEqual(kinds("export GHP_TOKEN=1"), []);
});

const STRICT = createScanner({ patterns: [], locale_packs: [], strict: true });

/** Kinds found in strict mode, in order. */
function strictKinds(text: string): string[] {
  return STRICT.scan(text).map((finding) =>
    finding.source === "locale" ? finding.category : finding.kind
  );
}

Deno.test("trap S3: strict mode wants the length and characters an issuer gives", () => {
  for (
    const text of [
      "tok=ghp_AbCdEfGh",
      "tok=xoxb-AbCd",
      "key sk-proj-abcdefgh1234",
      "key sk-ant-api03-Abcd1234",
      "xAKIAIOSFODNN7EXAMPLE",
      "AKIAIOSFODNN7EXAMPLES",
      "postgres://db.internal/app",
      "AccountKey=XXXX",
      "card 453201511283034",
      "card 4444444444444448",
      "ssn 078-05-1120",
    ]
  ) {
    assert.notDeepEqual(kinds(text), strictKinds(text), text);
    assert.deepEqual(strictKinds(text), [], text);
  }
  const body = "aB3dEf7hJk9mNp2qRs5tUv8wXy4zC6gLhQ1V";
  const real = [
    [`ghp_${body}`, "GitHubPat"],
    [`sk-proj-${body}${body}`, "OpenAiKey"],
    [`xoxb-123456789012-${body}`, "SlackBotToken"],
    ["AKIAIOSFODNN7EXAMPLE", "AwsAccessKey"],
    ["postgres://u:p@db.internal/app", "PostgresUrl"],
    ["4532015112830366", "CreditCardLuhn"],
    ["219-45-6789", "SsnPattern"],
  ] as const;
  for (const [text, kind] of real) assert.ok(strictKinds(`x ${text} y`).includes(kind), text);
});

Deno.test("trap S4: the secret inside a token goes, not the brace before it", () => {
  const secret = "aB3$dEf7hJ.k9mNp2qRs5tU!va8wXy4z";
  assert.equal(redacted(`{"k":"${secret}"}`), '{"k":"[REDACTED:GenericHighEntropy]"}');
});

Deno.test("trap S4: clean JSON keeps its first brace", () => {
  assert.deepEqual(kinds('{"id":42,"name":"Zoe","job":"QA","tags":["JVX"]}'), []);
});

Deno.test("trap S4: minified source code is no secret, however many signs it has", () => {
  for (
    const text of ['var b={request:!0,k:"user"};if', 'h={value:!0,x:"Qy"},[w&&(z|j)]?p:e[39]}']
  ) assert.deepEqual(kinds(text), [], text);
});

Deno.test("trap S4: two halves joined by a comma stay, because a vector pins it", () => {
  assert.equal(
    redacted("a,aB3dEf7hJk9mNp2qRs,5tUv8wXy4zC6gLhQ1V,3"),
    "[REDACTED:GenericHighEntropy],aB3dEf7hJk9mNp2qRs,5tUv8wXy4zC6gLhQ1V,3",
  );
});

Deno.test("trap S5: the private key of a GCP service account goes with its type", () => {
  const key = `-----BEGIN PRIVATE KEY-----\n${LONG_BODY.join("\n")}\n-----END PRIVATE KEY-----\n`;
  const text = JSON.stringify({ type: "service_account", private_key: key, id: 1 });
  const clean = redacted(text);
  assert.equal(
    clean,
    '{[REDACTED:GcpServiceAccount],"private_key":"[REDACTED:PrivateKey]\\n","id":1}',
  );
});

Deno.test("trap S6: a key block is covered to its END line, whatever its last line is", () => {
  const block = (name: string, end: string): string =>
    `-----BEGIN ${name}-----\n${LONG_BODY.join("\n")}\n-----${end} ${name}-----`;
  assert.equal(redacted(`${block("RSA PRIVATE KEY", "END")}\nok`), "[REDACTED:RsaPrivateKey]\nok");
  assert.equal(redacted(block("DSA PRIVATE KEY", "END")), "[REDACTED:PrivateKey]");
  assert.equal(redacted(block("ENCRYPTED PRIVATE KEY", "END")), "[REDACTED:PrivateKey]");
  assert.equal(redacted(block("EC PRIVATE KEY", "end")), "[REDACTED:EcPrivateKey]");
});

Deno.test("trap S6: a second begin line does not leave the first body in clear", () => {
  const header = "-----BEGIN RSA PRIVATE KEY-----";
  const body = `${"z".repeat(64)}\n`.repeat(2);
  assert.equal(
    redacted(`${header}\n${body}${header}\n${body}`),
    `[REDACTED:RsaPrivateKey][REDACTED:RsaPrivateKey]\n${body}`,
  );
});

Deno.test("trap S6: a block that is too long to be a key is labelled by its first line only", () => {
  const block = (lines: number): string =>
    `-----BEGIN RSA PRIVATE KEY-----\n${"a".repeat(63)}`.padEnd(95) +
    `\n${"a".repeat(63)}`.repeat(lines) + "\n-----END RSA PRIVATE KEY-----";
  assert.equal(redacted(block(900)), "[REDACTED:RsaPrivateKey]");
  assert.ok(redacted(block(1_100)).endsWith("-----END RSA PRIVATE KEY-----"));
});

Deno.test("trap S6: short bodies stay, because vectors pin them", () => {
  assert.equal(
    redacted("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"),
    "[REDACTED:PrivateKey]\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----",
  );
});

Deno.test("trap S7: secrets of vendors without a frozen kind are found as generic ones", () => {
  const body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
  const secrets: Readonly<Record<string, string>> = {
    json_web_token: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    google_api_key: `AIza${body}`,
    google_oauth_secret: `GOCSPX-${body}`,
    stripe_key: `sk_live_aaaaaaaaaaaaaaaaaaaaaaaa`,
    stripe_webhook_secret: `whsec_aaaaaaaaaaaaaaaaaaaaaaaa`,
    sendgrid_key: `SG.aaaaaaaaaaaaaaaaaaaaaa.${"b".repeat(43)}`,
    npm_token: `npm_${body}`,
    pypi_token: `pypi-AgE${"a".repeat(60)}`,
    gitlab_token: "glpat-aaaaaaaaaaaaaaaaaaaa",
    hugging_face_token: `hf_${"a".repeat(34)}`,
    docker_token: `dckr_pat_${"a".repeat(27)}`,
    redis_url: "redis://:hunter2@cache:6379",
  };
  for (const [detector, secret] of Object.entries(secrets)) {
    const findings = DEFAULT_SCANNER.scan(`x ${secret} y`);
    const verified = detector === "json_web_token" ? { verified: true } : {};
    assert.deepEqual(findings, [
      {
        source: "builtin",
        kind: "GenericHighEntropy",
        offset: 2,
        end: 2 + secret.length,
        detector,
        ...verified,
      },
    ]);
  }
  assert.deepEqual(kinds("postgresql://u:p@db/x"), ["PostgresUrl"]);
  assert.deepEqual(kinds("mongodb+srv://u:p@db/x"), ["MongodbUrl"]);
  assert.deepEqual(kinds("redis://cache:6379/0 eyJhbGciOiJIUzI1NiJ9 npm_config_cache"), []);
});

Deno.test("trap S8: contact=alice@example.com keeps its key in the span, because a vector pins it", () => {
  assert.equal(redacted("contact=alice@example.com"), "[REDACTED:EmailAddress]");
});

Deno.test("trap S8: a long prefix does not hide an address", () => {
  const prefix = "https://example.test/" + "path/".repeat(12) + "?to=";
  assert.equal(redacted(`${prefix}alice@example.com`), `${prefix}[REDACTED:EmailAddress]`);
});

Deno.test("trap S8: an address in brackets or before CJK text takes nothing else with it", () => {
  assert.equal(redacted("<alice@example.com>"), "<[REDACTED:EmailAddress]>");
  assert.equal(redacted("寄到 alice@example.com，請儘速"), "寄到 [REDACTED:EmailAddress]，請儘速");
});

Deno.test("trap S8: a package with its version is no address", () => {
  for (
    const text of [
      "lodash@4.17.21",
      "npm:@scope/name@1.2.3-beta.4",
      '"left-pad@^1.3.0"',
      "actions/checkout@v4.1.0",
      "root@10.0.0.1",
      "node_modules/@types/node/index.d.ts",
    ]
  ) {
    assert.deepEqual(kinds(text), [], text);
  }
  assert.deepEqual(kinds("ann@example.com. bob@3com.com"), ["EmailAddress", "EmailAddress"]);
});

Deno.test("trap S9: numbers that were never issued are no social security numbers", () => {
  for (const text of ["000-12-3456", "666-12-3456", "123-00-4567", "123-45-0000", "900-12-3456"]) {
    assert.deepEqual(kinds(text), []);
  }
  assert.deepEqual(kinds("987-65-4321"), ["SsnPattern"], "taxpayer numbers have this form");
});

Deno.test("trap S9: a dotted number is a social security number only where it is called one", () => {
  assert.deepEqual(kinds("version 123.45.6789"), []);
  assert.deepEqual(kinds("SSN: 123.45.6789"), ["SsnPattern"]);
});

Deno.test("trap S9: time stamps, decimals and date ranges are no cards", () => {
  // Each passes the Luhn check.
  for (
    const text of [
      "1700000000004",
      "0.4532015112830366",
      "3.141592653589796",
      "2024-01-01 2024-12-34",
    ]
  ) {
    assert.deepEqual(kinds(text), []);
  }
  assert.deepEqual(kinds("0000000000000000"), []);
});

Deno.test("trap S9: a card or number inside a longer chain of digits is found", () => {
  assert.equal(
    redacted("4532 0151 1283 0366 12 29 123"),
    "[REDACTED:CreditCardLuhn] 12 29 123",
  );
  assert.equal(redacted("id 123-45-6789 2024"), "id [REDACTED:SsnPattern] 2024");
});

Deno.test("trap S11: escapes, characters of no width and wide letters do not hide a key", () => {
  const disguises = [
    '{"k":"\\u0073k-ant-api03-Abcd1234"}',
    "?k=sk%2Dant%2Dapi03%2DAbcd1234&x=1",
    "?k=sk%252Dant%252Dapi03%252DAbcd1234",
    "?k=sk%25252Dant%25252Dapi03-Abcd1234",
    '{"k":"sk\\u002dant\\u002dapi03-Abcd1234"}',
    "k=s\u200bk-a\u00adnt-api03-Abcd1234",
    "k=\uff53\uff4b\uff0dant-api03-Abcd1234",
  ];
  for (const text of disguises) {
    assert.deepEqual(kinds(text), ["AnthropicKey"], text);
    assert.ok(!redacted(text).includes("Abcd1234"), text);
  }
  assert.deepEqual(kinds('{"u":"postgres:\\/\\/root:pw\\/db"}'), ["PostgresUrl"]);
  assert.deepEqual(kinds("4532\u200b0151\u200b1283\u200b0366"), ["CreditCardLuhn"]);
  assert.equal(
    redacted('{"k":"\\u0073k-ant-api03-Abcd1234","n":1}'),
    '{"k":"[REDACTED:AnthropicKey]","n":1}',
  );
});

Deno.test("trap S11: base64 of a secret is judged by its entropy alone: kept as a residual", () => {
  assert.deepEqual(kinds(btoa("password")), []);
});

Deno.test("trap S12: a text of any size is scanned whole, to its last byte", () => {
  const text = "lorem ipsum ".repeat(100_000) + "ghp_AbCdEfGh";
  assert.deepEqual(DEFAULT_SCANNER.scan(text), [
    { source: "builtin", kind: "GitHubPat", offset: 1_200_000, end: 1_200_012 },
  ]);
});

Deno.test("trap S13: a locale pack speaks only where a policy names it", () => {
  const text = "居留證 A800000005";
  assert.deepEqual(DEFAULT_SCANNER.scan(text), []);
  const scanner = createScanner({ patterns: [], locale_packs: ["zh-TW"] });
  assert.equal(redact(text, scanner.scan(text)), "居留證 [REDACTED]");
});

Deno.test("trap S14: a secret cut by two spaces or quotes stays, and the gate is not lowered", () => {
  assert.deepEqual(kinds("x aB3dEf7hJk9mNp2qRs  5tUv8wXy4zC6gLhQ1V y"), []);
  // 32 bytes with 16 single and 8 double characters: exactly 4.5 bits, which is not above it.
  assert.deepEqual(kinds("ABCDEFGHIJKLMNOPaabbccddeeffgghh"), []);
  assert.deepEqual(kinds("ABCDEFGHIJKLMNOPaabbccddeeffgghi"), ["GenericHighEntropy"]);
});
