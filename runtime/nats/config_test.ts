import assert from "node:assert/strict";
import { withFolder } from "../_fixture.ts";
import { NatsConfigError, parseNatsConfig, serverOf } from "./config.ts";
import { setUpNats } from "./publisher.ts";

Deno.test("what the file leaves out has the contract's defaults", () => {
  assert.deepEqual(parseNatsConfig("[gateway.nats]", "f"), {
    url: "nats://127.0.0.1:4222",
    max_inflight: 1024,
  });
  const text =
    `[gateway.nats]\nurl = "tls://nats.internal:4333"\ntoken = "t"\nmax_inflight = 16\n` +
    `[gateway.nats.tls]\nca = "/ca.pem"\ncert = "/c.pem"\nkey = "/k.pem"\n`;
  assert.deepEqual(parseNatsConfig(text, "f"), {
    url: "tls://nats.internal:4333",
    token: "t",
    max_inflight: 16,
    tls: { ca: "/ca.pem", cert: "/c.pem", key: "/k.pem" },
  });
  assert.equal(parseNatsConfig("[other]", "f"), undefined);
  assert.equal(serverOf("nats://[::1]:1"), "[::1]:1");
  assert.equal(serverOf("nats://host"), "host:4222");
});

Deno.test("a mistake names its key, and no message shows a token", () => {
  const wrong: readonly [string, RegExp][] = [
    ["[gateway.nats]\nurl = 3", /gateway\.nats\.url/],
    [`[gateway.nats]\nurl = "nats://user:hunter2@h:1"`, /a token belongs into/],
    [`[gateway.nats]\nurl = "http://h:1"`, /gateway\.nats\.url/],
    [`[gateway.nats]\ntoken = ["hunter2"]`, /gateway\.nats\.token/],
    ["[gateway.nats]\nmax_inflight = 0", /max_inflight/],
    ["[gateway.nats]\nmax_inflight = 4096", /max_inflight/],
    ["[gateway.nats]\nmaxinflight = 4", /gateway\.nats\.maxinflight/],
    [`[gateway.nats.tls]\ncert = "/c"`, /gateway\.nats\.tls/],
    [`[gateway]\nnats = "x"`, /not as a table/],
    [`[gateway.nats]\ntoken = "hunter2`, /not TOML/],
  ];
  for (const [text, expected] of wrong) {
    assert.throws(() => parseNatsConfig(text, "f.toml"), (error) => {
      assert.ok(error instanceof NatsConfigError, text);
      assert.match(error.message, expected, text);
      assert.doesNotMatch(error.message, /hunter2/, text);
      return true;
    });
  }
});

Deno.test("no configuration is off; one that cannot be used is a state that says why", async () => {
  assert.deepEqual(await setUpNats(undefined), { state: "off" });
  assert.deepEqual(await setUpNats(""), { state: "off" });
  await withFolder(async (folder) => {
    const missing = await setUpNats(`${folder}/none.toml`);
    assert.ok(missing.state === "degraded" && missing.detail.includes("none.toml"));
    await Deno.writeTextFile(`${folder}/bad.toml`, "[gateway.nats]\nurl = 1");
    assert.equal((await setUpNats(`${folder}/bad.toml`)).state, "degraded");
    await Deno.writeTextFile(`${folder}/empty.toml`, "");
    assert.equal((await setUpNats(`${folder}/empty.toml`)).state, "degraded");
    await Deno.writeTextFile(`${folder}/good.toml`, "[gateway.nats]");
    assert.equal((await setUpNats(`${folder}/good.toml`)).state, "configured");
  });
});
