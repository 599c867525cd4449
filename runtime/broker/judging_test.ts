/**
 * The pure parts: what is asked of policy, where paths lead, how refusals read.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { AnswerCache } from "./answer_cache.ts";
import { WorkingDirectories } from "./directories.ts";
import { LineReader } from "./lines.ts";
import { BROKER_LIMITS } from "./limits.ts";
import { type Entry, type Files, isKernelPath, lexicalPath, resolvePath } from "./paths.ts";
import type { PermissionRequest } from "./protocol.ts";
import { type Plan, planOf } from "./question.ts";
import { oneLine, refusalText } from "./reason.ts";
import { type RepeatClock, RepeatCounter, type Repeats } from "./repeats.ts";
import { Turns } from "./turns.ts";
import { repeatEvents } from "./repeat_report.ts";

function plan(permission: PermissionRequest["permission"], value?: string): Plan {
  return planOf({ id: 1, pid: 1, permission, ...(value !== undefined && { value }) }, "/tmp");
}

/** Keys of the acts and paths, or the refusal. */
function shown(planned: Plan): unknown {
  if (planned.kind === "refuse") return `refused: ${planned.reason}`;
  return [
    ...planned.acts.map((act) => act.key.replaceAll("\0", " ")),
    ...planned.paths.map(({ mode, path }) => `${mode} ${path}`),
  ];
}

Deno.test("each permission becomes the policy questions of docs/permission-broker.md", () => {
  assert.deepEqual(shown(plan("read", "/a")), ["read /a"]);
  assert.deepEqual(shown(plan("read")), ["read /"], "every file is the whole tree");
  assert.deepEqual(shown(plan("write")), ["write /"]);
  assert.deepEqual(shown(plan("write", "<TMP>")), ["write /tmp"]);
  assert.deepEqual(shown(plan("net", "a.example:443")), ["net tcp a.example 443"]);
  assert.deepEqual(shown(plan("net", "localhost")), ["net tcp localhost 0"]);
  assert.deepEqual(shown(plan("net", "[::1]:80")), ["net tcp ::1 80"]);
  assert.deepEqual(shown(plan("net", "unix:/run/x")), ["net unix localhost 0", "write /run/x"]);
  assert.deepEqual(shown(plan("run", "git")), ["run git"]);
  assert.deepEqual(shown(plan("env", "HOME")), ['tool deno.env {"name":"HOME"}']);
  assert.deepEqual(shown(plan("env", "https_proxy")), [
    'tool deno.env {"name":"https_proxy"}',
    "net tcp proxy-from-environment.invalid 0",
  ]);
  assert.deepEqual(shown(plan("env")), ['tool deno.env {"name":"*"}']);
  assert.deepEqual(shown(plan("sys", "uid")), ['tool deno.sys {"kind":"uid"}']);
  assert.deepEqual(shown(plan("ffi", "/x.so")), ['tool deno.ffi {"path":"/x.so"}', "read /x.so"]);
  assert.deepEqual(shown(plan("ffi")), ['tool deno.ffi {"path":"*"}']);
  assert.deepEqual(shown(plan("import", "deno.land:443")), [
    "net https deno.land 443",
    'tool deno.import {"host":"deno.land:443"}',
  ]);
});

Deno.test("what no rule can name is refused without asking policy", () => {
  const refused: [PermissionRequest["permission"], string | undefined][] = [
    ["net", undefined],
    ["net", "vsock:1:1"],
    ["net", "unix:"],
    ["net", "unix:\0abstract"],
    ["net", "a:b:c"],
    ["net", "a.example:65536"],
    ["import", undefined],
    ["run", undefined],
    ["read", "/".repeat(BROKER_LIMITS.value_chars + 1)],
  ];
  for (const [permission, value] of refused) {
    assert.match(String(shown(plan(permission, value))), /^refused: /, `${permission} ${value}`);
  }
});

/** A file system of links, directories and nothing else. */
function filesOf(links: Readonly<Record<string, string>>, plain: readonly string[] = []): Files {
  return {
    look(path): Entry {
      const target = links[path];
      if (target !== undefined) return { kind: "link", target };
      return { kind: plain.includes(path) ? "plain" : "absent" };
    },
    workingDirectory: () => undefined,
    isDirectory: (path) => plain.includes(path),
  };
}

