/**
 * What Deno asks a permission broker, and what it does with answers: the facts that this room and
 * `docs/permission-broker.md` rest on. A Deno that behaves otherwise turns a test here red.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runScript } from "./testing/agent_process.ts";

interface Asked {
  readonly id: number;
  readonly permission: string;
  readonly value: string | null;
  readonly connection: number;
  readonly line: string;
}

type Answerer = (asked: Asked) => string | Promise<string>;

const allow: Answerer = ({ id }) => `{"id":${id},"result":"allow"}\n`;

function deny(id: number, reason: string): string {
  return `${JSON.stringify({ id, result: "deny", reason })}\n`;
}

/** A broker that only listens and answers. */
class Listener implements AsyncDisposable {
  readonly asked: Asked[] = [];
  connections = 0;
  readonly socket: string;
  readonly directory: string;
  readonly #listener: Deno.UnixListener;
  readonly #answer: Answerer;
  readonly #open: Deno.UnixConn[] = [];
  readonly #serving: Promise<void>;

  constructor(directory: string, answer: Answerer) {
    this.directory = directory;
    this.socket = join(directory, ".broker.sock");
    this.#answer = answer;
    this.#listener = Deno.listen({ transport: "unix", path: this.socket });
    this.#serving = this.#serve();
  }

  /** `permission value` of each request that is not the script's own mark. */
  get words(): string[] {
    return this.asked.map(({ permission, value }) => `${permission} ${value}`);
  }

  async #serve(): Promise<void> {
    const serving: Promise<void>[] = [];
    try {
      for await (const connection of this.#listener) {
        this.#open.push(connection);
        serving.push(this.#read(connection, ++this.connections));
      }
    } catch {
      // Closed.
    }
    await Promise.all(serving);
  }

  async #read(connection: Deno.UnixConn, number: number): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    try {
      const into = new Uint8Array(65_536);
      for (let read = await connection.read(into); read !== null;) {
        text += decoder.decode(into.subarray(0, read), { stream: true });
        for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          const asked = { ...JSON.parse(line), connection: number, line };
          this.asked.push(asked);
          const answer = await this.#answer(asked);
          if (answer === "") return connection.close();
          await connection.write(new TextEncoder().encode(answer));
        }
        read = await connection.read(into);
      }
    } catch {
      // The process ended in the middle.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) {
      try {
        connection.close();
      } catch {
        // Closed by the test.
      }
    }
    await this.#serving;
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function listen(answer: Answerer = allow): Promise<Listener> {
  return new Listener(await Deno.realPath(await Deno.makeTempDir()), answer);
}

/** Runs each call in turn; gives what was asked, and prints what was thrown. */
async function requestsOf(
  calls: string,
  flags: readonly string[] = ["-A"],
  answer: Answerer = allow,
): Promise<{ readonly words: string[]; readonly stdout: string }> {
  await using broker = await listen(answer);
  const ended = await runScript(
    broker,
    `const say = (f) => { try { return f(); } catch (e) { console.log(e.name + ": " + e.message); } };
     const later = async (f) => { try { return await f(); } catch (e) { console.log(e.name + ": " + e.message); } };
     ${calls}`,
    flags,
  );
  assert.equal(ended.code, 0, ended.stderr);
  return { words: broker.words, stdout: ended.stdout };
}

Deno.test("a process connects once, before its first line runs, and asks when it needs: one line of JSON, ids from 1", async () => {
  await using broker = await listen();
  await runScript(broker, `Deno.cwd(); Deno.execPath(); Deno.mainModule; console.log(1);`);
  assert.deepEqual([broker.connections, broker.asked.length], [1, 0]);
  await runScript(broker, `Deno.statSync("/"); Deno.env.get("HOME");`);
  assert.equal(broker.connections, 2);
  const [first, second] = broker.asked.map(({ line }) => JSON.parse(line));
  assert.deepEqual(Object.keys(first), ["v", "pid", "id", "datetime", "permission", "value"]);
  assert.deepEqual([first.v, first.id, second.id], [1, 1, 2]);
  assert.ok(Number.isSafeInteger(first.pid));
});

Deno.test("paths come as written when relative, without dots when absolute, and not followed", async () => {
  const { words } = await requestsOf(`
    Deno.mkdirSync("d"); Deno.chdir("d"); Deno.chdir("..");
    say(() => Deno.readTextFileSync("./x/../y"));
    say(() => Deno.readTextFileSync("/etc/../etc//./hosts"));
    say(() => Deno.readTextFileSync(new URL("file:///etc/host%73")));
    Deno.symlinkSync("/etc/hosts", "link"); say(() => Deno.readTextFileSync("link"));
    Deno.makeTempFileSync();
  `);
  assert.deepEqual(words, [
    "write d",
    "read d",
    "read ..",
    "read ./x/../y",
    "read /etc/hosts",
    "read /etc/hosts",
    "write null",
    "read null",
    "read link",
    "write <TMP>",
  ]);
});

