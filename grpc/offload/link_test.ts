import assert from "node:assert/strict";
import { type BatchReader, FrameKind } from "./batch.ts";
import { BATCHES_UNREAD_MAX, BatchLink } from "./link.ts";

/** One of two links that face each other; what is posted arrives in a later turn. */
class Side {
  readonly got: number[] = [];
  readonly link: BatchLink;
  other: Side | undefined;
  under_way = 0;
  most_under_way = 0;

  constructor() {
    this.link = new BatchLink({ postMessage: (batch) => this.#post(batch as Uint8Array) }, {
      onFrames: (reader) => this.#read(reader),
      onFlushed: () => {},
      onBroken: (reason) => assert.fail(String(reason)),
    });
  }

  say(number: number): void {
    this.link.frames().frame(FrameKind.CREDIT, number);
  }

  #post(batch: Uint8Array): void {
    const empty = batch.length === 4;
    if (!empty) this.most_under_way = Math.max(this.most_under_way, ++this.under_way);
    setTimeout(() => {
      if (!empty) this.under_way--;
      this.other?.link.receive(batch);
    }, 0);
  }

  #read(reader: BatchReader): void {
    while (!reader.atEnd) {
      reader.u8();
      this.got.push(reader.u32());
    }
  }
}

async function facing(use: (one: Side, other: Side) => Promise<void>): Promise<void> {
  const one = new Side();
  const other = new Side();
  one.other = other;
  other.other = one;
  try {
    await use(one, other);
  } finally {
    one.link.close();
    other.link.close();
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline_ms = performance.now() + 5_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline_ms, "never came to pass");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const NUMBERS = Array.from({ length: 200 }, (_, index) => index);

Deno.test("two sides that both have more to say than may be under way hear all of it, in order", async () => {
  await facing(async (one, other) => {
    for (const number of NUMBERS) {
      one.say(number);
      other.say(number);
      await Promise.resolve(); // A batch of its own for each, as long as it may leave.
      await Promise.resolve();
    }
    await until(() => one.got.length === NUMBERS.length && other.got.length === NUMBERS.length);
    assert.deepEqual(one.got, NUMBERS);
    assert.deepEqual(other.got, NUMBERS);
    assert.ok(one.most_under_way <= BATCHES_UNREAD_MAX);
    assert.ok(other.most_under_way <= BATCHES_UNREAD_MAX);
  });
});

Deno.test("a side that only listens lets the other go on", async () => {
  await facing(async (one, other) => {
    for (const number of NUMBERS) {
      one.say(number);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await until(() => other.got.length === NUMBERS.length);
    assert.deepEqual(other.got, NUMBERS);
  });
});

Deno.test("frames of one turn leave together", async () => {
  await facing(async (one, other) => {
    for (const number of NUMBERS) one.say(number);
    await until(() => other.got.length > 0);
    assert.equal(other.got.length, NUMBERS.length);
    assert.equal(one.most_under_way, 1);
  });
});
