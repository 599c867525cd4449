import assert from "node:assert/strict";
import { CHANNEL_ADDRESSES_MAX } from "../bounds.ts";
import { addressText, authorityOf, parseTarget } from "./target.ts";

const texts = (target: string | readonly string[]) =>
  parseTarget(target).addresses.map(addressText);

Deno.test("a target is a host and a port, a Unix socket, or a list of addresses", () => {
  assert.deepEqual(texts("a.example:1"), ["a.example:1"]);
  assert.deepEqual(texts("dns:///a.example:1"), ["a.example:1"]);
  assert.deepEqual(texts("dns:a.example:1"), ["a.example:1"]);
  assert.deepEqual(texts("dns:1"), ["dns:1"]);
  assert.deepEqual(texts("[::1]:65535"), ["[::1]:65535"]);
  assert.deepEqual(texts("unix:/run/x,y"), ["unix:/run/x,y"]);
  assert.deepEqual(texts("unix:///run/x"), ["unix:/run/x"]);
  assert.deepEqual(texts("ipv4:127.0.0.1:1,127.0.0.2:2"), ["127.0.0.1:1", "127.0.0.2:2"]);
  assert.deepEqual(texts("ipv6:[::1]:1,[::2]:2"), ["[::1]:1", "[::2]:2"]);
  assert.deepEqual(texts(["a:1", "unix:/x", "a:1"]), ["a:1", "unix:/x"]);
});

Deno.test("only a single host name is one to resolve", () => {
  assert.equal(parseTarget("dns:///a.example:1").name?.hostname, "a.example");
  for (const target of ["127.0.0.1:1", "[::1]:1", "unix:/x", "ipv4:127.0.0.1:1", ["a.example:1"]]) {
    assert.equal(parseTarget(target).name, undefined, `${target}`);
  }
});

Deno.test("a target that makes no sense is refused with the part that does not", () => {
  const cases: readonly (readonly [string | readonly string[], RegExp])[] = [
    ["dns://8.8.8.8/a:1", /`dns:\/\/8\.8\.8\.8\/a:1` is none of/],
    ["xds:///a:1", /none of/],
    ["a:1,b:2", /none of/],
    ["ipv4:127.0.0.1:1,[::1]:2", /`\[::1\]:2` is no ipv4 address/],
    ["ipv4:a.example:1", /`a\.example:1` is no ipv4 address/],
    ["ipv4:127.0.0.1", /`127\.0\.0\.1` is no ipv4 address/],
    ["ipv6:127.0.0.1:1", /no ipv6 address/],
    [[], /lists 0 addresses/],
    [["a:1", "b"], /target\[1\] `b` is neither/],
    [["a:1", "ipv4:1.2.3.4:5"], /target\[1\]/],
    [new Array(CHANNEL_ADDRESSES_MAX + 1).fill("a:1"), /lists 257 addresses/],
  ];
  for (const [target, message] of cases) {
    assert.throws(() => parseTarget(target), { name: "TypeError", message });
  }
});

Deno.test("the authority is the first host, or the server's name, with the port", () => {
  assert.equal(authorityOf(parseTarget("dns:///a.example:1"), undefined), "a.example:1");
  assert.equal(authorityOf(parseTarget("[::1]:1"), undefined), "[::1]:1");
  assert.equal(authorityOf(parseTarget(["127.0.0.1:1", "b:2"]), "name.example"), "name.example:1");
  assert.equal(authorityOf(parseTarget("unix:/x"), undefined), "localhost");
});