Deno.test("a path is followed as the kernel does: links before `..`, relative targets, loops refused", () => {
  const files = filesOf({ "/a/l": "../b", "/a/abs": "/c/d", "/a/loop": "loop", "/self": "." });
  const of = (path: string) => {
    const resolved = resolvePath(path, files);
    return resolved.ok ? resolved.path : resolved.reason;
  };
  assert.equal(of("/a/l/x"), "/b/x");
  assert.equal(of("/a/l/../x"), "/x", "the parent of where the link leads");
  assert.equal(of("/a/abs/../x"), "/c/x");
  assert.equal(of("/a/./b//c/.."), "/a/b");
  assert.equal(of("/../.."), "/");
  assert.equal(of("/self/self/a"), "/a");
  assert.equal(of("/a/loop"), "the path leads through too many links");
});

Deno.test("without links, following a path is reading it", () => {
  const part = fc.constantFrom("a", "b", "..", ".", "");
  fc.assert(fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
    const path = `/${parts.join("/")}`;
    const resolved = resolvePath(path, filesOf({}));
    assert.deepEqual(resolved, { ok: true, path: lexicalPath(path) });
  }));
});

Deno.test("a path that cannot be looked at is refused, not taken as written", () => {
  const files: Files = {
    ...filesOf({}),
    look: () => ({ kind: "unknown", why: "the runtime was not given read access to it" }),
  };
  assert.deepEqual(resolvePath("/a", files), {
    ok: false,
    reason: "where the path leads cannot be told: the runtime was not given read access to it",
  });
});

Deno.test("kernel paths are whole components", () => {
  for (const path of ["/proc", "/proc/1/mem", "/dev/sda", "/sys/x"]) assert.ok(isKernelPath(path));
  for (const path of ["/process", "/dev/null", "/home/dev/x"]) assert.ok(!isKernelPath(path));
});

Deno.test("too many possible working directories, or an unknown first, leave none", () => {
  const many = Array.from({ length: BROKER_LIMITS.working_directories + 1 }, (_, at) => `/${at}`);
  const files = filesOf({}, many);
  const known = new WorkingDirectories(files, "/0");
  for (const path of many.slice(1, -1)) known.allowed(path);
  assert.equal(known.of(1)?.length, BROKER_LIMITS.working_directories);
  known.allowed("/not-a-directory");
  assert.equal(known.of(1)?.length, BROKER_LIMITS.working_directories);
  known.allowed(many.at(-1) ?? "");
  assert.equal(known.of(1), undefined);
  assert.equal(new WorkingDirectories(files, undefined).of(1), undefined);
  const told: Files = { ...files, workingDirectory: () => "/told" };
  assert.deepEqual(new WorkingDirectories(told, undefined).of(1), ["/told"]);
});

Deno.test("a refusal is one bounded, printable line whatever policy and paths hold", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
    const text = refusalText(a, { rule: b, change: a });
    assert.ok(text.length <= BROKER_LIMITS.reason_chars);
    // deno-lint-ignore no-control-regex -- none may be left
    assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
    assert.ok(text.isWellFormed());
  }));
  assert.equal(oneLine("a\r\n\u001b[31mb\u202e"), "a [31mb");
  assert.match(oneLine("x".repeat(100_000)), /…$/);
  assert.equal(
    refusalText("path not in filesystem allowlist", { rule: "p.yaml:3 x", change: "add `/a`" }),
    "denied by policy: path not in filesystem allowlist; rule p.yaml:3 x; to allow it: add `/a`",
  );
});

Deno.test("lines arrive whole however they are cut, and a long one is told", () => {
  const text = "one\ntwö\n\nfour\n";
  const bytes = new TextEncoder().encode(text);
  fc.assert(fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
    const reader = new LineReader(8);
    const lines: string[] = [];
    let from = 0;
    for (const cut of [...cuts.sort((a, b) => a - b), bytes.length]) {
      const pushed = reader.push(bytes.subarray(from, cut));
      assert.notEqual(pushed, "too_long");
      if (pushed !== "too_long") lines.push(...pushed);
      from = cut;
    }
    assert.deepEqual(lines, ["one", "twö", "", "four"]);
  }));
  assert.equal(new LineReader(3).push(new TextEncoder().encode("four")), "too_long");
  assert.equal(new LineReader(3).push(new TextEncoder().encode("four\n")), "too_long");
});

