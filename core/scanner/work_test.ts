/**
 * Trap S10: hostile input costs no more than its length. What is counted is work, not time: every
 * byte any pass reads.
 */
import assert from "node:assert/strict";
import { PREFIXES } from "./detectors/prefix.ts";
import { findBuiltIn } from "./scanner.ts";
import { findTaiwan } from "./locale/zh_tw.ts";
import { ScanLimitError } from "./spans.ts";
import { encodeText, forgetText } from "./utf8.ts";

/** An array of bytes that counts how many of them are read. */
function counting<Data extends Uint8Array | Uint16Array>(
  bytes: Data,
  length: number,
): { readonly counted: Data; readonly reads: () => number } {
  let reads = 0;
  const proxy = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === "string" && /^\d+$/.test(key)) {
        reads++;
        return target[Number(key)];
      }
      if (key === "indexOf") {
        return (value: number, from = 0): number => {
          const found = target.indexOf(value, from);
          reads += (found < 0 ? length : found) - from + 1;
          return found;
        };
      }
      const member: unknown = Reflect.get(target, key, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
  return { counted: proxy, reads: () => reads };
}

/** Bytes read to scan `length` bytes made of one unit repeated. */
function work(unit: string, length: number): number {
  const source = encodeText(unit.repeat(Math.ceil(length / unit.length)));
  const bytes = counting(source.bytes, source.length);
  const pairs = counting(source.pairs, source.length);
  const text = { ...source, bytes: bytes.counted, pairs: pairs.counted };
  try {
    findTaiwan(text);
    findBuiltIn(text, false);
  } catch (error) {
    if (!(error instanceof ScanLimitError)) throw error;
  } finally {
    forgetText(source);
  }
  return bytes.reads() + pairs.reads();
}

const HOSTILE: readonly string[] = [
  "a",
  " ",
  "@",
  "a@",
  "a@b.",
  "a@b.c ",
  "a@b.c,",
  "ghp_",
  "ghp_abcd",
  "ghp_abcd ",
  "sk-",
  "sk-ant-",
  "task-",
  "AKIA",
  "AKIAIOSFODNN7EXAMPLE",
  "eyJ-",
  "eyJa.",
  "SG.",
  "amqp://",
  "amqp://a:",
  "postgres://",
  "AccountKey=",
  "DefaultEndpointsProtocol=",
  '"service_account"',
  '"type":"service_account"',
  '"type"' + " ".repeat(40) + ":",
  "-----BEGIN RSA PRIVATE KEY-----",
  "-----END RSA PRIVATE KEY-----",
  "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n",
  "-",
  "-----END",
  "4",
  "4 ",
  "4-",
  "4.",
  "4444 ",
  "4532 0151 1283 0366 ",
  "123-45-6789 ",
  "123.45.6789 ",
  "０",
  "４　",
  "ab:",
  "0123456789abcdef",
  "aB3dEf7hJk9mNp2qRs5tUv8wXy4z",
  "aB3dEf7hJk9mNp2qRs 5tUv8wXy4zC6gLhQ1V ",
  "aB3dEf7hJk9mNp2qRs,5tUv8wXy4zC6gLhQ1V ",
  "[REDACTED]",
  "[REDACTED:",
  "[R",
  "\\",
  "\\u0073",
  "\\\\",
  "%25",
  "%2573k%252D",
  "\u200b",
  "Ａ",
  "報",
  "A200000003 ",
  "(",
  "+886",
  "(02)",
  "統編12345675",
];

/** Every prefix, alone, and with something behind it that may or may not be a token. */
const PREFIXED: readonly string[] = PREFIXES.flatMap(({ text }) => [
  `${text}a1`,
  `${text}a1B2c3D4e5F6a1B2c3D4e5F6a1B2c3D4e5F6 `,
]);

Deno.test("trap S10: twice the text is twice the work, whatever it is made of", () => {
  for (const unit of HOSTILE) assertLinear(unit, 4_000);
  for (const unit of PREFIXED) assertLinear(unit, 700);
});

function assertLinear(unit: string, length: number): void {
  const once = work(unit, length);
  const twice = work(unit, length * 2);
  const name = JSON.stringify(unit);
  assert.ok(twice < once * 2.2, `${name}: ${once} reads, then ${twice}`);
  assert.ok(twice < length * 2 * 100, `${name}: ${twice} reads of ${length * 2} bytes`);
}
