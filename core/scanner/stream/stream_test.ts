import assert from "node:assert/strict";
import { gzipSync } from "fflate";
import fc from "fast-check";
import { compilePattern, createScanner, DEFAULT_SCANNER, type Finding, redact } from "../mod.ts";
import { SCANNER_LIMITS } from "../limits.ts";
import {
  createStreamRedactor,
  createStreamScanner,
  type StreamOptions,
  type Unjudged,
} from "./mod.ts";
import { wellFormed } from "./scan_window.ts";

const encoder = new TextEncoder();

interface Streamed {
  readonly findings: Finding[];
  readonly unjudged: Unjudged[];
  /** Bytes behind the last that was judged, at most. */
  readonly waited_max: number;
  readonly held_max: number;
}

function pieces(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

function streamed(bytes: Uint8Array, sizes: readonly number[], options: StreamOptions): Streamed {
  const scan = createStreamScanner(options);
  const findings: Finding[] = [];
  const unjudged: Unjudged[] = [];
  let pushed = 0;
  let waited_max = 0;
  let held_max = 0;
  for (const chunk of pieces(bytes, sizes)) {
    const settled = scan.push(chunk);
    findings.push(...settled.findings);
    unjudged.push(...settled.unjudged);
    pushed += chunk.length;
    waited_max = Math.max(waited_max, pushed - settled.settled_to);
    held_max = Math.max(held_max, settled.held_bytes);
  }
  const last = scan.end();
  assert.equal(last.settled_to, bytes.length);
  return {
    findings: [...findings, ...last.findings],
    unjudged: [...unjudged, ...last.unjudged],
    waited_max,
    held_max,
  };
}

function whole(bytes: Uint8Array, options: StreamOptions): Finding[] {
  return options.scanner.scan(new TextDecoder().decode(wellFormed(bytes)));
}

const KEY_BLOCK = `-----BEGIN RSA PRIVATE KEY-----\n${
  `MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n`.repeat(6)
}-----END RSA PRIVATE KEY-----`;

const fragment = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "the quick brown fox ",
      "and so on, ",
      "x = 1;\n",
      "我們今天去了市場，",
      "это текст ",
      '{"a": ',
      '"b", ',
      "\n",
      " ",
      "ก ",
    ),
  },
  fc.constantFrom(
    "sk-ant-api03-Abcd1234",
    "ghp_AbCdEfGh12345678",
    "AKIAIOSFODNN7EXAMPLE",
    "postgres://u:pw@db/x",
  ),
  fc.constantFrom(
    "alice@example.com",
    "4532 0151 1283 0366",
    "4532015112830366",
    "123-45-6789",
    "４５３２　０１５１",
  ),
  fc.constantFrom(
    "aB3dEf7hJk9mNp2qRs5tUva 8wXy4zC6gLhQ1VjD0",
    "aB3dEf7hJk9mNp2qRs",
    "5tUv8wXy4zC6gLhQ1V ",
    "0123456789abcdef",
  ),
  fc.constantFrom(
    KEY_BLOCK,
    KEY_BLOCK.replaceAll("\n", "\\n"),
    '"type": "service_account"',
    "-----BEGIN X-----\n",
    "-----",
  ),
  fc.constantFrom(
    "\\u0073k-ant-api03-Abcd1234",
    "sk%2Dant-api03-Abcd1234",
    "s\u200bk-ant-api03-Abcd1234",
  ),
  fc.constantFrom(
    btoa("the key is sk-ant-api03-Abcd1234Efgh"),
    "73 6b 2d 61 6e 74 ",
    '"sk-" + "ant-api03-Abcd1234Efgh5678"',
  ),
  fc.nat({ max: 1e12 }).map((value) => `${value} `),
);
const text = fc.array(fragment, { minLength: 1, maxLength: 400, size: "max" }).map((parts) =>
  parts.join("")
);
const splits = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 12 });
const SMALL: StreamOptions = { scanner: DEFAULT_SCANNER, window_bytes: 8 * 1024 };

