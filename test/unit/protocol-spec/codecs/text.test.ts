import { capabilitiesOf, cutUtf8, printable, utf8From } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";

/** Of one to four octets in UTF-8, both ends of each width, and one that joins with others. */
const characters = fc.constantFrom(
  ..."\u0000a\u007f\u0080\u00e9\u07ff\u0800\u20ac\u200d\uffff",
  "\u{10000}",
  "\u{1f468}",
  "\u{10ffff}",
);

test("a text is cut before the first character that does not fit", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: characters, maxLength: 20 }),
      fc.nat({ max: 30 }),
      (text, max) => {
        const octets = cutUtf8(text, max);
        expect(octets.length).toBeLessThanOrEqual(max);
        const kept = utf8From(octets);
        expect(kept).toBeDefined();
        const next = text.codePointAt(kept?.length ?? 0);
        expect(text.startsWith(kept ?? "-")).toBe(true);
        if (next === undefined) return;
        const width = cutUtf8(String.fromCodePoint(next), 4).length;
        expect(octets.length + width).toBeGreaterThan(max);
      },
    ),
  );
});

test("system capabilities: those that are enabled, by name, and no reserved ones", () => {
  const id = { subtype: 7, octets: Uint8Array.of(1) };
  const lldpdu = (capabilities: number, enabled: number) => ({
    chassisId: id,
    portId: id,
    ttl: 1,
    tlvs: [{ is: "system-capabilities", capabilities, enabled } as const],
  });
  expect(capabilitiesOf(lldpdu(0xffff, 4 | 16))).toEqual(["bridge", "router"]);
  expect(capabilitiesOf(lldpdu(0xffff, 128 | 0x8000))).toEqual(["station-only"]);
  expect(capabilitiesOf({ ...lldpdu(4, 4), tlvs: [] })).toEqual([]);
});

test("what a terminal would obey is not shown", () => {
  expect(printable("\u001b[31mred\r\nnext\u2028line \u202eturned\u0000")).toBe(
    "[31mred next line turned",
  );
});
