/** The page of the scanner's detectors, held to the code. */
import assert from "node:assert/strict";
import { detectorsPage } from "../docs/generate_detectors.ts";

Deno.test("docs/detectors.md lists every kind and detector with its present judgement", async () => {
  const page = new URL("../docs/detectors.md", import.meta.url);
  assert.equal(await Deno.readTextFile(page), detectorsPage());
});