Deno.test("writing covers every change; a rename reads and writes, a copy reads, opening asks for both", async () => {
  const { words } = await requestsOf(
    `
    Deno.writeTextFileSync("/tmp/aasm-x/a", "x", { create: false }) ;
  `.replace("Deno.writeTextFileSync", "say(() => Deno.writeTextFileSync").replace(") ;", "));") + `
    say(() => Deno.removeSync("/tmp/aasm-x/b"));
    say(() => Deno.renameSync("/tmp/aasm-x/c", "/tmp/aasm-x/d"));
    say(() => Deno.copyFileSync("/tmp/aasm-x/e", "/tmp/aasm-x/f"));
    say(() => Deno.openSync("/tmp/aasm-x/g", { read: true, write: true }));
    say(() => Deno.linkSync("/tmp/aasm-x/h", "/tmp/aasm-x/i"));
  `,
  );
  assert.deepEqual(words, [
    "write /tmp/aasm-x/a",
    "write /tmp/aasm-x/b",
    "read /tmp/aasm-x/c",
    "write /tmp/aasm-x/c",
    "write /tmp/aasm-x/d",
    "read /tmp/aasm-x/e",
    "write /tmp/aasm-x/f",
    "read /tmp/aasm-x/g",
    "write /tmp/aasm-x/g",
    "read /tmp/aasm-x/h",
    "write /tmp/aasm-x/h",
    "write /tmp/aasm-x/i",
  ]);
});

Deno.test("hosts come by name with their port, lower case, unresolved; listening looks like connecting", async () => {
  const { words } = await requestsOf(
    `
    await later(() => Deno.connect({ hostname: "LocalHost.", port: 2 }));
    await later(() => Deno.connect({ hostname: "::1", port: 2 }));
    await later(() => Deno.connect({ hostname: "::ffff:127.0.0.1", port: 2 }));
    await later(() => fetch("http://u:p@LOCALHOST:2/path?query#x"));
    await later(() => fetch("http://bücher.invalid:2/"));
    say(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close());
    await later(() => Deno.connect({ transport: "unix", path: "/tmp/aasm-none.sock" }));
    const dns = await import("node:dns"); await later(() => dns.promises.lookup("localhost"));
    `,
  );
  assert.deepEqual(words, [
    "net localhost:2",
    "net [::1]:2",
    "net 127.0.0.1:2",
    "net localhost:2",
    "net xn--bcher-kva.invalid:2",
    "net 127.0.0.1:0",
    "read /tmp/aasm-none.sock",
    "write /tmp/aasm-none.sock",
    "net unix:/tmp/aasm-none.sock",
    "net localhost",
  ]);
});

Deno.test("a redirect is asked about before it is followed", async () => {
  const { words, stdout } = await requestsOf(
    `
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response(null, { status: 302, headers: { location: "http://second.invalid/" } }));
    await later(() => fetch("http://127.0.0.1:" + server.addr.port));
    await server.shutdown();
  `,
    ["-A"],
    (asked) => asked.value === "second.invalid:80" ? deny(asked.id, "no") : allow(asked),
  );
  assert.equal(words.at(-1), "net second.invalid:80");
  assert.equal(stdout, "NotCapable: no\n");
});

Deno.test("variables, system facts and libraries come by name; the whole environment as null", async () => {
  const { words } = await requestsOf(`
    Deno.env.get("HOME"); Deno.env.set("A1", "x"); Deno.env.delete("A1"); Deno.env.toObject();
    Deno.hostname(); Deno.uid(); Deno.loadavg();
    say(() => Deno.dlopen("/nowhere/x.so", {}));
    say(() => Deno.UnsafePointer.of(new Uint8Array(1)));
  `);
  assert.deepEqual(words, [
    "env HOME",
    "env A1",
    "env A1",
    "env null",
    "sys hostname",
    "sys uid",
    "sys loadavg",
    "ffi /nowhere/x.so",
    "ffi null",
  ]);
});

const REFUSE_ALL_AT_ONCE: Answerer = (asked) =>
  asked.value === null ? deny(asked.id, "not all at once") : allow(asked);

Deno.test("a program start asks for every program; refused, for the one as it was named, without arguments", async () => {
  const calls = `
    say(() => new Deno.Command("true", { args: ["a"] }).outputSync());
    say(() => new Deno.Command("/bin/true").outputSync());
  `;
  assert.deepEqual((await requestsOf(calls)).words, ["run null", "run null"]);
  assert.deepEqual((await requestsOf(calls, ["-A"], REFUSE_ALL_AT_ONCE)).words, [
    "run null",
    "run true",
    "run null",
    "run /bin/true",
  ]);
});

