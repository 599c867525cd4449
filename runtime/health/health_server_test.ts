import assert from "node:assert/strict";
import {
  answerHealth,
  type HealthReport,
  type HealthSources,
  serveHealth,
} from "./health_server.ts";

const REPORT: HealthReport = {
  status: "healthy",
  uptime_secs: 7,
  events_processed: 3,
  active_layers: ["sdk"],
  degraded_layers: ["ebpf", "proxy"],
  protection: {
    attestation: {
      component_version: "0.4",
      platform: "x86_64-linux",
      generated_at_unix_secs: 1,
      freshness_window_secs: 300,
      components: [],
      additional: [],
    },
    evaluated_at_unix_secs: 1,
    verified_states: [],
    any_coverage_verified: false,
  },
  rooms: {},
};

function sources(changed: Partial<HealthSources> = {}): HealthSources {
  return { health: () => REPORT, ready: () => true, metrics: () => "aa_x 1\n", ...changed };
}

async function ask(
  path: string,
  changed: Partial<HealthSources> = {},
  init: RequestInit = {},
  host = "127.0.0.1:8080",
): Promise<[status: number, body: string]> {
  const response = answerHealth(new Request(`http://${host}${path}`, init), sources(changed));
  return [response.status, await response.text()];
}

Deno.test("/health has exactly the contract's keys, and ours in one", async () => {
  const [status, body] = await ask("/health");
  assert.equal(status, 200);
  const report = JSON.parse(body);
  assert.deepEqual(Object.keys(report), [
    ...["status", "uptime_secs", "events_processed", "active_layers", "degraded_layers"],
    ...["protection", "rooms"],
  ]);
  assert.deepEqual(Object.keys(report.protection), [
    ...["attestation", "evaluated_at_unix_secs", "verified_states", "any_coverage_verified"],
  ]);
});

Deno.test("/ready says ready once the socket is bound, and 503 before", async () => {
  assert.deepEqual(await ask("/ready"), [200, "ready"]);
  assert.deepEqual(await ask("/ready", { ready: () => false }), [503, "not ready"]);
});

Deno.test("/metrics is Prometheus text; everything else is 404, every other method 405", async () => {
  assert.deepEqual(await ask("/metrics"), [200, "aa_x 1\n"]);
  assert.equal((await ask("/secrets"))[0], 404);
  assert.equal((await ask("/health", {}, { method: "POST" }))[0], 405);
});

Deno.test("trap R10: where a token is asked for, nothing is said without it", async () => {
  const token = new TextEncoder().encode("a-token");
  const shown = async (authorization?: string) =>
    (await ask("/health", { token }, {
      headers: authorization === undefined ? {} : { authorization },
    }))[0];
  assert.equal(await shown("Bearer a-token"), 200);
  for (const wrong of [undefined, "a-token", "Basic a-token", "Bearer a-toke", "Bearer a-tokens"]) {
    assert.equal(await shown(wrong), 401, wrong);
  }
  for (const path of ["/ready", "/metrics", "/nothing"]) {
    assert.equal((await ask(path, { token }))[0], 401);
  }
});

Deno.test("a web page's own name for this machine is not answered; a token makes names good", async () => {
  assert.equal((await ask("/health", {}, {}, "attacker.example:8080"))[0], 403);
  for (const host of ["localhost:8080", "127.0.0.1", "[::1]:8080", "10.0.0.7:8080"]) {
    assert.equal((await ask("/health", {}, {}, host))[0], 200, host);
  }
  const token = new TextEncoder().encode("a-token");
  const headers = { authorization: "Bearer a-token" };
  assert.equal((await ask("/health", { token }, { headers }, "runtime-1.internal"))[0], 200);
});

Deno.test("it serves on the address it was given, and names one it cannot have", async () => {
  const server = serveHealth({ hostname: "127.0.0.1", port: 0 }, sources());
  const response = await fetch(`http://127.0.0.1:${server.port}/ready`);
  assert.equal(await response.text(), "ready");
  assert.throws(
    () => serveHealth({ hostname: "127.0.0.1", port: server.port }, sources()),
    /cannot serve health on `127\.0\.0\.1:\d+`: another program listens there/,
  );
  await server.close();
});

Deno.test("a fault while answering is a 500 without its text", async () => {
  const server = serveHealth(
    { hostname: "127.0.0.1", port: 0 },
    sources({
      health: () => {
        throw new Error("inner detail");
      },
    }),
  );
  const response = await fetch(`http://127.0.0.1:${server.port}/health`);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /inner detail/);
  await server.close();
});
