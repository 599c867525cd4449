/**
 * The browser build: what it may reach, and that it governs in a real browser.
 *
 * @module
 */
import assert from "node:assert/strict";
import { GITHUB_PAT, governedWorld, POLICY } from "./governed_world.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const CHROMIUM = "/usr/bin/chromium";

interface Graph {
  readonly modules: readonly { readonly specifier: string; readonly local?: string }[];
}

async function run(args: readonly string[]): Promise<string> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Comments and texts in quotes do not run. */
function code(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")
    .replace(/`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"/g, '""');
}

Deno.test("trap C3: the browser build has a real surface, which decides, scans and refuses", async () => {
  const surface: Record<string, unknown> = { ...await import("../../sdk/browser.ts") };
  const functions = Object.keys(surface).filter((name) => typeof surface[name] === "function");
  for (const name of ["governWith", "localPolicy", "preflightScan", "withAssembly", "wrapFetch"]) {
    assert.ok(functions.includes(name), `\`${name}\` is not exported`);
  }
  const { governWith, localPolicy } = await import("../../sdk/browser.ts");
  const source = "tools:\n  '*': { allow: false }\n  search: { allow: true }\n";
  const client = localPolicy([{ file: "page.yaml", source }], { agent_id: "page" });
  const agent = governWith({ agent: { agent_id: "page" }, client });
  const allowed = await agent.decide({ kind: "tool_call", tool: "search", args: {} });
  const refused = await agent.decide({ kind: "tool_call", tool: "deploy", args: {} });
  assert.deepEqual([allowed.allowed, refused.allowed], [true, false]);
  assert.deepEqual(agent.preflight(GITHUB_PAT).map(({ kind }) => kind), ["GitHubPat"]);
});

Deno.test("the browser build reaches no Node built-in and no Deno namespace", async () => {
  const graph: Graph = JSON.parse(await run(["info", "--json", "sdk/browser.ts"]));
  const ours = graph.modules.filter(({ specifier }) => specifier.startsWith(`file://${ROOT}`));
  assert.ok(ours.length > 50, `only ${ours.length} modules were found`);
  assert.ok(ours.some(({ specifier }) => specifier.endsWith("/core/policy/decide.ts")));
  assert.ok(ours.some(({ specifier }) => specifier.endsWith("/core/scanner/scanner.ts")));
  const built_in = graph.modules.filter(({ specifier }) => specifier.startsWith("node:"));
  assert.deepEqual(built_in, []);
  const others = /^(grpc|gateway|runtime|storage|cli)\//;
  const other = ours.map(({ specifier }) => specifier.slice(`file://${ROOT}`.length))
    .filter((path) => others.test(path));
  assert.deepEqual(other, []);
  for (const { specifier } of ours) {
    const source = code(await Deno.readTextFile(new URL(specifier)));
    assert.doesNotMatch(source, /\bDeno\s*\.|\bprocess\s*\.|\bBuffer\s*\./, specifier);
  }
});

async function bundle(directory: string): Promise<string> {
  const file = `${directory}/page.js`;
  await run([
    "bundle",
    "--platform",
    "browser",
    "--minify",
    "-o",
    file,
    "tests/sdk/browser_page.ts",
  ]);
  return await Deno.readTextFile(file);
}

async function hasChromium(): Promise<boolean> {
  return await Deno.stat(CHROMIUM).then(() => true, () => false);
}

/** Opens a page until it has posted its result. */
async function openPage(url: string, directory: string, result: Promise<string>): Promise<string> {
  const browser = new Deno.Command(CHROMIUM, {
    args: [
      ...["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
      ...["--no-first-run", "--disable-background-networking", "--disable-component-update"],
      `--user-data-dir=${directory}/profile`,
      "--remote-debugging-port=0",
      url,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("the page posted nothing in 90 s")), 90_000);
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
    browser.kill("SIGKILL");
    await browser.status;
  }
}

Deno.test("in headless Chromium a page is governed by a real gateway and by a policy of its own", async () => {
  if (!await hasChromium()) {
    // deno-lint-ignore no-console
    console.log(`SKIPPED: the SDK in headless Chromium: no ${CHROMIUM}`);
    return;
  }
  const directory = await Deno.makeTempDir();
  const { promise, resolve } = Promise.withResolvers<string>();
  const settings: Record<string, string> = { policy: POLICY, secret: GITHUB_PAT };
  const script = await bundle(directory);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      switch (new URL(request.url).pathname) {
        case "/":
          return new Response('<!doctype html><script type="module" src="/page.js"></script>', {
            headers: { "content-type": "text/html" },
          });
        case "/page.js":
          return new Response(script, { headers: { "content-type": "text/javascript" } });
        case "/settings":
          return Response.json(settings);
        case "/result":
          resolve(await request.text());
          return new Response("ok");
        default:
          return new Response(null, { status: 404 });
      }
    },
  );
  const page = `http://127.0.0.1:${server.addr.port}`;
  try {
    await using world = await governedWorld(["--web-origin", page]);
    settings["web_url"] = world.web_url;
    const result = JSON.parse(await openPage(page, directory, promise));
    assert.equal(result.error, undefined, result.stack);
    assert.equal(result.allowed, "found weather");
    assert.match(result.denied, /^tool `deploy` was refused: tool denied by policy \(rule `tools/);
    assert.deepEqual(result.redacted, [{ token: "[REDACTED:GitHubPat]" }]);
    assert.equal(result.delivered, true);
    assert.match(result.locally, /^tool `deploy` was refused: tool denied by policy.*page\.yaml:/);
    assert.equal(result.locally_allowed, true);
    assert.ok(result.kinds.includes("GitHubPat"));
    assert.deepEqual([result.deno, result.process], [false, false]);
  } finally {
    await server.shutdown();
    await Deno.remove(directory, { recursive: true }).catch(() => {});
  }
});
