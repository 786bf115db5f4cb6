import { certificateText } from "@nve/program/certificate-text";
import { expect, test } from "vitest";

const now = Date.parse("2026-01-01T00:00:00Z");
const text = (end: string, fault = "") => certificateText(BigInt(Date.parse(end)), fault, now);

test("status says how long a certificate lasts, and what has to be seen to", () => {
  expect(certificateText(0n, "", now)).toBe("none: plain TCP");
  expect(text("2026-12-31T12:00:00Z")).toBe("valid to 2026-12-31T12:00:00Z, 364 days left");
  expect(text("2026-01-02T01:00:00Z", "the certificate expires soon")).toBe(
    "valid to 2026-01-02T01:00:00Z, 1 day left: the certificate expires soon",
  );
  expect(text("2025-12-31T00:00:00Z", "the certificate has expired")).toBe(
    "valid to 2025-12-31T00:00:00Z: the certificate has expired",
  );
});
