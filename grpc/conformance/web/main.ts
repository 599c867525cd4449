/**
 * Browsers and the clients written for them against the web handler: `@connectrpc/connect-web`
 * (Connect in JSON and bytes, by POST and GET; gRPC-Web) and the `grpc-web` package (text and
 * binary), each under Node and in a headless Chromium whose page comes from another origin, over
 * plain HTTP/1.1 and over TLS, where the browser chooses HTTP/2. Then pages that may not call: one
 * of a foreign origin, and one whose own name was made to resolve to the server.
 *
 * Needs Node 20 with npm and Chromium (Debian: `nodejs`, `npm`, `chromium`). The packages are
 * pinned by `peer_package_lock.json`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Echo } from "../../gen/echo_pb.ts";
import { createWebHandler, GrpcServer, serveWeb, type WebOptions } from "../../mod.ts";
import { runCaseProgram } from "../case_program.ts";
import { buildOnce, cacheOf, conclude, isInstalled, progress, runToEnd } from "../peer_process.ts";
import { Report } from "../report.ts";
import { withPage } from "./browser.ts";
import { HANDLERS } from "./service.ts";

const HERE = new URL(".", import.meta.url).pathname;
const TESTDATA = new URL("../../testdata/", import.meta.url).pathname;
const RUN_TIMEOUT_MS = 120_000;
const HOST = "127.0.0.1";
const PAGE = '<!doctype html><script type="module" src="/page.js"></script>';

/** What a page reports of one case. */
interface PageResult {
  readonly case: string;
  readonly ok: boolean;
  readonly ms?: number;
  readonly reason?: string;
}

async function main(): Promise<Report> {
  const report = new Report();
  for (const [program, name] of [["npm", "npm"], ["chromium", "chromium"]] as const) {
    if (await isInstalled(program, ["--version"])) continue;
    report.fail(program, "preparation", `no \`${program}\`: install the package \`${name}\``);
    return report;
  }
  const bundles = await bundle();
  const suite = await Suite.start(bundles);
  try {
    const { text } = await runToEnd("node", [bundles.node, "list"]);
    await suite.run(report, text.trim().split("\n"));
  } finally {
    await suite.stop();
  }
  return report;
}

/** Installs the packages and bundles the cases for Node and for a page. */
async function bundle(): Promise<{ node: string; page: string }> {
  const folder = cacheOf("web");
  const manifest = Deno.readTextFileSync(`${HERE}peer_package.json`);
  const lock = Deno.readTextFileSync(`${HERE}peer_package_lock.json`);
  await buildOnce(folder, "packages", [manifest, lock], async () => {
    await Deno.writeTextFile(`${folder}/package.json`, manifest);
    await Deno.writeTextFile(`${folder}/package-lock.json`, lock);
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    return await runToEnd("npm", args, { cwd: folder });
  });
  const targets = { node: `${folder}/node.cjs`, page: `${folder}/page.js` };
  for (const [name, target] of Object.entries(targets)) {
    const platform = name === "node" ? "node" : "browser";
    const { success, text } = await runToEnd(`${folder}/node_modules/.bin/esbuild`, [
      `${HERE}client/${name}.cjs`,
      "--bundle",
      `--format=${name === "node" ? "cjs" : "iife"}`,
      `--platform=${platform}`,
      "--log-level=warning",
      `--outfile=${target}`,
    ], { env: { NODE_PATH: `${folder}/node_modules` } });
    if (!success) throw new Error(`bundling ${name} failed: ${text}`);
  }
  return targets;
}

/** Servers, pages and where they are. */
class Suite {
  readonly #server: GrpcServer;
  readonly #bundles: { node: string; page: string };
  readonly #pages: readonly Deno.HttpServer<Deno.NetAddr>[];
  readonly #plain: Deno.HttpServer<Deno.NetAddr>;
  readonly #tls_port: number;
  #onReport: ((results: PageResult[]) => void) | undefined;

