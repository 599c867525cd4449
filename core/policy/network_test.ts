import assert from "node:assert/strict";
import fc from "fast-check";
import { HostAllowlist, understandHost } from "./network.ts";

function permits(entries: readonly string[], url: string): boolean {
  return new HostAllowlist(entries).permits(understandHost(url));
}

Deno.test("entries that can never match are reported and match nothing", () => {
  const never = [
    "https://api.example",
    "api.example:443",
    "api.*.example",
    "*api.example",
    "*.",
    "*.1.2.3.4",
    "api.example/v1",
    "user@api.example",
    "[::1]:443",
    "a b",
  ];
  const list = new HostAllowlist(never);
  assert.deepEqual(list.inert, never);
  assert.equal(list.empty, true);
  assert.equal(list.permits(understandHost("https://api.example/")), false);
});

Deno.test("an address may be listed in any spelling", () => {
  for (const entry of ["::1", "[::1]", "0:0:0:0:0:0:0:1"]) {
    assert.equal(permits([entry], "http://[::1]:80/"), true, entry);
  }
  assert.equal(permits(["127.0.0.1"], "http://0x7f.1/"), true);
  assert.equal(permits(["127.0.0.1"], "http://[::ffff:127.0.0.1]/"), false);
});

Deno.test("text without `://` names no host, and only `*` matches it", () => {
  assert.deepEqual(understandHost("api.example"), { kind: "none" });
  assert.equal(permits(["*"], "api.example"), true);
  assert.equal(permits(["api.example", "*.example"], "api.example"), false);
});

Deno.test("what no reader can read matches nothing, not even `*`", () => {
  for (const url of ["https://", "https://a b/", "https://u:p@h/", "https://[::1/", "://a"]) {
    assert.equal(understandHost(url).kind, "invalid", url);
    assert.equal(permits(["*"], url), false, url);
  }
});

Deno.test("a long authority is refused without being parsed", () => {
  const url = `https://${"a".repeat(1_000_000)}.example/`;
  assert.equal(understandHost(url).kind, "invalid");
  assert.equal(understandHost(`https://${"a.".repeat(127)}example/`).kind, "invalid");
});

Deno.test("the understood host is the one the platform's URL parser would connect to", () => {
  fc.assert(fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), (url) => {
    const understood = understandHost(url);
    assert.ok(understood.kind === "host", url);
    assert.equal(understood.host, new URL(url).hostname.replace(/\.$/, ""));
  }));
});

Deno.test("whatever the text, a matched host is the parser's host or nothing", () => {
  const piece = fc.constantFrom(
    "https",
    "://",
    "/",
    "\\",
    "@",
    ":",
    "443",
    "?",
    "#",
    ".",
    "api.example",
    "evil.test",
    "%2e",
    "[",
    "]",
    "::1",
    " ",
    "\t",
    "xn--",
    "é",
    "0x7f",
    "1",
    "。",
    ";",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const url = pieces.join("");
      if (!permits(["api.example", "*.api.example"], url)) return;
      const { hostname } = new URL(url);
      assert.ok(/^(?:.*\.)?api\.example\.?$/.test(hostname), `${url} is ${hostname}`);
    }),
    { numRuns: 5_000 },
  );
});
