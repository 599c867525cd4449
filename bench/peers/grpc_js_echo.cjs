// The peer of gateway_bench.ts: grpc-js on Node, decoding and answering CheckAction with no work in between.
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const definition = loader.loadSync("assembly/policy/v1/policy.proto", {
  includeDirs: [process.argv[2]],
});
const service = grpc.loadPackageDefinition(definition).assembly.policy.v1.PolicyService.service;
const server = new grpc.Server();
server.addService(service, {
  CheckAction: (_call, answer) =>
    answer(null, { decision: 1, decisionLatencyUs: 1, agentIdentityAssurance: 2 }),
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stderr.write(`listening 127.0.0.1:${port}\n`);
});
