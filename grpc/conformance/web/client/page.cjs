// The cases in a browser: what to run stands in the page's address, results go to its `report`.
"use strict";

const { casesOf, foreignCases, reboundCases, runCases } = require("./cases.cjs");

const query = new URLSearchParams(location.search);
const base = query.get("base");
const lists = {
  allowed: () => casesOf(base),
  foreign: () => foreignCases(base),
  rebound: () => reboundCases(),
};

async function main() {
  const results = [];
  for await (const result of runCases(lists[query.get("mode")]())) results.push(result);
  const body = JSON.stringify(results);
  await fetch(query.get("report"), { method: "POST", mode: "no-cors", body });
}

main();
