import assert from "node:assert/strict";
import fc from "fast-check";
import { Problems } from "../../core/policy/problems.ts";
import { parseYaml } from "../../core/policy/yaml_source.ts";
import type { Terminal } from "../terminal.ts";
import { fields } from "./fields.ts";
import { momentText, utcText } from "./moment.ts";
import { isPrintable, printable } from "./printable.ts";
import { type Data, jsonText, yamlText } from "./report.ts";
import { cellWidth, table } from "./table.ts";

function look(difference: Partial<Terminal> = {}): Terminal {
  return {
    out: () => {},
    err: () => {},
    interactive: false,
    colors: false,
    width: undefined,
    ...difference,
  };
}

const COLUMNS = [{ title: "AGENT" }, { title: "STATUS", toned: true }, {
  title: "N",
  align: "right" as const,
}];
const ROWS = [["researcher-1", "active", "7"], ["b", "suspended", "1200"], ["", "stale", ""]];

Deno.test("a piped table is plain columns without borders or colours", () => {
  assert.equal(
    table(COLUMNS, ROWS, look()),
    [
      "AGENT         STATUS        N",
      "researcher-1  active        7",
      "b             suspended  1200",
      "-             stale         -",
      "",
    ].join("\n"),
  );
});

Deno.test("a table on a terminal has borders, and colours that follow the word's meaning", () => {
  const boxed = table(COLUMNS, ROWS, look({ interactive: true }));
  assert.equal(
    boxed,
    [
      "┌──────────────┬───────────┬──────┐",
      "│ AGENT        │ STATUS    │    N │",
      "├──────────────┼───────────┼──────┤",
      "│ researcher-1 │ active    │    7 │",
      "│ b            │ suspended │ 1200 │",
      "│ -            │ stale     │    - │",
      "└──────────────┴───────────┴──────┘",
      "",
    ].join("\n"),
  );
  const colored = table(COLUMNS, ROWS, look({ interactive: true, colors: true }));
  assert(colored.includes("\u001b[32mactive   \u001b[39m"), colored);
  assert(colored.includes("\u001b[31msuspended\u001b[39m"), colored);
});

Deno.test("a table is clipped to the terminal, widest column first", () => {
  const text = table(
    [{ title: "A" }, { title: "B" }],
    [["short", "x".repeat(100)]],
    look({ interactive: true, width: 40 }),
  );
  for (const line of text.trimEnd().split("\n")) assert.equal(cellWidth(line), 40);
  assert.match(text, /short/);
  assert.match(text, /x…/);
});

Deno.test("wide and combining characters take the cells that a terminal gives them", () => {
  assert.equal(cellWidth("日本"), 4);
  assert.equal(cellWidth("e\u0301"), 1);
  const [head, first] = table([{ title: "T" }, { title: "U" }], [["日本", "x"]], look())
    .split("\n");
  assert.equal(head, "T     U");
  assert.equal(first, "日本  x");
});

const HOSTILE = "a\u001b[2J\u009b31m\u202eb\u0000\u200b\ud800\r\n\u2028c";

Deno.test("a name from elsewhere cannot move the cursor, recolour or reverse the line", () => {
  const shown = "a\\u001b[2J\\u009b31m\\u202eb\\u0000\\u200b\\ud800\\u000d\\u000a\\u2028c";
  assert.equal(printable(HOSTILE), shown);
  assert.equal(isPrintable(HOSTILE), false);
  for (
    const text of [
      table([{ title: "A" }], [[HOSTILE]], look()),
      fields([{ name: "a", value: HOSTILE }], look()),
      jsonText([HOSTILE, { [HOSTILE]: HOSTILE }], 2),
      jsonText(HOSTILE),
      yamlText([HOSTILE, { [HOSTILE]: HOSTILE }]),
    ]
  ) for (const line of text.split("\n")) assert(isPrintable(line), JSON.stringify(line));
});

const data: fc.Arbitrary<Data> = fc.letrec<{ value: Data }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: "binary" }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: "grapheme" }), tie("value"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ) as fc.Arbitrary<Data>,
})).value;

Deno.test("JSON output reads back to the same data, on one line or many", () => {
  fc.assert(
    fc.property(data, fc.constantFrom(0, 2), (value, indent) => {
      assert.deepEqual(JSON.parse(jsonText(value, indent)), value);
    }),
    { numRuns: 500 },
  );
  assert.equal(
    jsonText({ a: [1, "x"], b: {}, c: [] }, 2),
    '{\n  "a": [\n    1,\n    "x"\n  ],\n  "b": {},\n  "c": []\n}',
  );
});

Deno.test("YAML output reads back to the same data, hostile texts included", () => {
  const values: Data[] = [
    HOSTILE.replace("\ud800", ""),
    "no",
    "1e3",
    "- x",
    "a: b",
    "",
    "2026-01-01",
    "x".repeat(500),
  ];
  for (const value of values) {
    const root = parseYaml(yamlText({ value }), new Problems());
    assert(root?.kind === "mapping");
    const [entry] = root.entries;
    assert(entry?.value.kind === "scalar");
    assert.equal(entry.value.value, value);
  }
});

Deno.test("trap: 64-bit integers keep every digit in JSON and YAML", () => {
  const timestamp_ns = 1_795_242_753_770_771_001n;
  assert.equal(jsonText({ timestamp_ns }), '{"timestamp_ns":1795242753770771001}');
  assert.equal(yamlText({ timestamp_ns }), "timestamp_ns: 1795242753770771001\n");
});

Deno.test("moments are UTC with their age; zero is never", () => {
  assert.equal(utcText(0n), "-");
  assert.equal(momentText(0n, 5), "-");
  const at = Date.UTC(2026, 0, 7, 12);
  assert.equal(momentText(BigInt(at), at + 185_000), "2026-01-07T12:00:00.000Z (3 min ago)");
  assert.equal(momentText(at, at - 7_200_000), "2026-01-07T12:00:00.000Z (in 2 h)");
  assert.equal(utcText(10n ** 18n), "1000000000000000000 ms");
});
