import assert from "node:assert/strict";
import fc from "fast-check";
import {
  inclusionProof,
  leafHash,
  nodeHash,
  type NodeReader,
  rangeRoot,
  verifyInclusion,
} from "./merkle.ts";
import { TileBuilder } from "./tile_builder.ts";
import {
  decodeBundle,
  encodeBundle,
  nodesFromTiles,
  parseResource,
  partialTiles,
  tileAt,
  type TileName,
  tilePath,
} from "./tiles.ts";

function path(kind: TileName["kind"], level: number, index: number, width = 256): string {
  return tilePath({ kind, level, index, width });
}

Deno.test("tile paths are those of tlog-tiles", () => {
  assert.equal(path("tile", 0, 0), "tile/0/000");
  assert.equal(path("tile", 0, 1_234_067), "tile/0/x001/x234/067");
  assert.equal(path("tile", 1, 5, 17), "tile/1/005.p/17");
  assert.equal(path("entries", 0, 1_000, 1), "tile/entries/x001/000.p/1");
});

Deno.test("a tree of 70,000 has the tiles the specification's example lists", () => {
  const names = partialTiles(70_000).map(tilePath);
  assert.deepEqual(names, [
    "tile/0/273.p/112",
    "tile/entries/273.p/112",
    "tile/1/001.p/17",
    "tile/2/000.p/1",
  ]);
  assert.deepEqual(partialTiles(256).map(tilePath), ["tile/1/000.p/1"]);
  assert.deepEqual(partialTiles(0), []);
  assert.equal(tileAt("tile", 0, 273, 70_000)?.width, 112);
  assert.equal(tileAt("tile", 0, 274, 70_000), undefined);
});

Deno.test("reading a path gives back its name, and nothing outside the layout is a name", () => {
  const names = fc.record({
    kind: fc.constantFrom("tile" as const, "entries" as const),
    level: fc.integer({ min: 0, max: 6 }),
    index: fc.integer({ min: 0, max: 10 ** 9 }),
    width: fc.integer({ min: 1, max: 256 }),
  }).map((name) => ({ ...name, level: name.kind === "entries" ? 0 : name.level }));
  fc.assert(fc.property(names, (name) => {
    assert.deepEqual(parseResource(tilePath(name)), name);
  }));
  assert.deepEqual(parseResource("checkpoint"), { kind: "checkpoint" });
  const refused = [
    "",
    "state.json",
    "../gateway-default.jsonl",
    "tile/0/../../checkpoint",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/x000/001",
    "tile/00/000",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/01",
    "tile/7/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/entries/000/",
    "/tile/0/000",
    "tile/0/000\n",
    "tile/0/000%2e",
    "checkpoint.tmp",
    "tile/0/٠٠٠",
  ];
  for (const bad of refused) assert.equal(parseResource(bad), undefined, bad);
  fc.assert(fc.property(fc.string(), (text) => {
    const name = parseResource(text);
    assert.ok(name === undefined || text === "checkpoint" || tilePath(name as TileName) === text);
  }));
});

Deno.test("bundles are 16-bit big-endian length-prefixed entries", () => {
  const entries = [new Uint8Array(0), Uint8Array.of(1, 2), new Uint8Array(300).fill(9)];
  const bundle = encodeBundle(entries);
  assert.deepEqual([...bundle.subarray(0, 6)], [0, 0, 0, 2, 1, 2]);
  assert.deepEqual([...bundle.subarray(6, 8)], [1, 44]);
  assert.deepEqual(decodeBundle(bundle)?.map((entry) => entry.length), [0, 2, 300]);
  assert.equal(decodeBundle(bundle.subarray(0, -1)), undefined);
  assert.equal(decodeBundle(Uint8Array.of(0)), undefined);
  assert.throws(() => encodeBundle([new Uint8Array(65_536)]), /65536/);
});

/** Entries, their tiles, and a plain reading of the same tree. */
function grown(size: number) {
  const builder = new TileBuilder();
  const tiles = new Map<string, Uint8Array>();
  const leaves: Uint8Array[] = [];
  for (let i = 0; i < size; i++) {
    const entry = new TextEncoder().encode(`entry ${i}`);
    leaves.push(leafHash(entry));
    builder.push(entry);
  }
  for (const file of [...builder.takeComplete(), ...builder.partials()]) {
    tiles.set(file.path, file.bytes);
  }
  const read = (name: TileName) =>
    Promise.resolve(tiles.get(tilePath(name)) ?? assert.fail(`no ${tilePath(name)}`));
  return { builder, leaves, tiles, nodes: nodesFromTiles(size, read) };
}

Deno.test("the builder's root is the tree's root at every size", async () => {
  const builder = new TileBuilder();
  const leaves: Uint8Array[] = [];
  const cache = new Map<string, Uint8Array>();
  const read: NodeReader = async (level, index) => {
    const key = `${level}/${index}`;
    const known = level === 0 ? leaves[index] : cache.get(key);
    if (known !== undefined) return known;
    const hash = nodeHash(await read(level - 1, 2 * index), await read(level - 1, 2 * index + 1));
    cache.set(key, hash);
    return hash;
  };
  for (let size = 0; size <= 1_100; size++) {
    const at_boundary = size < 20 || size % 256 < 2 || size % 97 === 0;
    if (at_boundary) {
      assert.equal(builder.root().toHex(), (await rangeRoot(0, size, read)).toHex(), `${size}`);
    }
    const entry = new TextEncoder().encode(`entry ${size}`);
    builder.push(entry);
    leaves.push(leafHash(entry));
  }
});

Deno.test("proofs read out of tiles verify against the builder's root", async () => {
  for (const size of [1, 2, 255, 256, 257, 700, 66_000]) {
    const { builder, leaves, nodes } = grown(size);
    const root = builder.root();
    assert.equal((await rangeRoot(0, size, nodes)).toHex(), root.toHex());
    for (const index of new Set([0, size >> 1, Math.max(0, size - 2), size - 1])) {
      const proof = await inclusionProof(index, size, nodes);
      assert.ok(
        verifyInclusion(index, size, leaves[index] ?? root, proof, root),
        `${index}/${size}`,
      );
    }
  }
});

Deno.test("a builder taken up at its edge goes on as if it had never stopped", () => {
  const whole = new TileBuilder();
  let parts = new TileBuilder();
  const files = { whole: [] as string[], parts: [] as string[] };
  for (let i = 0; i < 600; i++) {
    const entry = new TextEncoder().encode(`entry ${i}`);
    whole.push(entry);
    parts.push(entry);
    if (i % 37 === 0) {
      files.parts.push(...parts.takeComplete().map((file) => `${file.path} ${file.bytes.toHex()}`));
      parts = new TileBuilder(parts.edge());
    }
  }
  files.parts.push(...parts.takeComplete().map((file) => `${file.path} ${file.bytes.toHex()}`));
  files.whole.push(...whole.takeComplete().map((file) => `${file.path} ${file.bytes.toHex()}`));
  assert.deepEqual(files.parts, files.whole);
  assert.equal(parts.root().toHex(), whole.root().toHex());
  assert.deepEqual(parts.partials(), whole.partials());
});
