import { etherTypeFilter } from "@nve/linux";
import { expect, test } from "vitest";
import { hex } from "../../support/octets.ts";

test("the filter loads octets 12-13, and returns the frame for each EtherType, else nothing", () => {
  expect(hex(etherTypeFilter([0x88cc, 0x8940]))).toBe(
    [
      "280000000c000000",
      "15000001cc880000",
      "0600000000000400",
      "1500000140890000",
      "0600000000000400",
    ]
      .concat("0600000000000000")
      .join(""),
  );
});

test("with no EtherType nothing passes", () => {
  expect(hex(etherTypeFilter([]))).toBe("280000000c0000000600000000000000");
});
