import assert from "node:assert/strict";
import { hash16Hex, registryKeyOf, UNATTRIBUTED_KEY } from "./keys.ts";

Deno.test("registry keys and id hashes match the wire contract's check values", () => {
  const acme = { org_id: "acme", team_id: "ops", agent_id: "agent-1" };
  assert.equal(registryKeyOf(acme), "0a6b9cf8229cff84a9b0b8bcdc476c2f");
  const alone = { org_id: "", team_id: "", agent_id: "agent-1" };
  assert.equal(registryKeyOf(alone), "705dc3631a7c483d96fa3e1b77397853");
  assert.equal(hash16Hex("agent-1"), "6ff3b3bd11c44cac620c43d5b65377bd");
  assert.equal(hash16Hex(""), "e3b0c44298fc1c149afbf4c8996fb924");
  assert.equal(UNATTRIBUTED_KEY.length, 32);
});
