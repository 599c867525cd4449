import assert from "node:assert/strict";
import { BoundedFeed } from "./bounded_feed.ts";

class Feed extends BoundedFeed<number, "stopped"> {
  left = 0;
  protected override gone(): void {
    this.left += 1;
  }
}

Deno.test("a reader is given what stood, then what happens, then the rest after the end", async () => {
  const feed = new Feed(2, [1, 2]);
  assert.ok(feed.push(3));
  const seen: number[] = [];
  for await (const item of feed) {
    seen.push(item);
    if (item === 3) {
      feed.push(4);
      feed.end("stopped");
      assert.equal(feed.push(5), false);
    }
  }
  assert.deepEqual(seen, [1, 2, 3, 4]);
  assert.equal(feed.ended, "stopped");
  assert.equal(feed.left, 1);
});

Deno.test("a reader that does not read is cut off at the bound, and one that waits is woken", async () => {
  const feed = new Feed(1);
  const reader = feed[Symbol.asyncIterator]();
  const first = reader.next();
  feed.push(1);
  assert.deepEqual(await first, { done: false, value: 1 });
  feed.push(2);
  assert.equal(feed.push(3), false);
  assert.equal(feed.ended, "lagging");
  assert.deepEqual(await reader.next(), { done: false, value: 2 });
  assert.equal((await reader.next()).done, true);
});

Deno.test("a reader that leaves ends its feed", async () => {
  const feed = new Feed(1, [1]);
  for await (const _ of feed) break;
  assert.equal(feed.ended, "cancelled");
  assert.equal(feed.left, 1);
});
