/**
 * What may never be stored, planted everywhere it can hide, and looked for in the bytes on disk.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { BANNED_KEYS } from "../../core/audit/never_store.ts";
import { draft, SampleDirectory } from "./_sample_directory.ts";

const PROMPT = "words-of-a-prompt";
// Put together here so that no scanner takes this file for a leak.
const CREDENTIALS = [
  "AKIA" + "IOSFODNN7EXAMPLE",
  "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
  "postgres" + "://root:hunter2secret@db.example.com:5432/x",
  "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyf8hKJk\n-----END RSA PRIVATE KEY-----",
];

const encoder = new TextEncoder();

/** Ways to spell a banned name. */
const spelled = fc.tuple(fc.constantFrom(...BANNED_KEYS), fc.integer({ min: 0, max: 5 }))
  .map(([key, way]) =>
    [
      key,
      key.toUpperCase(),
      key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
      key.replace("_", "-"),
      ` ${key}\t`,
      `${key.slice(0, 2)}\u200b${key.slice(2)}`,
    ][way] ?? key
  );

/** JSON texts that hold the prompt under a banned name. */
const planted = fc.tuple(spelled, fc.boolean()).map(([key, twice]) => {
  const member = `${JSON.stringify(key)}:${JSON.stringify(PROMPT)}`;
  return twice ? `{"a":{${member}},"a":1}` : `{"ok":1,${member}}`;
});

/** What can be done to a JSON text on its way into a member's value. */
const WRAPS: readonly ((json: string) => string)[] = [
  (json) => JSON.stringify({ inner: json }),
  (json) => `{"list":[1,[${json}]]}`,
  (json) => `{"deep":{"deeper":${json}}}`,
  (json) => JSON.stringify(JSON.stringify({ again: json })),
  (json) => JSON.stringify({ base64: encoder.encode(json).toBase64() }),
  (json) => JSON.stringify({ url: encoder.encode(json).toBase64({ alphabet: "base64url" }) }),
  (json) => JSON.stringify({ percent: encodeURIComponent(json) }),
  (json) => JSON.stringify({ log: `sent ${json} to the model` }),
  (json) => `{${JSON.stringify(json)}:1}`,
];

const hidden = fc.tuple(
  planted,
  fc.array(fc.constantFrom(...WRAPS), { minLength: 1, maxLength: 4 }),
)
  .map(([json, wraps]) => wraps.reduce((text, wrap) => wrap(text), json));

Deno.test("trap 51: no planted prompt reaches the file, however it is nested, spelled or encoded", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const forms: Promise<unknown>[] = [];
  fc.assert(fc.property(hidden, (payload) => {
    forms.push(log.append(draft(forms.length, { payload })));
    forms.push(log.append(draft(forms.length, {
      payload: "{}",
      delegation_reason: `because ${payload}`.slice(0, 1_000),
      spawned_by_tool: JSON.stringify({ prompt: PROMPT }),
      team_id: `{"Completion":"${PROMPT}"}`,
    })));
  }));
  await Promise.all(forms);
  assert.ok(log.status().removed_members >= forms.length / 2);
  await log.close();
  assertAbsent(at, PROMPT);
});

Deno.test("no credential of a certain form reaches the file in clear, whoever wrote the entry", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const appended: Promise<unknown>[] = [];
  const put = fc.tuple(
    fc.constantFrom(...CREDENTIALS),
    fc.array(fc.constantFrom(...WRAPS.slice(0, 4), ...WRAPS.slice(7)), { maxLength: 3 }),
  );
  fc.assert(fc.property(put, ([credential, wraps]) => {
    const json = JSON.stringify({ reason: `use ${credential} now`, n: 12345678901234567890n + "" });
    const payload = wraps.reduce((text, wrap) => wrap(text), json);
    appended.push(log.append(draft(appended.length, {
      payload,
      delegation_reason: credential,
      org_id: `org ${credential}`,
    })));
  }));
  await Promise.all(appended);
  assert.ok(log.status().redacted_credentials >= 3 * appended.length);
  await log.close();
  for (const credential of CREDENTIALS) {
    for (const part of credential.split("\n").filter((line) => line.length > 12)) {
      assertAbsent(at, part);
    }
  }
});

Deno.test("what only looks like a credential is kept: hashes, keys, times, mailboxes", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const payload = JSON.stringify({
    agent: "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
    digest: `sha256:${"0f".repeat(32)}`,
    received_at_ns: "1714222134000000000",
    by: "ada@example.com",
    trace: "4bf92f3577b34da6a3ce929d0e0e4736",
  });
  await log.append(draft(0, { payload }));
  assert.equal(log.status().redacted_credentials, 0);
  await log.close();
  assert.equal(JSON.parse(at.lines()[0] ?? "").payload, payload);
});

/** Neither in the log nor in a tile: not as text, not as JSON escapes it, not as base64. */
function assertAbsent(at: SampleDirectory, secret: string): void {
  const forms = [
    secret,
    encoder.encode(secret.slice(0, -(secret.length % 3) || undefined)).toBase64(),
  ];
  for (const path of files(at.directory)) {
    const text = new TextDecoder().decode(Deno.readFileSync(path));
    for (const form of forms) {
      const found = text.indexOf(form);
      assert.equal(found, -1, `${path}: ${text.slice(Math.max(0, found - 300), found + 60)}`);
    }
  }
}

function files(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) =>
    isDirectory ? files(`${directory}/${name}`) : [`${directory}/${name}`]
  );
}
