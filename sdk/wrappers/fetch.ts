/**
 * `fetch` that is asked about before each connection, redirects included.
 *
 * @module
 */
import { InvalidActError } from "../errors.ts";
import type { CheckOptions, GovernedAgent } from "../governed_agent.ts";
import { SDK_LIMITS } from "../limits.ts";

/** Options of {@linkcode wrapFetch}. */
export interface WrapFetchOptions {
  /** What does the fetching. @default the runtime's own */
  readonly fetch?: typeof fetch;
  /** Names the operation of each fetch. @default the agent's own operation */
  readonly operation?: NonNullable<CheckOptions["operation"]>;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What a page of another origin must not get with a redirect (Fetch Standard, "HTTP-redirect fetch"). */
const OWN_HEADERS = ["authorization", "cookie", "proxy-authorization"] as const;

/**
 * A `fetch` for the agent. Redirects are followed here, one question each, because the runtime would
 * follow them unasked. Where the runtime hides where a redirect leads (browsers), it is an error.
 *
 * Policy judges host, port and protocol; a body is judged when it goes through a governed tool.
 */
export function wrapFetch(agent: GovernedAgent, options: WrapFetchOptions = {}): typeof fetch {
  const inner = options.fetch ?? globalThis.fetch.bind(globalThis);
  const asked = options.operation === undefined ? {} : { operation: options.operation };
  const governed = async (
    input: RequestInfo | URL,
    init?: RequestInit,
  ): Promise<Response> => {
    // One object with everything in it, read once: what is asked about is what is fetched.
    let request = new Request(input, init);
    const { redirect } = request;
    for (let hops = 0;; hops++) {
      await ask(agent, request, { ...asked, signal: request.signal });
      const has_body = request.body !== null;
      const response = await inner(new Request(request, { redirect: "manual" }));
      if (redirect === "manual") return response;
      if (response.type === "opaqueredirect" || REDIRECTS.has(response.status)) {
        if (redirect === "error") throw new TypeError("the server redirects, which was not wanted");
        if (hops >= SDK_LIMITS.fetch_redirects) {
          throw new TypeError(`more than ${SDK_LIMITS.fetch_redirects} redirects`);
        }
        const next = follow(request, response, has_body);
        if (next === undefined) return response;
        await response.body?.cancel();
        request = next;
        continue;
      }
      return response;
    }
  };
  return governed;
}

async function ask(
  agent: GovernedAgent,
  { url }: Request,
  options: CheckOptions,
): Promise<void> {
  const { protocol, hostname, port } = new URL(url);
  // What is in the address itself, or in this process, opens nothing.
  if (protocol === "data:" || protocol === "blob:") return;
  if (protocol !== "http:" && protocol !== "https:") {
    throw new InvalidActError(
      `\`${protocol}\` is not fetched: expected \`http:\` or \`https:\`; for files use \`wrapDenoFiles\``,
    );
  }
  await agent.check({
    kind: "network",
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    protocol: protocol.slice(0, -1),
  }, options);
}

/** The request of the next hop; `undefined` when the answer leads nowhere and is the result itself. */
function follow(request: Request, response: Response, has_body: boolean): Request | undefined {
  const location = response.headers.get("location");
  if (location === null) {
    if (response.type !== "opaqueredirect") return undefined;
    throw new TypeError(
      "the server redirects, and this runtime does not say where to: ask for the final address",
    );
  }
  const url = new URL(location, request.url);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`a redirect to \`${url.protocol}\` is not followed`);
  }
  const { status } = response;
  const as_get = status === 303 && request.method !== "HEAD" ||
    (status === 301 || status === 302) && request.method === "POST";
  if (!as_get && has_body) {
    throw new TypeError(
      `the server wants the body again at another address (HTTP ${status}): send it there yourself`,
    );
  }
  const headers = new Headers(request.headers);
  if (url.origin !== new URL(request.url).origin) {
    for (const name of OWN_HEADERS) headers.delete(name);
  }
  if (as_get) {
    for (const name of [...headers.keys()]) {
      if (name.startsWith("content-")) headers.delete(name);
    }
  }
  return new Request(url, {
    method: as_get ? "GET" : request.method,
    headers,
    redirect: "follow",
    signal: request.signal,
  });
}
