/** Conformance group S: schedule (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { compilePolicySet } from "./compile.ts";
import { ask, call, directory, load } from "./policy_fixture.ts";

const CLOSED = "deny: outside active hours";

function hours(start: string, end: string, timezone = "UTC"): string {
  return `schedule: { active_hours: { start: "${start}", end: "${end}", timezone: ${timezone} } }`;
}

function at(time: string): { now_ms: number } {
  return { now_ms: Date.parse(`2026-03-04T${time}Z`) };
}

Deno.test("S1: the start is inside, the end is not", () => {
  const policy = directory(hours("09:00", "17:00"));
  assert.equal(ask(policy, call("x"), at("08:59:59.999")), CLOSED);
  assert.equal(ask(policy, call("x"), at("09:00:00")), "allow");
  assert.equal(ask(policy, call("x"), at("16:59:59.999")), "allow");
  assert.equal(ask(policy, call("x"), at("17:00:00")), CLOSED);
});

Deno.test("S2: a window to 23:59 is closed during the last minute", () => {
  const policy = directory(hours("00:00", "23:59"));
  assert.equal(ask(policy, call("x"), at("23:59:30")), CLOSED);
  assert.equal(ask(policy, call("x"), at("23:58:59")), "allow");
});

Deno.test("S3: a zone that is not known denies", () => {
  const documents = load(hours("09:00", "17:00")).map((document) => {
    const active_hours = document.schedule?.active_hours;
    assert.ok(active_hours);
    const broken = { ...active_hours, timezone: "Not/AZone" };
    return { ...document, schedule: { at: active_hours.at, active_hours: broken } };
  });
  const policy = compilePolicySet(documents);
  assert.equal(ask(policy, call("x")), "deny: invalid schedule timezone: Not/AZone");
});

Deno.test("S4: an allow is not remembered past the closing time", () => {
  const policy = directory(hours("09:00", "17:00"));
  assert.equal(ask(policy, call("x"), at("16:59:59.999")), "allow");
  assert.equal(ask(policy, call("x"), at("17:00:00")), CLOSED);
});

Deno.test("the window follows the zone's clock changes", () => {
  const policy = directory(hours("09:00", "17:00", "Europe/Berlin"));
  const winter = Date.parse("2026-01-15T08:00:00Z");
  const summer = Date.parse("2026-07-15T07:00:00Z");
  for (const open of [winter, summer]) {
    assert.equal(ask(policy, call("x"), { now_ms: open }), "allow");
    assert.equal(ask(policy, call("x"), { now_ms: open - 1 }), CLOSED);
  }
});

Deno.test("an empty schedule restricts nothing", () => {
  assert.equal(ask(directory("schedule: {}"), call("x")), "allow");
});

Deno.test("every document's window must be open", () => {
  const policy = directory(hours("09:00", "17:00"), `scope: team:t1\n${hours("11:00", "13:00")}`);
  assert.equal(ask(policy, call("x"), at("12:00:00")), "allow");
  assert.equal(ask(policy, call("x"), at("10:00:00")), CLOSED);
});
