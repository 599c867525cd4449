import assert from "node:assert/strict";
import fc from "fast-check";
import { Deadlines, type Timed } from "./deadlines.ts";

class Wait implements Timed {
  deadline_place = -1;
  readonly deadline_ms: number;
  readonly #onDeadline: (wait: Wait) => void;

  constructor(deadline_ms: number, onDeadline: (wait: Wait) => void) {
    this.deadline_ms = deadline_ms;
    this.#onDeadline = onDeadline;
  }

  onDeadline(): void {
    this.#onDeadline(this);
  }
}

Deno.test("deadlines come in order, each once, whatever was added and removed between", async () => {
  const waits = fc.array(fc.record({ after_ms: fc.nat(20), removed: fc.boolean() }), {
    minLength: 20,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(waits, async (plan) => {
      const deadlines = new Deadlines();
      const passed: Wait[] = [];
      const start_ms = Date.now();
      const all = plan.map(({ after_ms }) => {
        const wait = new Wait(start_ms + after_ms, (self) => {
          assert.ok(Date.now() >= self.deadline_ms);
          passed.push(self);
        });
        deadlines.add(wait);
        deadlines.add(wait);
        return wait;
      });
      const removed = all.filter((_, index) => plan[index]?.removed);
      for (const wait of removed) deadlines.remove(wait);
      for (const wait of removed) deadlines.remove(wait);
      assert.equal(deadlines.size, all.length - removed.length);
      while (deadlines.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      deadlines.rest();
      const due = passed.map((wait) => wait.deadline_ms);
      assert.deepEqual(due, due.toSorted((a, b) => a - b));
      assert.deepEqual(new Set(passed), new Set(all.filter((wait) => !removed.includes(wait))));
      assert.equal(passed.length, all.length - removed.length);
    }),
    { numRuns: 20 },
  );
});

Deno.test("an earlier deadline that comes later is not made to wait for the first", async () => {
  const deadlines = new Deadlines();
  const far = new Wait(Date.now() + 60_000, () => assert.fail());
  deadlines.add(far);
  await new Promise<void>((resolve) => deadlines.add(new Wait(Date.now() + 5, () => resolve())));
  deadlines.remove(far);
  deadlines.rest();
});

Deno.test("a deadline beyond the longest timer neither fires at once nor holds the process", () => {
  const deadlines = new Deadlines();
  const wait = new Wait(Date.now() + 2 ** 40, () => assert.fail());
  deadlines.add(wait);
  deadlines.remove(wait);
  deadlines.rest(); // The sanitizer of this test looks for timers left behind.
});
