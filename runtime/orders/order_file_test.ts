import assert from "node:assert/strict";
import fc from "fast-check";
import { Halts } from "../decisions/halts.ts";
import { HandTimers } from "../ipc/ipc_fixture.ts";
import { SILENT_LOG } from "../log.ts";
import { LOCAL_ORDER_LIMITS } from "./limits.ts";
import { type FoundFile, OrderFile, parseOrders } from "./order_file.ts";

/** A file that a test edits, and the halts that it governs. */
class Desk {
  file: Partial<FoundFile> & { content?: string } | undefined;
  readonly timers = new HandTimers();
  readonly halts = new Halts("coder-1");
  readonly orders = new OrderFile({
    path: "/etc/aa/orders",
    own_uid: 1_000,
    timers: this.timers,
    log: SILENT_LOG,
    apply: (op_id, signal) => this.halts.apply("local", op_id, signal),
    find: () => {
      if (this.file === undefined) return undefined;
      const content = this.file.content ?? "";
      return { uid: 0, mode: 0o644, size: content.length, text: () => content, ...this.file };
    },
  });

  says(content: string | undefined): void {
    this.file = content === undefined ? undefined : { content };
    this.orders.look();
  }

  governing(trace = "", span = ""): string | undefined {
    return this.halts.governing(trace, span)?.signal;
  }
}

Deno.test("trap R12: an operator pauses, terminates and lets go at the runtime itself, without a gateway", () => {
  const desk = new Desk();
  desk.says(undefined);
  assert.equal(desk.governing(), undefined);
  desk.says("# stop everything\npause *\n");
  assert.equal(desk.governing(), "pause");
  assert.deepEqual(desk.orders.status, { state: "in_force", orders: 1, detail: "" });
  desk.says("terminate agent:coder-1");
  assert.equal(desk.governing(), "terminate");
  desk.says("pause agent:coder-1");
  assert.equal(desk.governing(), "pause", "an operator may soften an order of their own");
  desk.says("pause agent:somebody-else\npause t1:s1  # one operation");
  assert.equal(desk.governing(), undefined);
  assert.equal(desk.governing("t1", "s1"), "pause");
  desk.says(undefined);
  assert.equal(desk.governing("t1", "s1"), undefined);
});

Deno.test("a file that cannot be understood or trusted pauses everything, until it can", () => {
  const damaged: Record<string, Desk["file"]> = {
    "no order": { content: "stop *" },
    "half a line": { content: "paus" },
    "too many words": { content: "pause * now" },
    "no operation": { content: "pause everything" },
    "another user's": { content: "", uid: 1_001 },
    "others may write": { content: "", mode: 0o666 },
    "too long": { content: "#".repeat(LOCAL_ORDER_LIMITS.file_bytes_max + 1) },
    "too many": {
      content: Array.from({ length: 257 }, (_, index) => `pause t:${index}`).join("\n"),
    },
    "unreadable": {
      text: () => {
        throw new Deno.errors.PermissionDenied();
      },
    },
  };
  for (const [name, file] of Object.entries(damaged)) {
    const desk = new Desk();
    desk.file = file;
    desk.orders.look();
    assert.equal(desk.orders.status.state, "damaged", name);
    assert.notEqual(desk.orders.status.detail, "", name);
    assert.equal(desk.governing(), "pause", name);
    desk.says("");
    assert.equal(desk.governing(), undefined, `${name}: repaired`);
  }
});

Deno.test("the file is looked at by itself, and an order takes effect within its interval", async () => {
  const desk = new Desk();
  desk.orders.look();
  desk.orders.start();
  desk.file = { content: "pause *" };
  await desk.timers.pass(LOCAL_ORDER_LIMITS.interval_ms);
  assert.equal(desk.governing(), "pause");
  desk.file = undefined;
  await desk.timers.pass(LOCAL_ORDER_LIMITS.interval_ms);
  assert.equal(desk.governing(), undefined);
  await desk.orders[Symbol.asyncDispose]();
});

Deno.test("whatever the file said before, what it says now is what holds", () => {
  const op = fc.constantFrom("*", "agent:coder-1", "t:s");
  const line = fc.tuple(fc.constantFrom("pause", "terminate"), op).map((words) => words.join(" "));
  const text = fc.array(line, { maxLength: 4 }).map((lines) => lines.join("\n"));
  const file = fc.oneof(text, fc.constant("damaged!"), fc.constant(undefined));
  fc.assert(fc.property(fc.array(file, { minLength: 1, maxLength: 6 }), (versions) => {
    const desk = new Desk();
    for (const version of versions) desk.says(version);
    const fresh = new Desk();
    fresh.says(versions.at(-1));
    assert.equal(desk.governing("t", "s"), fresh.governing("t", "s"));
    assert.equal(desk.halts.size, fresh.halts.size);
  }));
});

Deno.test("any text is orders or a reason, never a crash", () => {
  fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => {
    const parsed = parseOrders(text);
    if (!parsed.ok) assert.match(parsed.why, /^(line \d+ is no order|it holds more)/);
  }));
});
