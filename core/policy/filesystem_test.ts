import assert from "node:assert/strict";
import fc from "fast-check";
import { intersectSubtrees, normalizePath, pathProblem, Subtrees } from "./filesystem.ts";

const NAME = fc.constantFrom("a", "b", "ab", ".hidden", "...");
const PATH = fc.array(NAME, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
const SET = fc.array(PATH, { maxLength: 5 });

/** The plain meaning: some member is the path or an ancestor of it. */
function inside(paths: readonly string[], path: string): boolean {
  return paths.some((member) => member === "/" || path === member || path.startsWith(`${member}/`));
}

Deno.test("membership is being a member or lying below one, by whole names", () => {
  fc.assert(fc.property(SET, PATH, (paths, path) => {
    assert.equal(new Subtrees(paths).contains(path), inside(paths, path));
  }));
});

Deno.test("an intersection holds exactly what both sets hold", () => {
  fc.assert(fc.property(SET, SET, PATH, (a, b, path) => {
    const both = intersectSubtrees(new Subtrees(a), new Subtrees(b));
    assert.equal(both.contains(path), inside(a, path) && inside(b, path));
  }));
});

Deno.test("members inside other members are pruned", () => {
  assert.deepEqual(new Subtrees(["/a/b", "/a", "/a/", "/b//c/.", "/a/b/c"]).paths, ["/a", "/b/c"]);
  assert.deepEqual(new Subtrees(["/x", "/"]).paths, ["/"]);
  assert.deepEqual(new Subtrees([]).paths, []);
});

Deno.test("a path with a problem is in no set, not even the root's", () => {
  const everything = new Subtrees(["/"]);
  for (const path of ["", "a", "../a", "/a/../b", "/..", "/a/..", "/a\0", " /a", "\\a"]) {
    assert.notEqual(pathProblem(path), undefined, path);
    assert.equal(everything.contains(path), false, path);
  }
  for (const path of ["/", "//", "/a/", "/..a", "/a..", "/a/...", "/a b "]) {
    assert.equal(everything.contains(path), true, path);
  }
});

Deno.test("normalising is lexical and repeatable", () => {
  assert.equal(normalizePath("//a/./b//"), "/a/b");
  assert.equal(normalizePath("/"), "/");
  fc.assert(fc.property(PATH, (path) => {
    assert.equal(normalizePath(normalizePath(path)), normalizePath(path));
  }));
});

Deno.test("a path of very many components is looked up in one pass", () => {
  const deep = "/a".repeat(500_000);
  assert.equal(new Subtrees([deep]).contains(`${deep}/b`), true);
  assert.equal(new Subtrees(["/b"]).contains(deep), false);
});
