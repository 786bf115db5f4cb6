import { Refused } from "@nve/program/errors";
import { SaxesParser } from "saxes";

/** An element, its name without prefix. */
export type Element = {
  name: string;
  /** URI of its namespace; "" for none. */
  namespace: string;
  /** Those without a namespace. */
  attributes: ReadonlyMap<string, string>;
  children: readonly Element[];
  /** What stands in it, without that of its children. */
  text: string;
};

/** Octets. A domain with a hundred devices has some 100,000. */
export const MAX_XML = 1 << 20;
const MAX_DEPTH = 64;

type Open = Element & { children: Element[] };

/**
 * The document's one element. Entities of a document's own are not known, and so not expanded.
 * @throws Refused for what is not well-formed, too long or too deep
 */
export function readXml(text: string): Element {
  if (text.length > MAX_XML) throw new Refused(`the XML is longer than ${MAX_XML} octets`);
  const parser = new SaxesParser({ xmlns: true });
  const open: Open[] = [];
  let root: Element | undefined;
  let fault: string | undefined;
  parser.on("error", (error) => {
    fault ??= error.message;
  });
  parser.on("doctype", () => {
    fault ??= "a document type: libvirt writes none";
  });
  parser.on("opentag", ({ local, uri, attributes }) => {
    const own = Object.values(attributes).filter((one) => one.uri === "");
    const element: Open = {
      name: local,
      namespace: uri,
      attributes: new Map(own.map((one) => [one.local, one.value])),
      children: [],
      text: "",
    };
    if (open.length < MAX_DEPTH) open.at(-1)?.children.push(element);
    else fault ??= `elements in each other, more than ${MAX_DEPTH} deep`;
    root ??= element;
    open.push(element);
  });
  parser.on("text", (piece) => {
    const element = open.at(-1);
    if (element !== undefined) element.text += piece;
  });
  parser.on("closetag", () => {
    open.pop();
  });
  parser.write(text).close();
  if (fault !== undefined) throw new Refused(`the XML is not understood: ${fault}`);
  if (root === undefined) throw new Refused("the XML is empty");
  return root;
}

export const childrenOf = (element: Element | undefined, name: string, namespace = ""): Element[] =>
  element?.children.filter((one) => one.name === name && one.namespace === namespace) ?? [];

export const childOf = (
  element: Element | undefined,
  name: string,
  namespace = "",
): Element | undefined => childrenOf(element, name, namespace)[0];
