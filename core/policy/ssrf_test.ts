import assert from "node:assert/strict";
import fc from "fast-check";
import { ssrfVerdict } from "./ssrf.ts";

Deno.test("every special-purpose range is blocked at both ends and free just outside", () => {
  const ranges = [
    ["10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"],
    ["100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"],
    ["127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"],
    ["169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"],
    ["172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"],
    ["192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"],
    ["192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"],
    ["192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"],
    ["198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"],
    ["198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"],
    ["203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"],
    ["224.0.0.0", "255.255.255.255", "223.255.255.255", "1.0.0.0"],
    ["0.0.0.0", "0.255.255.255", "1.0.0.0", "1.0.0.1"],
  ] as const;
  for (const [first, last, before, after] of ranges) {
    assert.deepEqual([first, last].map(ssrfVerdict), ["blocked", "blocked"], first);
    assert.deepEqual([before, after].map(ssrfVerdict), ["public", "public"], before);
  }
});

Deno.test("IPv6 ranges are blocked, global addresses are public", () => {
  const blocked = [
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "FE80::1",
  ];
  for (const address of blocked) assert.equal(ssrfVerdict(address), "blocked", address);
  for (const address of ["2606:4700::1111", "2a00:1450::", "::ffff:8.8.8.8"]) {
    assert.equal(ssrfVerdict(address), "public", address);
  }
});

Deno.test("brackets and zones do not hide an address", () => {
  for (const text of ["[::1]", "[fe80::1%eth0]", "fe80::1%25eth0", "[::ffff:127.0.0.1]"]) {
    assert.equal(ssrfVerdict(text), "blocked", text);
  }
  assert.equal(ssrfVerdict("[2606:4700::1111]"), "public");
});

Deno.test("decimal, octal, hex and short spellings do not hide an address", () => {
  const loopback = [
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0X7F.1",
    "１２７.０.０.１",
    "127。0。0。1",
  ];
  for (const text of loopback) assert.equal(ssrfVerdict(text), "blocked", text);
  assert.equal(ssrfVerdict("134744072"), "public");
  assert.equal(ssrfVerdict("0x8.8.8.8"), "public");
});

Deno.test("a spelling read in two ways is blocked when either is inside", () => {
  assert.equal(ssrfVerdict("010.8.8.8"), "blocked");
  assert.equal(ssrfVerdict("0127.0.0.1"), "blocked");
});

Deno.test("what is neither address nor name is blocked", () => {
  const odd = [
    "",
    ".",
    "256.1.1.1",
    "1.2.3.4.5",
    "8.8.8.8.8",
    "1.2.3.999999",
    "::1::",
    ":",
    "a b",
    "a/b",
    "a@b",
    "8.8.8.8/8",
    "[8.8.8.8]",
    "%",
    "08.8.8.8.8",
    "-",
    "a..b",
    "1:2:3",
    "x".repeat(2_000),
  ];
  for (const text of odd) assert.equal(ssrfVerdict(text), "blocked", text);
});

Deno.test("a name is unknown until resolved, except the ones that always mean loopback", () => {
  for (
    const name of ["example.com", "a.b.example.", "metadata.google.internal", "bücher.example"]
  ) {
    assert.equal(ssrfVerdict(name), "unknown", name);
  }
  for (const name of ["localhost", "LOCALHOST", "x.localhost", "localhost."]) {
    assert.equal(ssrfVerdict(name), "blocked", name);
  }
});

Deno.test("an address that the URL parser takes for loopback is never public or unknown", () => {
  const part = fc.oneof(
    fc.integer({ min: 0, max: 300 }).map(String),
    fc.integer({ min: 0, max: 300 }).map((n) => `0x${n.toString(16)}`),
    fc.integer({ min: 0, max: 300 }).map((n) => `0${n.toString(8)}`),
    fc.constantFrom("127", "10", "2130706433", "", "0x"),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.join(".");
      if (!URL.canParse(`http://${text}/`)) return;
      const { hostname } = new URL(`http://${text}/`);
      if (/^(?:127|10|0)\./.test(hostname)) assert.equal(ssrfVerdict(text), "blocked", text);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("any text gets a verdict", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.ok(["blocked", "public", "unknown"].includes(ssrfVerdict(text)));
  }));
});