Deno.test("a stream gives the findings of the whole text, wherever its chunks end", () => {
  let with_findings = 0;
  let skipped = 0;
  fc.assert(
    fc.property(text, splits, (content, sizes) => {
      const bytes = encoder.encode(content);
      const seen = streamed(bytes, sizes, SMALL);
      if (seen.unjudged.length > 0) return void skipped++;
      with_findings += seen.findings.length > 0 ? 1 : 0;
      assert.deepEqual(seen.findings, whole(bytes, SMALL));
    }),
    { numRuns: 400, endOnFailure: true },
  );
  assert.ok(with_findings > 250 && skipped < 50, `${with_findings}, ${skipped} skipped`);
});

Deno.test("a long chain of halves is paired as in the whole text", () => {
  const halves = Array.from({ length: 900 }, (_, index) => {
    const rotated = "aB3dEf7hJk9mNp2qRs5tUv8wXy4zC6gLhQ1V".repeat(2).slice(index % 36);
    return rotated.slice(0, 18);
  });
  // A chain that is broken here and there, so that its pairs shift.
  const content = halves.map((half, index) => half + (index % 7 === 3 ? " x " : " ")).join("");
  const bytes = encoder.encode(content);
  for (const sizes of [[1], [13], [700], [5_000]]) {
    assert.deepEqual(streamed(bytes, sizes, SMALL).findings, whole(bytes, SMALL));
  }
});

