// What every client library is asked to do; runs under Node and in a browser.
// CommonJS, because its packages live in the suite's cache, where Deno does not look for imports.
"use strict";

const { create, fromBinary, toBinary } = require("@bufbuild/protobuf");
const { Code, ConnectError, createClient } = require("@connectrpc/connect");
const { createConnectTransport, createGrpcWebTransport } = require("@connectrpc/connect-web");
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");
const { Echo, EchoMessageSchema } = require("../../../gen/echo_pb.ts");

const PAYLOAD_BYTES = 1024 * 1024;

function check(holds, what) {
  if (!holds) throw new Error(what);
}

async function failure(call) {
  try {
    await call;
  } catch (reason) {
    return reason;
  }
  throw new Error("the call went well and should not have");
}

/** Cases of Connect's own clients, one list for all of its transports. */
const CONNECT_CASES = {
  unary: async ({ client }) => {
    const answer = await client.unary({ text: "ä", count: -1 });
    check(answer.text === "ä" && answer.count === -1, `got ${JSON.stringify(answer)}`);
  },
  "a megabyte both ways": async ({ client }) => {
    const payload = new Uint8Array(PAYLOAD_BYTES).fill(7);
    const answer = await client.unary({ payload });
    check(answer.payload.length === PAYLOAD_BYTES && answer.payload[9] === 7, "another payload");
  },
  "server stream": async ({ client }) => {
    const counts = [];
    for await (const { count } of client.expand({ count: 500 })) counts.push(count);
    check(counts.length === 500 && counts.every((count, at) => count === at), "other messages");
  },
  "error with details": async ({ client }) => {
    const error = ConnectError.from(await failure(client.unary({ text: "fail" })));
    check(error.code === Code.FailedPrecondition, `code ${error.code}`);
    check(error.rawMessage === "not ä now", `message ${error.rawMessage}`);
    const [detail] = error.findDetails(EchoMessageSchema);
    check(detail?.text === "detail", "no detail");
    check(error.metadata.get("x-tail") === "of the error", "no metadata");
  },
  "error after messages": async ({ client }) => {
    let seen = 0;
    const stream = async () => {
      for await (const _ of client.expand({ count: 3, text: "fail" })) seen++;
    };
    const error = ConnectError.from(await failure(stream()));
    check(error.code === Code.FailedPrecondition && seen === 3, `code ${error.code} after ${seen}`);
  },
  "metadata both ways": async ({ client }) => {
    let header;
    let trailer;
    await client.unary({ text: "metadata" }, {
      headers: { "x-ask": "asked" },
      onHeader: (headers) => header = headers.get("x-answer"),
      onTrailer: (trailers) => trailer = trailers.get("x-tail-bin"),
    });
    check(header === "asked", `header ${header}`);
    check(trailer === "AQID", `trailer ${trailer}`);
  },
  "unknown method": async ({ client }) => {
    const error = ConnectError.from(await failure(client.absent({})));
    check(error.code === Code.Unimplemented, `code ${error.code}`);
  },
  deadline: async ({ client }) => {
    const error = ConnectError.from(
      await failure(client.unary({ text: "wait" }, { timeoutMs: 50 })),
    );
    check(error.code === Code.DeadlineExceeded, `code ${error.code}`);
  },
  "cancelled stream": async ({ client }) => {
    const gone = new AbortController();
    const stream = async () => {
      for await (const _ of client.expand({ text: "hang" }, { signal: gone.signal })) gone.abort();
    };
    const error = ConnectError.from(await failure(stream()));
    check(error.code === Code.Canceled, `code ${error.code}`);
  },
};

