import assert from "node:assert/strict";
import { classify, isFatal, StoreError } from "./failure.ts";

/** A driver error: only prepared statements carry the (possibly extended) result code. */
function driverError(errcode: number | undefined): Error {
  return Object.assign(new Error("driver text"), { code: "ERR_SQLITE_ERROR", errcode });
}

Deno.test("SQLite's result codes, extended ones too, become named failures", () => {
  const table: [number, string][] = [
    [5, "locked"],
    [261, "locked"], // SQLITE_BUSY_RECOVERY
    [6, "locked"],
    [8, "read_only"],
    [1032, "read_only"], // SQLITE_READONLY_DBMOVED
    [10, "io"],
    [1034, "io"], // SQLITE_IOERR_FSYNC
    [11, "corrupt"],
    [26, "corrupt"],
    [13, "disk_full"],
    [14, "cannot_open"],
    [19, "constraint"],
    [1555, "constraint"], // SQLITE_CONSTRAINT_PRIMARYKEY
    [3091, "constraint"], // SQLITE_CONSTRAINT_DATATYPE
    [999, "writer_failed"],
  ];
  for (const [errcode, code] of table) {
    const failure = classify(driverError(errcode), "/state.db", "write");
    assert.equal(failure.code, code, String(errcode));
    assert.match(failure.message, /^cannot write: driver text \(`\/state.db`\); \S/);
  }
  assert.equal(classify(driverError(undefined), "p", "write").code, "writer_failed");
  assert.equal(classify("thrown text", "p", "write").code, "writer_failed");
});

Deno.test("a value SQLite holds and JavaScript cannot is damage, not a crash", () => {
  const error = Object.assign(new RangeError("too large"), { code: "ERR_OUT_OF_RANGE" });
  assert.equal(classify(error, "p", "read").code, "corrupt");
});

Deno.test("a named failure keeps its name and text", () => {
  const error = new StoreError("newer_schema", "text");
  assert.deepEqual(classify(error, "p", "open"), { code: "newer_schema", message: "text" });
});

Deno.test("only failures that make later success meaningless are final", () => {
  assert.deepEqual([isFatal("io"), isFatal("corrupt"), isFatal("writer_failed")], [
    true,
    true,
    true,
  ]);
  assert.deepEqual([isFatal("disk_full"), isFatal("constraint"), isFatal("locked")], [
    false,
    false,
    false,
  ]);
});
