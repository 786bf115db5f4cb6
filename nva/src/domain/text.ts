import { OutOfRange } from "@nve/protocol-spec";
import type { VnPath } from "./domain.ts";

// Texts that name something.

/** Of a tenant, profile or policy. */
export function nameText(text: string): string {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(text)) return text;
  throw new OutOfRange(`"${text}" is not 1 to 64 letters, digits, ".", "_" or "-"`);
}

/** `tenant/alias`; an alias alone is that of the tenant "default". */
export function vnPath(text: string): VnPath {
  const slash = text.indexOf("/");
  const [tenant, alias] =
    slash < 0 ? ["default", text] : [text.slice(0, slash), text.slice(slash + 1)];
  return `${nameText(tenant)}/${aliasText(alias)}`;
}

export function aliasText(alias: string): string {
  if (alias.trim() !== "" && alias.length <= 64 && isPrintable(alias)) return alias;
  throw new OutOfRange(`"${alias}" is no alias: 1 to 64 characters, none a control character`);
}

/** A text for people. */
export function descriptionText(text: string): string {
  if (isPrintable(text)) return text;
  throw new OutOfRange("a description has no control characters: one line of text");
}

/** Literal but for `*`. */
export function patternText(text: string): string {
  if (text.trim() !== "" && isPrintable(text)) return text;
  throw new OutOfRange(`"${text}" is no pattern: a text in which * stands for any characters`);
}

/** Format characters too: they turn what a terminal shows. */
const isPrintable = (text: string): boolean => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text);

/** One of some words. */
export function oneOf<const T extends string>(...words: readonly T[]): (text: string) => T {
  return (text) => {
    const word = words.find((one) => one === text);
    if (word !== undefined) return word;
    throw new OutOfRange(`"${text}" is not ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`);
  };
}

export const yesOrNo = (text: string): boolean => oneOf("true", "false")(text) === "true";