const TRANSPORTS = {
  "connect json": (baseUrl) => createConnectTransport({ baseUrl }),
  "connect proto": (baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "grpc-web proto": (baseUrl) => createGrpcWebTransport({ baseUrl }),
  "grpc-web json": (baseUrl) => createGrpcWebTransport({ baseUrl, useBinaryFormat: false }),
};

async function connectGet(base) {
  const methods = [];
  const transport = createConnectTransport({
    baseUrl: base,
    useHttpGet: true,
    fetch: (input, init) => {
      methods.push(init?.method);
      return fetch(input, init);
    },
  });
  const answer = await createClient(Echo, transport).look({ text: "a&b/ä" });
  check(answer.text === "a&b/ä", `got ${answer.text}`);
  check(methods[0] === "GET", `sent by ${methods}`);
}

// The grpc-web package

const serialize = (message) => toBinary(EchoMessageSchema, message);
const deserialize = (bytes) => fromBinary(EchoMessageSchema, bytes);

function descriptorOf(name, type) {
  const path = `/grpc.test.v1.Echo/${name}`;
  return new MethodDescriptor(path, type, Object, Object, serialize, deserialize);
}

function googleUnary(base, format, init, metadata = {}) {
  const client = new GrpcWebClientBase({ format });
  const descriptor = descriptorOf("Unary", MethodType.UNARY);
  const request = create(EchoMessageSchema, init);
  return client.unaryCall(`${base}/grpc.test.v1.Echo/Unary`, request, metadata, descriptor);
}

const GOOGLE_CASES = {
  unary: async (base, format) => {
    const answer = await googleUnary(base, format, { text: "ä", count: 3 });
    check(answer.text === "ä" && answer.count === 3, `got ${JSON.stringify(answer)}`);
  },
  "error with details": async (base, format) => {
    const error = await failure(googleUnary(base, format, { text: "fail" }));
    check(error.code === 9, `code ${error.code}`);
    check(error.message === "not ä now", `message ${error.message}`);
    check(typeof error.metadata["grpc-status-details-bin"] === "string", "no details");
  },
  deadline: async (base, format) => {
    const soon = { deadline: String(Date.now() + 100) };
    const error = await failure(googleUnary(base, format, { text: "wait" }, soon));
    check(error.code === 4, `code ${error.code}`);
  },
};

/** The package streams in its text format only. */
function googleStream(base) {
  const client = new GrpcWebClientBase({ format: "text" });
  const descriptor = descriptorOf("Expand", MethodType.SERVER_STREAMING);
  const request = create(EchoMessageSchema, { count: 100 });
  return new Promise((resolve, reject) => {
    const counts = [];
    const url = `${base}/grpc.test.v1.Echo/Expand`;
    const stream = client.serverStreaming(url, request, {}, descriptor);
    stream.on("data", (message) => counts.push(message.count));
    stream.on("error", reject);
    stream.on("end", () => {
      const right = counts.length === 100 && counts.every((count, at) => count === at);
      if (right) resolve();
      else reject(new Error(`messages ${counts.join()}`));
    });
  });
}

/** Every case as name and function, against the server at a URL. */
function casesOf(base) {
  const cases = [];
  for (const [name, transportOf] of Object.entries(TRANSPORTS)) {
    const client = createClient(Echo, transportOf(base));
    for (const [what, run] of Object.entries(CONNECT_CASES)) {
      cases.push([`${name}: ${what}`, () => run({ client })]);
    }
  }
  cases.push(["connect get", () => connectGet(base)]);
  for (const format of ["text", "binary"]) {
    for (const [what, run] of Object.entries(GOOGLE_CASES)) {
      cases.push([`grpc-web package, ${format}: ${what}`, () => run(base, format)]);
    }
  }
  cases.push(["grpc-web package, text: server stream", () => googleStream(base)]);
  return cases;
}

/** What a page whose origin is not allowed tries: nothing of it may reach a handler. */
function foreignCases(base) {
  const path = `${base}/grpc.test.v1.Echo`;
  const refused = async (call) => {
    const reason = await failure(call);
    check(reason instanceof TypeError, `refused by ${reason}`);
  };
  const post = (type, mode) =>
    fetch(`${path}/Unary`, { method: "POST", mode, headers: { "content-type": type }, body: "{}" });
  return [
    ["foreign page: connect", async () => {
      const client = createClient(Echo, createConnectTransport({ baseUrl: base }));
      await failure(client.unary({}));
    }],
    ["foreign page: grpc-web", async () => {
      const client = createClient(Echo, createGrpcWebTransport({ baseUrl: base }));
      await failure(client.unary({}));
    }],
    ["foreign page: fetch that asks beforehand", () => refused(post("application/json", "cors"))],
    ["foreign page: fetch that does not ask", async () => {
      const response = await post("text/plain", "no-cors");
      check(response.type === "opaque", `a page read a ${response.type} response`);
    }],
    [
      "foreign page: GET that can be read",
      () => refused(fetch(`${path}/Look?encoding=json&message=%7B%7D`)),
    ],
    ["foreign page: GET as an image", () =>
      new Promise((resolve, reject) => {
        const image = new Image();
        image.onerror = resolve;
        image.onload = () => reject(new Error("it loaded"));
        image.src = `${path}/Look?encoding=json&message=%7B%7D`;
      })],
  ];
}

/** What a page tries whose own name was made to resolve to the server: to it, this is its origin. */
function reboundCases() {
  const path = "/grpc.test.v1.Echo";
  const expect421 = (response) => check(response.status === 421, `HTTP ${response.status}`);
  return [
    [
      "rebound page: GET of its own origin",
      async () => expect421(await fetch(`${path}/Look?encoding=json&message=%7B%7D`)),
    ],
    ["rebound page: POST to its own origin", async () =>
      expect421(
        await fetch(`${path}/Unary`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: "{}",
        }),
      )],
  ];
}

/** Runs cases in order; each result as one object. */
async function* runCases(cases) {
  for (const [name, run] of cases) {
    const started_ms = performance.now();
    let timer;
    const timeout = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("not done within 10 s")), 10_000);
    });
    try {
      await Promise.race([run(), timeout]);
      yield { case: name, ok: true, ms: performance.now() - started_ms };
    } catch (reason) {
      const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
      yield { case: name, ok: false, reason: text };
    } finally {
      clearTimeout(timer);
    }
  }
}

module.exports = { casesOf, foreignCases, reboundCases, runCases };
