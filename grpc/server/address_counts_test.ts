import assert from "node:assert/strict";
import type { Peer } from "../peer.ts";
import { AddressCounts, addressKey } from "./address_counts.ts";

const tcp = (address: string): Peer => ({ transport: "tcp", address });

Deno.test("an address is one whatever its port, however it is written", () => {
  for (
    const [address, key] of [
      ["10.0.0.7:5000", "10.0.0.7"],
      ["::ffff:10.0.0.7:5000", "10.0.0.7"],
      ["[::ffff:10.0.0.7]:1", "10.0.0.7"],
      ["[::1]:80", "0:0:0:0"],
      ["[2001:db8:1:2:aaaa::1]:80", "2001:db8:1:2"],
      ["2001:db8:1:2:bbbb:cccc:dddd:eeee:81", "2001:db8:1:2"],
      ["[2001:0db8::2]:82", "2001:db8:0:0"],
      ["[2001:db8::3:0:0:4]:83", "2001:db8:0:0"],
      ["[fe80::1%eth0]:84", "fe80:0:0:0"],
    ] as const
  ) {
    assert.equal(addressKey(address), key, address);
  }
});

Deno.test("places of an address are given back, and other addresses have their own", () => {
  const counts = new AddressCounts({ connections_per_address: 2, calls_per_address: 1 });
  const seventh = counts.of(tcp("10.0.0.7:1"));
  assert.ok(seventh.takeConnection() && counts.of(tcp("10.0.0.7:2")).takeConnection());
  assert.ok(!counts.of(tcp("10.0.0.7:3")).takeConnection());
  assert.ok(counts.of(tcp("10.0.0.8:1")).takeConnection());
  seventh.releaseConnection();
  assert.ok(counts.of(tcp("10.0.0.7:4")).takeConnection());
  assert.ok(seventh.takeCall() && !seventh.takeCall());
  assert.ok(counts.of(tcp("10.0.0.8:1")).takeCall());
});

Deno.test("an address is forgotten with the last of what it had, its calls included", () => {
  const counts = new AddressCounts({ connections_per_address: 1, calls_per_address: 1 });
  const account = counts.of(tcp("10.0.0.7:1"));
  assert.ok(account.takeConnection() && account.takeCall());
  account.releaseConnection();
  assert.equal(counts.size, 1);
  assert.ok(!counts.of(tcp("10.0.0.7:2")).takeCall(), "its call still runs");
  account.releaseCall();
  assert.equal(counts.size, 0);
  const none = new AddressCounts({ connections_per_address: 0, calls_per_address: 0 });
  assert.ok(!none.of(tcp("10.0.0.7:1")).takeConnection());
  assert.equal(none.size, 0);
});

Deno.test("Unix sockets have no address to count", () => {
  const counts = new AddressCounts({ connections_per_address: 0, calls_per_address: 0 });
  const account = counts.of({ transport: "unix", address: "/run/a.sock" });
  assert.ok(account.takeConnection() && account.takeCall());
});
