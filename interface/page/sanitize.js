// The second wall around what a model wrote, and the one door to the HTML parser.
import DOMPurify from "./vendor/dompurify/purify.js";

const COMMON = { RETURN_DOM_FRAGMENT: true, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false };
const TEXT = {
  ...COMMON,
  ALLOWED_TAGS: [
    ..."a blockquote br code del em h3 h4 h5 h6 hr li ol p pre strong".split(" "),
    ..."table tbody td th thead tr ul #text".split(" "),
  ],
  ALLOWED_ATTR: ["align", "class", "href", "start"],
};
const CODE = { ...COMMON, ALLOWED_TAGS: ["span", "#text"], ALLOWED_ATTR: ["class"] };

const CLASSES = {
  CODE: /^language-[\w+#.-]{1,40}$/,
  SPAN: /^(?:hljs-[\w-]+|language-[\w-]+)(?: [a-z]+_+)*$/,
};
const ADDRESSES = new Set(["http:", "https:", "mailto:"]);

DOMPurify.addHook("uponSanitizeAttribute", (element, attribute) => {
  if (attribute.attrName === "class") {
    attribute.keepAttr = CLASSES[element.nodeName]?.test(attribute.attrValue) ?? false;
  } else if (attribute.attrName === "start") {
    attribute.keepAttr = element.nodeName === "OL";
  } else if (attribute.attrName === "align") {
    const isSide = /^(?:left|center|right)$/.test(attribute.attrValue);
    attribute.keepAttr = isSide && /^T[DH]$/.test(element.nodeName);
  }
});

/** @param {string} html @returns {DocumentFragment} of the few elements that a text is made of */
export function sanitized(html) {
  const nothing = document.createDocumentFragment();
  const fragment = (html && DOMPurify.sanitize(html, TEXT)) || nothing; // null if there is no body
  for (const link of fragment.querySelectorAll("a")) {
    // What the browser would make of it is what counts, not how it is written.
    if (ADDRESSES.has(URL.parse(link.getAttribute("href") ?? "")?.protocol)) {
      link.target = "_blank";
      link.rel = "noopener noreferrer nofollow";
    } else {
      link.replaceWith(...link.childNodes);
    }
  }
  return fragment;
}

/** @param {string} html of highlighted code @returns {DocumentFragment} of spans */
export const sanitizedCode = (html) => DOMPurify.sanitize(html, CODE);