  private constructor(bundles: { node: string; page: string }, page_script: string) {
    this.#bundles = bundles;
    const serve = (handler: Deno.ServeHandler<Deno.NetAddr>) =>
      Deno.serve({ hostname: HOST, port: 0, onListen: () => {} }, handler);
    this.#pages = [1, 2].map(() => serve((request) => this.#onPage(request, page_script)));
    const options: WebOptions = {
      allowed_origins: [this.#pageOrigin(0)],
      allowed_request_headers: ["x-ask"],
    };
    this.#server = new GrpcServer();
    this.#server.addService(Echo, HANDLERS);
    const handler = createWebHandler(this.#server, options);
    // Pages of the server's own address too: the rebound one has to come from its port.
    this.#plain = serve(async (request, info) =>
      /^\/(?:page\.js)?$/.test(new URL(request.url).pathname)
        ? await this.#onPage(request, page_script)
        : await handler(request, info)
    );
    const [cert, key] = ["server.pem", "server.key"].map((name) =>
      Deno.readTextFileSync(`${TESTDATA}${name}`)
    );
    assert.ok(cert !== undefined && key !== undefined);
    const tls = serveWeb(this.#server, { hostname: HOST, port: 0, cert, key, ...options });
    this.#tls_port = tls.port ?? 0;
  }

  static async start(bundles: { node: string; page: string }): Promise<Suite> {
    return new Suite(bundles, await Deno.readTextFile(bundles.page));
  }

  async stop(): Promise<void> {
    await this.#server.shutdown({ grace_ms: 1000 });
    await Promise.all([this.#plain, ...this.#pages].map((each) => each.shutdown()));
  }

  async run(report: Report, names: readonly string[]): Promise<void> {
    const plain = `http://${HOST}:${this.#plain.addr.port}`;
    const tls = `https://localhost:${this.#tls_port}`;
    for (const [peer, base] of [["node", plain], ["node tls", tls]] as const) {
      progress(`the clients under ${peer}`);
      const env = { NODE_EXTRA_CA_CERTS: `${TESTDATA}authority.pem` };
      const program = { command: "node", env };
      const args = [this.#bundles.node, "run", base];
      await runCaseProgram(report, peer, names, RUN_TIMEOUT_MS, program, args);
    }
    for (const [peer, base] of [["chromium", plain], ["chromium tls", tls]] as const) {
      await this.#runPage(report, peer, this.#pageOrigin(0), "allowed", base, names);
    }
    await this.#runForbidden(report, plain);
  }

  /** Pages that may not call; afterwards no call was made. */
  async #runForbidden(report: Report, plain: string): Promise<void> {
    const before = this.#server.stats.calls_started;
    await this.#runPage(report, "chromium", this.#pageOrigin(1), "foreign", plain, []);
    const rebound = `http://rebound.example:${this.#plain.addr.port}`;
    await this.#runPage(report, "chromium", rebound, "rebound", plain, []);
    await report.run("chromium", "no call of a forbidden page reached a handler", 1000, () => {
      const { calls_started, refused } = this.#server.stats;
      assert.equal(calls_started, before);
      assert.ok((refused.web_origin ?? 0) >= 6, `${refused.web_origin} refused by origin`);
      assert.ok((refused.web_host ?? 0) >= 2, `${refused.web_host} refused by host`);
      return Promise.resolve();
    });
  }

  /** @param names cases that must be among the reported ones */
  async #runPage(
    report: Report,
    peer: string,
    origin: string,
    mode: string,
    base: string,
    names: readonly string[],
  ): Promise<void> {
    progress(`a page of ${origin} (${mode}) in ${peer}`);
    const query = new URLSearchParams({ mode, base, report: `${this.#pageOrigin(0)}/report` });
    const reported = new Promise<PageResult[]>((resolve) => this.#onReport = resolve);
    let results: PageResult[];
    try {
      results = await withPage(`${origin}/?${query}`, reported, RUN_TIMEOUT_MS);
    } catch (reason) {
      return report.fail(peer, `a page (${mode})`, reason);
    }
    for (const { case: name, ok, ms, reason } of results) {
      if (ok) report.pass(peer, name, ms ?? 0);
      else report.fail(peer, name, reason ?? "no reason given");
    }
    for (const name of names) {
      if (!report.has(peer, name)) report.fail(peer, name, "the page said nothing of it");
    }
  }

  #pageOrigin(at: number): string {
    return `http://${HOST}:${this.#pages[at]?.addr.port}`;
  }

  async #onPage(request: Request, script: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/report" && request.method === "POST") {
      this.#onReport?.(JSON.parse(await request.text()));
      return new Response(null, { status: 204 });
    }
    const [type, body] = pathname === "/page.js"
      ? ["text/javascript", script]
      : ["text/html; charset=utf-8", PAGE];
    return new Response(body, { headers: { "content-type": type } });
  }
}

conclude(await main());
