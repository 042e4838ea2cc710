/**
 * XML as SAML has it. What strangers send is bounded in size, number and depth, and may hold elements, attributes and text only: no document
 * types and so no entities, no processing instructions, and no comments or CDATA sections, which cut a text in two for readers that look
 * at its first part. Reading answers a tree of our own; nothing of the parser's leniency gets further than that.
 */
import { createRequire } from "node:module";

/** An attribute with its namespace; the empty text for those without a prefix. */
export interface XmlAttribute {
  readonly namespace: string;
  readonly name: string;
  readonly value: string;
}

/** An element. */
export interface XmlElement {
  readonly namespace: string;
  /** Without its prefix. */
  readonly name: string;
  /** Declarations of namespaces are none. */
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  /** Undefined where elements are inside. */
  readonly text: string | undefined;
  /** The parser's own node, for the code that checks signatures. */
  readonly node: object;
}

/** How much a document may hold. */
export interface XmlLimits {
  readonly maxElements: number;
  /** Of the whole document; equals signs are counted, wherever they are. */
  readonly maxAttributes: number;
  readonly maxDepth: number;
  /** Comments say nothing, and are only let through where everything else is trusted. */
  readonly comments: boolean;
}

/** The parts of the parser that are used. Its own types would bring the browser's into the whole program. */
interface XmlParser {
  readonly DOMParser: new (options: { readonly errorHandler: (level: string, message: string) => never }) => {
    parseFromString(text: string, mediaType: string): DomNode | undefined;
  };
}

interface DomNode {
  readonly nodeType: number;
  readonly nodeValue: string | null;
  readonly localName?: string | null;
  readonly namespaceURI?: string | null;
  readonly attributes?: ArrayLike<DomNode>;
  readonly firstChild: DomNode | null;
  readonly nextSibling: DomNode | null;
}

const require = createRequire(import.meta.url);
const nodeTypes = { element: 1, text: 3, instruction: 7, comment: 8 };
const declarations = "http://www.w3.org/2000/xmlns/";
/** Each costs the parser a copy of all that are in scope. */
const maxDeclarations = 2_000;
const declarationForm = /^<\?xml [^<>?]{0,200}\?>/;

/** Reads a document strictly. Undefined when it is not one, or more than the limits allow. */
export function parseXml(text: string, limits: XmlLimits): XmlElement | undefined {
  const body = text.replace(declarationForm, "");
  // Before it is parsed, so that what is refused costs next to nothing.
  if (body.includes("<?") || count(body, "<") > 2 * limits.maxElements || count(body, "=") > limits.maxAttributes) return undefined;
  if (count(body, "xmlns") > maxDeclarations) return undefined;
  if (count(body, "<!") > (limits.comments ? count(body, "<!--") : 0)) return undefined;
  try {
    // Loaded by its first use: a registry that nobody comes to by SAML does without.
    const { DOMParser } = require("@xmldom/xmldom") as XmlParser;
    const errorHandler = (level: string, message: string): never => {
      throw new Error(`${level}: ${message}`);
    };
    const document = new DOMParser({ errorHandler }).parseFromString(text, "text/xml");
    return document === undefined ? undefined : rootOf(document, limits);
  } catch {
    // Whatever is wrong with a stranger's text, it is no document.
    return undefined;
  }
}

/** The children of that name. */
export function childrenOf(parent: XmlElement, namespace: string, name: string): readonly XmlElement[] {
  return parent.children.filter((child) => child.namespace === namespace && child.name === name);
}

/** The child of that name, where there is exactly one. */
export function onlyChild(parent: XmlElement, namespace: string, name: string): XmlElement | undefined {
  const [first, ...others] = childrenOf(parent, namespace, name);
  return others.length === 0 ? first : undefined;
}

/** The value of an attribute that has no prefix. */
export function attributeOf({ attributes }: XmlElement, name: string): string | undefined {
  return attributes.find((attribute) => attribute.namespace === "" && attribute.name === name)?.value;
}

/** The element and everything in it, in the order of the document. */
export function allElements(element: XmlElement): readonly XmlElement[] {
  return [element, ...element.children.flatMap(allElements)];
}

function count(text: string, part: string): number {
  let found = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) found++;
  return found;
}

/** The parser takes more than one root, and text around it; a document has one. */
function rootOf(document: DomNode, limits: XmlLimits): XmlElement | undefined {
  let root: DomNode | undefined;
  for (const node of childNodes(document)) {
    if (node.nodeType === nodeTypes.element && root === undefined) root = node;
    else if (node.nodeType === nodeTypes.text ? (node.nodeValue ?? "").trim() !== "" : !isSilent(node, limits)) return undefined;
  }
  return root === undefined ? undefined : elementOf(root, limits, { depth: 1, budget: { elements: limits.maxElements } });
}

function isSilent({ nodeType }: DomNode, { comments }: XmlLimits): boolean {
  return nodeType === nodeTypes.instruction || (comments && nodeType === nodeTypes.comment);
}

interface Place {
  readonly depth: number;
  readonly budget: { elements: number };
}

/** Throws when there is too much, or something that may not be there. */
function elementOf(node: DomNode, limits: XmlLimits, { depth, budget }: Place): XmlElement {
  if (depth > limits.maxDepth || budget.elements-- <= 0) throw new Error("too large");
  const children: XmlElement[] = [];
  let text = "";
  for (const child of childNodes(node)) {
    if (child.nodeType === nodeTypes.element) children.push(elementOf(child, limits, { depth: depth + 1, budget }));
    else if (child.nodeType === nodeTypes.text) text += child.nodeValue ?? "";
    else if (!limits.comments || child.nodeType !== nodeTypes.comment) throw new Error("not allowed");
  }
  const attributes = Array.from(node.attributes ?? [], (attribute) => ({
    namespace: attribute.namespaceURI ?? "",
    name: attribute.localName ?? "",
    value: attribute.nodeValue ?? "",
  }));
  return {
    namespace: node.namespaceURI ?? "",
    name: node.localName ?? "",
    attributes: attributes.filter(({ namespace }) => namespace !== declarations),
    children,
    text: children.length === 0 ? text : undefined,
    node,
  };
}

function* childNodes(parent: DomNode): Generator<DomNode> {
  for (let node = parent.firstChild; node !== null; node = node.nextSibling) yield node;
}