Deno.test("one byte at a time gives the findings of the whole text", () => {
  fc.assert(
    fc.property(text, (content) => {
      const bytes = encoder.encode(content).subarray(0, 5_000);
      const seen = streamed(bytes, [1], SMALL);
      if (seen.unjudged.length === 0) assert.deepEqual(seen.findings, whole(bytes, SMALL));
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

Deno.test("bytes that are no UTF-8, or characters cut by a chunk, move no finding", () => {
  fc.assert(
    fc.property(text, splits, fc.array(fc.nat(), { maxLength: 20 }), (content, sizes, places) => {
      const bytes = encoder.encode(content);
      for (const place of places) bytes[place % bytes.length] = 0x80 + (place % 128);
      const seen = streamed(bytes, sizes, SMALL);
      if (seen.unjudged.length === 0) assert.deepEqual(seen.findings, whole(bytes, SMALL));
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

Deno.test("a policy's patterns find in a stream what they find in the whole text", () => {
  const pattern = compilePattern("INV-\\d{4,12}(\\s+due)?");
  assert.ok(pattern.ok);
  const scanner = createScanner({ patterns: [pattern.pattern], locale_packs: ["zh-TW"] });
  const options: StreamOptions = { scanner, patterns: true, window_bytes: 32 * 1024 };
  fc.assert(
    fc.property(
      fc.array(
        fc.constantFrom(
          "INV-12345 due ",
          "INV-99 ",
          "text of no import, ",
          "電話 0912345678 ",
          "統編12345675 ",
        ),
        { maxLength: 2_000 },
      ),
      splits,
      (parts, sizes) => {
        const bytes = encoder.encode(parts.join(""));
        assert.deepEqual(streamed(bytes, sizes, options).findings, whole(bytes, options));
      },
    ),
    { numRuns: 60, endOnFailure: true },
  );
});

Deno.test("what a redacted stream lets through never holds a part of a finding", () => {
  fc.assert(
    fc.property(text, splits, (content, sizes) => {
      const bytes = encoder.encode(content);
      const redactor = createStreamRedactor(SMALL);
      const out: number[] = [];
      let named = false;
      for (const chunk of [...pieces(bytes, sizes), undefined]) {
        const passed = chunk === undefined ? redactor.end() : redactor.push(chunk);
        named ||= passed.unjudged.length > 0;
        out.push(...passed.bytes);
      }
      if (named) return;
      assert.equal(
        new TextDecoder().decode(new Uint8Array(out)),
        redact(content, DEFAULT_SCANNER.scan(content)),
      );
    }),
    { numRuns: 200, endOnFailure: true },
  );
});

Deno.test("bytes outside findings pass as they are, even when they are no UTF-8", () => {
  const bytes = new Uint8Array([0xff, 0x20, ...encoder.encode("key ghp_AbCdEfGh1234 end"), 0xc3]);
  const redactor = createStreamRedactor({ scanner: DEFAULT_SCANNER });
  const out = [...redactor.push(bytes).bytes, ...redactor.end().bytes];
  assert.deepEqual(
    out,
    [0xff, 0x20, ...encoder.encode("key [REDACTED:GitHubPat] end"), 0xc3],
  );
});

Deno.test("clean bytes go on after a short wait, not at the end of the stream", () => {
  const line = encoder.encode("data: an ordinary sentence of a model, and another one\n\n");
  for (const sizes of [[1], [7], [64], [5_000]]) {
    const bytes = new Uint8Array(Array.from({ length: 300 }, () => [...line]).flat());
    const { waited_max } = streamed(bytes, sizes, { scanner: DEFAULT_SCANNER });
    assert.ok(waited_max < SCANNER_LIMITS.stream_context_bytes + 400, `${sizes}: ${waited_max}`);
  }
});

Deno.test("a secret longer than the window is covered to its end, and named", () => {
  const secret = "postgres://user:" + "p".repeat(40_000) + "@db/x";
  const content = `before it ${secret} and after ghp_AbCdEfGh1234 it`;
  const redactor = createStreamRedactor(SMALL);
  let out = "";
  const unjudged: Unjudged[] = [];
  for (const chunk of [...pieces(encoder.encode(content), [1_000]), undefined]) {
    const passed = chunk === undefined ? redactor.end() : redactor.push(chunk);
    out += new TextDecoder().decode(passed.bytes);
    unjudged.push(...passed.unjudged);
  }
  assert.equal(out, "before it [REDACTED:PostgresUrl] and after [REDACTED:GitHubPat] it");
  assert.deepEqual(unjudged, [
    { offset: 10, end: 10 + secret.length, reason: "window" },
  ]);
});

Deno.test("trap S12: a stream without a place to cut is judged in pieces of bounded size", () => {
  for (const unit of ["a", "z", "a,", "4", "-", "-----BEGIN", "%", "é", '"a"+', "73 ", "ab@"]) {
    const bytes = encoder.encode(unit.repeat(60_000 / unit.length));
    const { held_max } = streamed(bytes, [3_000], SMALL);
    assert.ok(held_max <= 8 * 1024 + 8_000, `${unit}: ${held_max}`);
  }
});

Deno.test("more findings than are kept hide the part they are in, and name it", () => {
  const crowd = encoder.encode("a@b.cd ghp_AbCdEfGh ".repeat(20_000));
  const redactor = createStreamRedactor({ scanner: DEFAULT_SCANNER });
  const passed = redactor.push(crowd);
  const rest = redactor.end();
  const out = new TextDecoder().decode(passed.bytes) + new TextDecoder().decode(rest.bytes);
  assert.ok(!out.includes("AbCdEfGh"));
});

Deno.test("a part of a stream that cannot be decoded within bounds is covered, and named", () => {
  let hidden = "sk-ant-api03-Abcd1234Efgh5678";
  for (let depth = 0; depth < SCANNER_LIMITS.decode_depth + 2; depth++) hidden = btoa(hidden);
  const redactor = createStreamRedactor({ scanner: DEFAULT_SCANNER });
  const passed = [redactor.push(encoder.encode(`before ${hidden} after it`)), redactor.end()];
  const out = passed.map(({ bytes }) => new TextDecoder().decode(bytes)).join("");
  assert.ok(out.startsWith("before [REDACTED:Custom]") && out.endsWith(" after it"), out);
  assert.deepEqual(passed.flatMap(({ unjudged }) => unjudged.map(({ reason }) => reason)), [
    "depth",
  ]);
});

Deno.test("a wrapped archive is not cut between its lines: what gives it away may come late", () => {
  // Neither its head nor what is seen behind a cut holds the key; only the whole run does.
  let state = 7;
  const noise = Array.from({ length: 3_000 }, () => {
    state = state * 48_271 % 2_147_483_647;
    return "abcdefghijklmnopqrstuvwxyz "[state % 27];
  }).join("");
  const packed = gzipSync(encoder.encode(`${noise} AKIAIOSFODNN7EXAMPLE `));
  const lines = btoa(String.fromCharCode(...packed)).match(/.{1,76}/g) ?? [];
  const bytes = encoder.encode(`note:\n${lines.join("\n")}\nend ${"of it ".repeat(200)}`);
  const options = { scanner: DEFAULT_SCANNER };
  const keys = (findings: readonly Finding[]): Finding[] =>
    findings.filter((finding) => "kind" in finding && finding.kind === "AwsAccessKey");
  const found = keys(whole(bytes, options));
  assert.equal(found.length, 1);
  const { findings } = streamed(bytes, [100], options);
  assert.deepEqual(keys(findings), found);
});
