import assert from "node:assert/strict";
import { LOCAL, PAGE, startWeb, WatchedBody } from "../testing/web_caller.ts";
import { AccessRules } from "./access.ts";

const METHOD = `${LOCAL}/grpc.test.v1.Echo/Unary`;
const web = { allowed_origins: [PAGE], allowed_request_headers: ["Authorization"] };

function corsNames(response: Response): string[] {
  return [...response.headers.keys()].filter((name) => name.startsWith("access-control-"));
}

Deno.test("no page may call by default, and its request is not read", async () => {
  await using test = startWeb();
  const body = new WatchedBody(new Uint8Array(1000), 1000);
  const response = await test.post("Unary", "application/json", body.stream, { origin: PAGE });
  assert.equal(response.status, 403);
  assert.deepEqual(corsNames(response), []);
  assert.equal(body.read_bytes, 0);
  assert.equal(body.cancelled, true);
  assert.equal(test.server.stats.refused.web_origin, 1);
  assert.equal(test.server.stats.calls_started, 0);
});

for (
  const origin of [
    "https://other.example",
    "http://page.example",
    "https://page.example:8443",
    "https://page.example.evil",
    "https://page.example, https://page.example",
    "null",
    "",
  ]
) {
  Deno.test(`a page of \`${origin}\` may not call where ${PAGE} may`, async () => {
    await using test = startWeb({ web });
    const response = await test.post("Unary", "application/json", "{}", { origin });
    assert.equal(response.status, 403);
    assert.deepEqual(corsNames(response), []);
  });
}

Deno.test("a page of an allowed origin reads the response and the metadata in it", async () => {
  await using test = startWeb({ web }, {
    unary: (request, { headers, trailers }) => {
      headers.set("x-of-handler", "1");
      headers.set("access-control-allow-origin", "https://evil.example");
      headers.set("access-control-allow-credentials", "true");
      trailers.set("x-at-end", "2");
      return request;
    },
  });
  const response = await test.post("Unary", "application/json", "{}", { origin: PAGE });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("access-control-allow-origin"), PAGE);
  assert.equal(response.headers.get("access-control-allow-credentials"), null);
  assert.match(response.headers.get("vary") ?? "", /\borigin\b/);
  const exposed = (response.headers.get("access-control-expose-headers") ?? "").split(", ");
  assert.ok(exposed.includes("x-of-handler") && exposed.includes("trailer-x-at-end"));
  assert.deepEqual(await response.json(), {});
});

Deno.test("a browser that asks beforehand hears what a page may send, and others hear nothing", async () => {
  await using test = startWeb({ web });
  const ask = (origin: string | undefined) =>
    test.send(
      new Request(METHOD, {
        method: "OPTIONS",
        headers: {
          ...(origin === undefined ? {} : { origin }),
          "access-control-request-method": "POST",
          "access-control-request-headers": "content-type,authorization",
        },
      }),
    );
  const allowed = await ask(PAGE);
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get("access-control-allow-origin"), PAGE);
  const names = (allowed.headers.get("access-control-allow-headers") ?? "").split(", ");
  assert.ok(names.includes("authorization") && names.includes("grpc-timeout"));
  assert.ok(!names.includes("*") && !names.includes("cookie"));
  const foreign = await ask("https://other.example");
  assert.equal(foreign.status, 403);
  assert.deepEqual(corsNames(foreign), []);
  const nobody = await ask(undefined);
  assert.equal(nobody.status, 405);
  assert.deepEqual(corsNames(nobody), []);
});

Deno.test("a request another site makes without an origin is refused; one's own user may look", async () => {
  await using test = startWeb({ web });
  const look = (site: string) =>
    test.send(
      new Request(`${LOCAL}/grpc.test.v1.Echo/Look?encoding=json&message=%7B%7D`, {
        headers: { "sec-fetch-site": site },
      }),
    );
  for (const site of ["cross-site", "same-site", "other"]) {
    assert.equal((await look(site)).status, 403, site);
  }
  for (const site of ["none", "same-origin"]) assert.equal((await look(site)).status, 200, site);
});

Deno.test("over loopback only loopback names are ours, so a rebound name is not", async () => {
  await using test = startWeb({ web });
  const ask = (host: string, from: string, header?: string) =>
    test.send(
      new Request(`http://${host}/grpc.test.v1.Echo/Unary`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(header === undefined ? {} : { host: header }),
        },
        body: "{}",
      }),
      from,
    );
  for (const host of ["127.0.0.1:1", "localhost", "app.localhost:9", "[::1]:1", "localhost."]) {
    assert.equal((await ask(host, "127.0.0.1")).status, 200, host);
  }
  for (const from of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) {
    for (const host of ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil"]) {
      assert.equal((await ask(host, from)).status, 421, `${host} from ${from}`);
    }
  }
  assert.equal((await ask("localhost", "127.0.0.1", "evil.example")).status, 421);
  assert.equal((await ask("localhost", "127.0.0.1", "local/host")).status, 421);
  assert.equal((await ask("api.example", "192.0.2.1")).status, 200);
});

Deno.test("hosts that are named are the only ones, wherever the request comes from", async () => {
  await using test = startWeb({ web: { allowed_hosts: ["api.example"] } });
  const ask = (host: string, from: string) =>
    test.send(
      new Request(`http://${host}/grpc.test.v1.Echo/Unary`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      }),
      from,
    );
  assert.equal((await ask("api.example:99", "127.0.0.1")).status, 200);
  assert.equal((await ask("api.example", "192.0.2.1")).status, 200);
  assert.equal((await ask("other.example", "192.0.2.1")).status, 421);
  assert.equal((await ask("localhost", "127.0.0.1")).status, 421);
});

for (
  const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=a",
    "",
    "application/jsonx",
    "application/grpc",
  ]
) {
  Deno.test(`content type \`${type}\`, which no browser asks about or we do not speak, is refused`, async () => {
    await using test = startWeb({ web });
    const body = new TextEncoder().encode("{}");
    const response = await test.post("Unary", type, body, type === "" ? {} : { origin: PAGE });
    assert.equal(response.status, 415);
    assert.equal(test.server.stats.calls_started, 0);
  });
}

Deno.test("options that are no origin, host or header name are refused with what is wrong", () => {
  const origins = ["*", "null", "https://a.example/", "a.example", "https://A.example", ""];
  for (const origin of origins) {
    assert.throws(() => new AccessRules({ allowed_origins: [origin] }), /is not an origin/, origin);
  }
  for (const host of ["a.example:1", "A.example", "http://a", "", "a/b"]) {
    assert.throws(() => new AccessRules({ allowed_hosts: [host] }), /is not a host name/, host);
  }
  assert.throws(() => new AccessRules({ allowed_request_headers: ["a b"] }), /not a header name/);
  assert.throws(() => new AccessRules({ preflight_max_age_s: -1 }), /preflight_max_age_s/);
});
