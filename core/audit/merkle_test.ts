import assert from "node:assert/strict";
import fc from "fast-check";
import {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  nodeHash,
  type NodeReader,
  rangeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";

// Leaves and roots of the RFC 6962 reference implementation's tests.
const LEAVES = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const ROOTS = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/** Reads nodes of a tree given its leaf hashes. */
function nodesOf(leaves: readonly Uint8Array[]): NodeReader {
  const read = (level: number, index: number): Uint8Array => {
    if (level === 0) return leaves[index] ?? assert.fail(`no leaf ${index}`);
    return nodeHash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1));
  };
  return (level, index) => Promise.resolve(read(level, index));
}

function numbered(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => leafHash(Uint8Array.of(i >> 8, i & 255)));
}

Deno.test("known RFC 6962 trees of 0 to 8 leaves have their known roots", async () => {
  const leaves = LEAVES.map((hex) => leafHash(Uint8Array.fromHex(hex)));
  assert.equal(emptyRoot().toHex(), ROOTS[0]);
  for (let size = 1; size <= 8; size++) {
    assert.equal((await rangeRoot(0, size, nodesOf(leaves))).toHex(), ROOTS[size], `${size}`);
  }
});

Deno.test("a known inclusion proof: leaf 5 of the known tree of 8", async () => {
  const leaves = LEAVES.map((hex) => leafHash(Uint8Array.fromHex(hex)));
  const proof = await inclusionProof(5, 8, nodesOf(leaves));
  assert.deepEqual(proof.map((hash) => hash.toHex()), [
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  ]);
});

Deno.test("every inclusion proof verifies, and for no other leaf, index, size or root", async () => {
  const sizes = fc.integer({ min: 1, max: 300 });
  await fc.assert(fc.asyncProperty(sizes, fc.nat(), fc.nat(), async (size, pick, other) => {
    const leaves = numbered(size);
    const read = nodesOf(leaves);
    const index = pick % size;
    const leaf = leaves[index] ?? assert.fail();
    const root = await rangeRoot(0, size, read);
    const proof = await inclusionProof(index, size, read);
    assert.ok(verifyInclusion(index, size, leaf, proof, root));
    const wrong = other % size;
    if (wrong !== index) {
      assert.ok(!verifyInclusion(wrong, size, leaf, proof, root));
      assert.ok(!verifyInclusion(index, size, leaves[wrong] ?? leaf, proof, root));
    }
    assert.ok(!verifyInclusion(index, size, leaf, [...proof, leaf], root));
    assert.ok(!verifyInclusion(index, size, leaf, proof, leafHash(root)));
    if (proof.length > 0) {
      assert.ok(!verifyInclusion(index, size, leaf, proof.slice(1), root));
      const flipped = proof.map((hash) => hash.slice());
      const hash = flipped[other % flipped.length] ?? assert.fail();
      hash[other % 32] = (hash[other % 32] ?? 0) ^ 1;
      assert.ok(!verifyInclusion(index, size, leaf, flipped, root));
    }
  }));
});

Deno.test("every consistency proof verifies, and not for a tree that differs in one leaf", async () => {
  const sizes = fc.integer({ min: 1, max: 200 });
  await fc.assert(fc.asyncProperty(sizes, sizes, fc.nat(), async (a, b, pick) => {
    const [first, second] = a < b ? [a, b] : [b, a];
    const leaves = numbered(second);
    const read = nodesOf(leaves);
    const old_root = await rangeRoot(0, first, read);
    const new_root = await rangeRoot(0, second, read);
    const proof = await consistencyProof(first, second, read);
    assert.ok(verifyConsistency(first, second, old_root, new_root, proof));
    const changed = leaves.map((leaf, i) => i === pick % first ? leafHash(leaf) : leaf);
    const forked = await rangeRoot(0, first, nodesOf(changed));
    assert.ok(!verifyConsistency(first, second, forked, new_root, proof));
    if (first < second) {
      assert.ok(!verifyConsistency(first, second, old_root, old_root, proof));
      assert.ok(!verifyConsistency(second, first, new_root, old_root, proof));
    }
  }));
});

Deno.test("a proof outside the tree is refused", async () => {
  const read = nodesOf(numbered(4));
  await assert.rejects(inclusionProof(4, 4, read), /not in the tree/);
  await assert.rejects(inclusionProof(-1, 4, read), /not in the tree/);
  await assert.rejects(consistencyProof(5, 4, read), /larger/);
  assert.ok(!verifyInclusion(4, 4, emptyRoot(), [], emptyRoot()));
});
