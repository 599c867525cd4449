import assert from "node:assert/strict";
import { inTemporaryDirectory } from "../harness/gateway_process.ts";
import { killGateway } from "./kill_gateway.ts";

Deno.test("kill -9 at any moment loses no acknowledged entry and leaves chain and tree valid", async () => {
  await inTemporaryDirectory(async (directory) => {
    const report = await killGateway(12, directory);
    assert.ok(report.acknowledged > 100, `only ${report.acknowledged} calls were acknowledged`);
    assert.deepEqual(report.lost, []);
    assert.equal(report.damage, "");
  });
});
