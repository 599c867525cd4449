// The grpc-js peer of grpc_bench.ts, on Node and on Deno: `grpc_js.cjs PROTO_FOLDER [CERT KEY]`.
const fs = require("node:fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [folder, cert, key] = process.argv.slice(2);
const definition = loader.loadSync("echo.proto", { includeDirs: [folder] });
const { service } = grpc.loadPackageDefinition(definition).grpc.bench.v1.Echo;

/** Answers `count` messages, each when the one before has left. */
function expand(call) {
  const { payload, count } = call.request;
  let index = 0;
  const more = () => {
    while (index < count) {
      if (!call.write({ payload, count: index++ })) return call.once("drain", more);
    }
    call.end();
  };
  more();
}

function collect(call, answer) {
  let text = "";
  let count = 0;
  call.on("data", (message) => {
    text += message.text;
    count++;
  });
  call.on("end", () => answer(null, { text, count }));
}

function converse(call) {
  call.on("data", (message) => {
    if (call.write(message)) return;
    call.pause();
    call.once("drain", () => call.resume());
  });
  call.on("end", () => call.end());
}

const handlers = {
  Unary: (call, answer) => answer(null, call.request),
  Expand: expand,
  Collect: collect,
  Converse: converse,
};

function listen(credentials) {
  const server = new grpc.Server();
  server.addService(service, handlers);
  return new Promise((resolve, reject) => {
    server.bindAsync(
      "127.0.0.1:0",
      credentials,
      (error, port) => error ? reject(error) : resolve(port),
    );
  });
}

async function main() {
  let text = `listening 127.0.0.1:${await listen(grpc.ServerCredentials.createInsecure())}`;
  if (cert !== undefined) {
    const identity = [{ cert_chain: fs.readFileSync(cert), private_key: fs.readFileSync(key) }];
    const credentials = grpc.ServerCredentials.createSsl(Buffer.alloc(0), identity, false);
    text += ` tls 127.0.0.1:${await listen(credentials)}`;
  }
  process.stderr.write(`${text}\n`);
}

main();