Deno.test("with every program refused at once, LD_ variables and signals to others are refused", async () => {
  const { words, stdout } = await requestsOf(
    `
    say(() => new Deno.Command("true", { env: { LD_PRELOAD: "x" } }).outputSync());
    say(() => Deno.kill(1, "SIGURG"));
    say(() => Deno.kill(Deno.pid, "SIGURG"));
  `,
    ["-A"],
    REFUSE_ALL_AT_ONCE,
  );
  assert.deepEqual(words, ["run null", "run null"]);
  assert.match(stdout, /Requires --allow-run permissions to spawn subprocess with LD_PRELOAD/);
  assert.match(stdout, /NotCapable: not all at once/);
});

Deno.test("the program's own modules and cached packages are not asked about; other code is, by file or host", async () => {
  await using broker = await listen();
  await Deno.writeTextFile(join(broker.directory, "fixed.ts"), "export default 1;");
  await Deno.writeTextFile(join(broker.directory, "late.ts"), "export default 2;");
  await Deno.writeTextFile(join(broker.directory, "data.json"), "{}");
  await Deno.writeTextFile(
    join(broker.directory, "later.ts"),
    `import data from "./data.json" with { type: "json" }; export default data;`,
  );
  const ended = await runScript(
    broker,
    `
    import fixed from "./fixed.ts";
    import { parse } from "npm:smol-toml@1.9.1";
    parse("a = 1");
    await import("./late.ts");
    const name = (part) => "./" + part + ".ts";
    await import(name("late") + "?again");
    await import(name("later"));
    await import("https://127.0.0.1:2/" + fixed).catch(() => {});
  `,
  );
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(broker.words, [
    `read ${broker.directory}/late.ts`,
    `read ${broker.directory}/later.ts`,
    `read ${broker.directory}/data.json`,
    "import 127.0.0.1:2",
  ]);
});

Deno.test("known gap: under -A `require` reads without asking; a denial of a path nobody has closes it", async () => {
  const calls = `
    import { createRequire } from "node:module";
    Deno.mkdirSync("x"); Deno.writeTextFileSync("x/secret.json", "{}");
    createRequire(import.meta.url)("./x/secret.json");
  `;
  const script = calls.trim();
  const of = async (flags: readonly string[]) => {
    await using broker = await listen();
    await runScript(broker, script, flags);
    return broker.words.filter((words) => words.startsWith("read "))
      .map((words) => words.replace(broker.directory, ""));
  };
  assert.deepEqual(await of(["-A"]), []);
  assert.deepEqual(await of(["--allow-read"]), []);
  assert.ok((await of(["-A", "--deny-read=/dev/null/aasm"])).includes("read /x/secret.json"));
  assert.ok((await of(["--no-prompt"])).includes("read /x/secret.json"));
});

Deno.test("flags neither widen nor narrow what the broker says, and a query shows flags, not answers", async () => {
  const { words, stdout } = await requestsOf(
    `
    Deno.env.get("HOME"); Deno.statSync("/");
    console.log((await Deno.permissions.query({ name: "env" })).state);
    await Deno.permissions.revoke({ name: "read" }); Deno.statSync("/");
  `,
    ["--no-prompt", "--deny-env", "--deny-read=/"],
  );
  assert.deepEqual(words, ["env HOME", "read /", "read /"]);
  assert.equal(stdout, "denied\n");
});

Deno.test("memory, devices and the kernel's files are refused by Deno even when the broker allows", async () => {
  const { words, stdout } = await requestsOf(`
    say(() => Deno.openSync("/proc/self/mem"));
    say(() => Deno.readDirSync("/sys/kernel").next());
    Deno.openSync("/dev/null").close();
  `);
  assert.equal(words[0], "read /proc/self/mem");
  assert.equal(stdout.match(/Requires all access/g)?.length, 2);
});

Deno.test("workers share the process's connection, one request at a time; a worker's own limits are gone", async () => {
  await using broker = await listen(async (asked) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return await allow(asked);
  });
  const ended = await runScript(
    broker,
    `
    const work = (at) => new Promise((done) => {
      const worker = new Worker("data:text/javascript," + encodeURIComponent(
        "for (let i = 0; i < 3; i++) try { Deno.statSync('/worker') } catch {} postMessage(1)"),
        { type: "module", deno: { permissions: "none" } });
      worker.onmessage = () => { worker.terminate(); done(); };
    });
    const both = Promise.all([work(1), work(2)]);
    for (let i = 0; i < 3; i++) Deno.statSync("/");
    await both;
  `,
    ["-A", "--unstable-worker-options"],
  );
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(broker.connections, 1);
  assert.deepEqual(broker.asked.map(({ id }) => id), broker.asked.map((_, at) => at + 1));
  assert.equal(broker.words.filter((words) => words === "read /worker").length, 6);
});

