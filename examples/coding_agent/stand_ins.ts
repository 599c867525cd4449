/**
 * Local servers that stand in for the internet. Each keeps what it received: the proof that a
 * denied request never left is its absence here.
 *
 * @module
 */

/** One request as a server saw it. */
export interface Received {
  readonly server: "inside" | "outside" | "model";
  /** Number of the step that sent it. */
  readonly step: number;
  readonly method: string;
  /** Name the request was meant for. */
  readonly host: string;
  readonly path: string;
  readonly body: string;
}

/** The running servers. */
export interface StandIns {
  /** Everything received so far, in order. */
  readonly received: readonly Received[];
  /** Sends a request to whatever stands in for the URL's host, as `fetch` would to the host itself. */
  request(step: number, method: string, url: string, body?: string): Promise<string>;
  /** Asks the stand-in for a model, OpenAI's chat-completions shape. */
  complete(step: number, model: string, prompt: string): Promise<string>;
  stop(): Promise<void>;
}

/** Header that carries the step; the agent is a script, so its requests can be told apart. */
const STEP_HEADER = "x-demo-step";
/** Header that carries the name a request was meant for: there is no DNS here. */
const HOST_HEADER = "x-demo-host";

const PAGES: Readonly<Record<string, string>> = {
  "packages.example.com": '{"name":"decimal","latest":"2.1.0"}',
  "api.git.example": '{"branch":"fix-rounding","ahead":0}',
};

/**
 * Starts three servers on loopback: one answers for the known names, one for every other name in
 * the world, one for the model.
 *
 * @param answerOf What the model says to a prompt.
 */
export function startStandIns(answerOf: (prompt: string) => string): StandIns {
  const received: Received[] = [];
  const record = async (server: Received["server"], request: Request): Promise<Received> => {
    const entry: Received = {
      server,
      step: Number(request.headers.get(STEP_HEADER)),
      method: request.method,
      host: request.headers.get(HOST_HEADER) ?? "",
      path: new URL(request.url).pathname,
      body: await request.text(),
    };
    received.push(entry);
    return entry;
  };
  const inside = serve(async (request) => {
    const { host } = await record("inside", request);
    return new Response(PAGES[host] ?? "{}");
  });
  const outside = serve(async (request) => {
    await record("outside", request);
    return new Response("thank you");
  });
  const model = serve(async (request) => {
    const { body } = await record("model", request);
    return Response.json(completion(body, answerOf));
  });
  const send = async (origin: string, step: number, host: string, init: RequestInit) => {
    const headers = { [STEP_HEADER]: String(step), [HOST_HEADER]: host };
    const response = await fetch(origin, { ...init, headers });
    return await response.text();
  };
  return {
    received,
    async request(step, method, url, body) {
      const { hostname, pathname } = new URL(url);
      // A final dot names the same host (RFC 1034 §3.1).
      const host = hostname.replace(/\.$/, "");
      const server = Object.hasOwn(PAGES, host) ? inside : outside;
      const init = { method, ...(body === undefined ? {} : { body }) };
      return await send(`${originOf(server)}${pathname}`, step, host, init);
    },
    async complete(step, name, prompt) {
      const body = JSON.stringify({ model: name, messages: [{ role: "user", content: prompt }] });
      const url = `${originOf(model)}/v1/chat/completions`;
      return messageOf(await send(url, step, "model", { method: "POST", body }));
    },
    async stop() {
      await Promise.all([inside, outside, model].map((server) => server.shutdown()));
    },
  };
}

type Server = Deno.HttpServer<Deno.NetAddr>;

function serve(handler: (request: Request) => Promise<Response>): Server {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${server.addr.port}`;
}

interface ChatRequest {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

interface ChatCompletion {
  readonly object: "chat.completion";
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly finish_reason: "stop";
    readonly message: { readonly role: "assistant"; readonly content: string };
  }[];
}

function completion(body: string, answerOf: (prompt: string) => string): ChatCompletion {
  const request: ChatRequest = JSON.parse(body);
  const content = answerOf(request.messages.at(-1)?.content ?? "");
  return {
    object: "chat.completion",
    model: request.model,
    choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content } }],
  };
}

function messageOf(body: string): string {
  const answer: ChatCompletion = JSON.parse(body);
  return answer.choices[0]?.message.content ?? "";
}
