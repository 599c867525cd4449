import assert from "node:assert/strict";
import { loadPolicy } from "./load.ts";
import { agent, directory, exec } from "./policy_fixture.ts";

function responses(...texts: string[]): Record<string, string> {
  const cascade = directory(...texts).index.cascade(agent(), exec("id"));
  return Object.fromEntries([...cascade?.anomaly ?? []].map(([name, { response, rule }]) => [
    name,
    `${response} ${rule.file}:${rule.line}`,
  ]));
}

Deno.test("the strongest response of the cascade wins, whichever document states it", () => {
  assert.deepEqual(
    responses(
      "anomaly: { behavior_spike: throttle, off_hours: alert }",
      "scope: team:t1\nanomaly:\n  behavior_spike: require_approval\n  loop_runaway: alert",
      "scope: org:o1\nanomaly:\n  loop_runaway: quarantine",
      "scope: team:other\nanomaly: { off_hours: quarantine }",
    ),
    {
      behavior_spike: "throttle p0.yaml:1",
      off_hours: "alert p0.yaml:1",
      loop_runaway: "quarantine p2.yaml:3",
    },
  );
});

Deno.test("a policy that names no detector leaves all to the gateway", () => {
  assert.deepEqual(responses("{}", "anomaly: {}"), {});
});

Deno.test("a wrong detector or response is refused with its place and the nearest word", () => {
  const problemOf = (text: string): string => {
    const loaded = loadPolicy("p.yaml", text);
    assert.ok(!loaded.ok);
    return loaded.problems.map(({ line, field, message }) => `${line} ${field}: ${message}`).join();
  };
  assert.match(
    problemOf("anomaly:\n  behaviour_spike: alert\n"),
    /^2 anomaly\.behaviour_spike: unknown key .*did you mean `behavior_spike`/,
  );
  assert.match(
    problemOf("anomaly:\n  off_hours: block\n"),
    /^2 anomaly\.off_hours: must be one of 'alert'.* received `block`/,
  );
  // Spoofing is refused before any policy is asked: a response here would change nothing.
  assert.match(problemOf("anomaly: { cross_agent_identity_spoofing: alert }"), /unknown key/);
});

Deno.test("a response changes a document's identity", () => {
  const digest = (text: string) => directory(text).documents[0]?.document.digest;
  const digests = [
    "{}",
    "anomaly: {}",
    "anomaly: { off_hours: alert }",
    "anomaly: { off_hours: throttle }",
    "anomaly: { denial_surge: alert }",
  ].map(digest);
  assert.equal(new Set(digests).size, digests.length);
});
