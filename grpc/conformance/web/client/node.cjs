// The cases under Node: `node <bundle> list`, or `run BASE` for one JSON object a line.
// deno-lint-ignore-file no-process-global no-console
"use strict";

// What the grpc-web package calls by; Node has none.
globalThis.XMLHttpRequest = require("xhr2");
const { casesOf, runCases } = require("./cases.cjs");

async function main([mode, base]) {
  if (mode === "list") {
    for (const [name] of casesOf("http://localhost")) console.log(name);
    return;
  }
  for await (const result of runCases(casesOf(base))) console.log(JSON.stringify(result));
}

main(process.argv.slice(2)).then(() => process.exit(0));