Deno.test("a child Deno inherits the broker on a connection of its own; one without the variable does not", async () => {
  await using broker = await listen();
  const ended = await runScript(
    broker,
    `
    const child = (path, options) => new Deno.Command(Deno.execPath(),
      { args: ["eval", "try { Deno.statSync('" + path + "') } catch {}"], ...options }).outputSync();
    child("/inherited");
    child("/cleared", { clearEnv: true });
  `,
  );
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(broker.words, ["run null", "read /inherited", "run null"]);
  assert.deepEqual(broker.asked.map(({ connection }) => connection), [1, 2, 1]);
});

Deno.test("an answer is waited for before the call returns, whatever else the program has to do", async () => {
  await using broker = await listen(async (asked) => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    return await allow(asked);
  });
  const ended = await runScript(
    broker,
    `
    const from = performance.now();
    const pending = Deno.stat("/");
    console.log(performance.now() - from > 100);
    await pending;
  `,
  );
  assert.equal(ended.stdout, "true\n", ended.stderr);
});

Deno.test("an answer that is none ends the process with code 87", async () => {
  const wrong: Readonly<Record<string, Answerer>> = {
    "not JSON": () => "nonsense\n",
    "empty": () => "\n",
    "another id": ({ id }) => `{"id":${id + 1},"result":"allow"}\n`,
    "an id of text": ({ id }) => `{"id":"${id}","result":"allow"}\n`,
    "an unknown result": ({ id }) => `{"id":${id},"result":"maybe"}\n`,
    "closed": () => "",
  };
  for (const [name, answer] of Object.entries(wrong)) {
    await using broker = await listen(answer);
    const ended = await runScript(
      broker,
      `try { Deno.statSync("/") } catch {} console.log("went on");`,
    );
    assert.deepEqual([ended.code, ended.stdout], [87, ""], name);
  }
});

Deno.test("a denial's reason is the exception's message as it is; without one Deno says its own", async () => {
  const reason = `two\nlines \u001b[31m${"x".repeat(10_000)}`;
  const answers: Answerer[] = [
    ({ id }) => deny(id, reason),
    ({ id }) => `{"id":${id},"result":"deny"}\n`,
  ];
  const said: string[] = [];
  for (const answer of answers) {
    await using broker = await listen(answer);
    const ended = await runScript(
      broker,
      `try { Deno.statSync("/x") } catch (e) { console.log(JSON.stringify(e.message)) }`,
    );
    said.push(JSON.parse(ended.stdout));
  }
  assert.deepEqual(said, [
    reason,
    'Requires read access to "/x", run again with the --allow-read flag',
  ]);
});

Deno.test("known gap: code in the process can write on the broker's connection and be answered in its place", async () => {
  await using broker = await listen((asked) =>
    asked.value === "/etc/hosts" ? deny(asked.id, "no") : allow(asked)
  );
  const ended = await runScript(
    broker,
    `
    import net from "node:net";
    try { Deno.readTextFileSync("/etc/hosts"); } catch (e) { console.log(e.message); }
    for (let fd = 3; fd < 32; fd++) {
      try {
        const socket = new net.Socket({ fd, readable: false });
        socket.on("error", () => {});
        socket.write(JSON.stringify({ v: 1, pid: Deno.pid, id: 2, permission: "read", value: "/" }) + "\\n");
      } catch {}
    }
    await new Promise((done) => setTimeout(done, 300));
    console.log(Deno.readTextFileSync("/etc/hosts").length > 0);
    Deno.exit(0);
  `,
  );
  const lines = ended.stdout.split("\n");
  assert.equal(lines[0], "no");
  assert.ok(lines.includes("true"), "Deno took the answer to a forged question for its own");
  assert.deepEqual(broker.asked.map(({ id }) => id).slice(0, 2), [1, 2]);
});

Deno.test("known gap: the host that a proxy variable names is not asked about, only the one behind it", async () => {
  const { words, stdout } = await requestsOf(
    `
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => new Response(request.url));
    Deno.env.set("HTTP_PROXY", "http://localhost:" + server.addr.port);
    console.log(await (await fetch("http://allowed.invalid/x")).text());
    await server.shutdown();
  `,
  );
  assert.equal(stdout, "http://allowed.invalid/x\n", "the proxy got the request");
  assert.deepEqual(words, ["net 127.0.0.1:0", "env HTTP_PROXY", "net allowed.invalid:80"]);
});