Deno.test("the cache keeps the recently used, and nothing across epochs or without one", () => {
  const cache = new AnswerCache();
  for (let at = 0; at < BROKER_LIMITS.cached_answers; at++) {
    cache.set(1, `${at}`, { result: "allow" });
  }
  assert.ok(cache.get(1, "0"));
  cache.set(1, "one more", { result: "allow" });
  assert.equal(cache.size, BROKER_LIMITS.cached_answers);
  assert.ok(cache.get(1, "0"), "used just now");
  assert.equal(cache.get(1, "1"), undefined, "longest unused");
  assert.equal(cache.get(2, "0"), undefined);
  cache.set(undefined, "0", { result: "allow" });
  assert.equal(cache.get(undefined, "0"), undefined);
});

/** A clock whose timers a test fires. */
class HandClock implements RepeatClock {
  readonly waiting: (() => void)[] = [];
  now_ms = () => 1_000;
  after = (_delay_ms: number, run: () => void) => {
    this.waiting.push(run);
    return () => void this.waiting.splice(this.waiting.indexOf(run), 1);
  };
}

Deno.test("repeats are recorded after an interval, when many, and not lost when recording fails", async () => {
  const clock = new HandClock();
  const recorded: Repeats[] = [];
  let broken = true;
  const counter = new RepeatCounter((repeats) => {
    if (broken) return Promise.reject(new Error("disk full"));
    recorded.push(repeats);
    return Promise.resolve();
  }, clock);
  counter.count("a", "allow");
  counter.count("a", "allow");
  counter.count("a", "deny");
  assert.equal(clock.waiting.length, 1);
  await counter.flush();
  assert.equal(counter.usable, false);
  broken = false;
  await counter.flush();
  assert.equal(counter.usable, true);
  assert.deepEqual(recorded.flatMap((one) => one.repeats), [
    { key: "a", result: "allow", count: 2 },
    { key: "a", result: "deny", count: 1 },
  ]);
  for (let at = 0; at < BROKER_LIMITS.counted_questions; at++) counter.count(`${at}`, "allow");
  await counter.flush();
  assert.equal(recorded.at(-1)?.repeats.length, BROKER_LIMITS.counted_questions);
});

Deno.test("repeats become events of bounded size that name agent, question and count", () => {
  const agent = { org_id: "o", team_id: "t", agent_id: "a", credential_token: "s", trace_id: "x" };
  const repeats = Array.from({ length: 250 }, (_, at) => ({
    key: `read\0/${at}`,
    result: "allow" as const,
    count: at,
  }));
  const events = repeatEvents(agent, { from_ms: 1, until_ms: 2, repeats }, () => "id");
  assert.equal(events.length, BROKER_LIMITS.repeats_named + 1);
  const [first] = events;
  assert.equal(first?.agentId?.agentId, "a");
  assert.equal(first?.decision, 1);
  const names = events.map(({ detail }) => detail.case === "toolCall" ? detail.value.toolName : "");
  assert.equal(names[0], "deno.broker.repeats: 249 × allow: read /249");
  assert.equal(names.at(-1), "deno.broker.repeats: 11175 × allow: 150 further questions");
});

Deno.test("questions over the bound take their turn in order, and one whose asker is gone is not asked", async () => {
  const turns = new Turns(2);
  const here = new AbortController();
  const gone = new AbortController();
  const running: string[] = [];
  const finish: (() => void)[] = [];
  const question = (name: string, signal: AbortSignal) =>
    turns.take(() => {
      running.push(name);
      return new Promise<string>((done) => finish.push(() => done(name)));
    }, signal);
  const asked = [
    question("a", here.signal),
    question("b", here.signal),
    question("c", gone.signal),
    question("d", here.signal),
  ];
  assert.deepEqual(running, ["a", "b"]);
  gone.abort();
  finish[0]?.();
  assert.equal(await asked[0], "a");
  assert.equal(await asked[2], undefined);
  while (running.length < 3) await Promise.resolve();
  assert.deepEqual(running, ["a", "b", "d"]);
  for (const end of finish) end();
  await Promise.all(asked);
});
