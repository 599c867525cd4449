import assert from "node:assert/strict";
import {
  addHealthService,
  Channel,
  Code,
  createClient,
  createHealthClient,
  GrpcServer,
  type HealthStatus,
} from "./mod.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "./gen/health_pb.ts";

async function withHealth(
  run: (
    client: ReturnType<typeof createClient<typeof Health>>,
    control: ReturnType<typeof addHealthService>,
  ) => Promise<void>,
): Promise<void> {
  const server = new GrpcServer();
  const control = addHealthService(server, ["a.B", "c.D"]);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  await run(createClient(Health, channel), control);
  await channel.close();
  await server.shutdown();
}

Deno.test("Check tells the status of the server and of each named service", async () => {
  await withHealth(async (client, control) => {
    for (const service of ["", "a.B", "c.D"]) {
      assert.equal((await client.check({ service })).status, Status.SERVING);
    }
    await assert.rejects(client.check({ service: "x.Y" }), { code: Code.NOT_FOUND });
    control.set("a.B", "NOT_SERVING");
    assert.equal((await client.check({ service: "a.B" })).status, Status.NOT_SERVING);
    assert.equal((await client.check({ service: "c.D" })).status, Status.SERVING);
    control.setAll("NOT_SERVING");
    assert.equal((await client.check({})).status, Status.NOT_SERVING);
    assert.throws(() => control.set("x.Y", "SERVING"), TypeError);
  });
});

Deno.test("Watch tells the status now and at every change, unknown services too", async () => {
  await withHealth(async (client, control) => {
    const seen: Status[] = [];
    for await (const { status } of client.watch({ service: "a.B" })) {
      seen.push(status);
      if (seen.length === 1) control.set("c.D", "NOT_SERVING");
      if (seen.length === 1) control.set("a.B", "NOT_SERVING");
      if (seen.length === 2) control.set("a.B", "SERVING");
      if (seen.length === 3) break;
    }
    assert.deepEqual(seen, [Status.SERVING, Status.NOT_SERVING, Status.SERVING]);
    for await (const { status } of client.watch({ service: "x.Y" })) {
      assert.equal(status, Status.SERVICE_UNKNOWN);
      break;
    }
  });
});

Deno.test("the health client speaks in words", async () => {
  const server = new GrpcServer();
  const control = addHealthService(server, ["a.B"]);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  const health = createHealthClient(channel);
  assert.equal(await health.check(), "SERVING");
  await assert.rejects(health.check("x.Y"), { code: Code.NOT_FOUND });
  const seen: HealthStatus[] = [];
  for await (const status of health.watch("a.B")) {
    seen.push(status);
    control.set("a.B", "NOT_SERVING");
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ["SERVING", "NOT_SERVING"]);
  for await (const status of health.watch("x.Y", { timeout_ms: 10_000 })) {
    assert.equal(status, "SERVICE_UNKNOWN");
    break;
  }
  await channel.close();
  await server.shutdown();
});
