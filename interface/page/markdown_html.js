// Tokens of Markdown -> nodes. All text is escaped here, and what comes of it is sanitised once more.
import { codeFigure } from "./code_blocks.js";
import { sanitized } from "./sanitize.js";
import { t } from "./words.js";

const ESCAPES = { "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "&": "&amp;" };
const escaped = (text) => text.replace(/[<>"'&]/g, (character) => ESCAPES[character]);
// Entities that the text has written stay what they are.
const escapedText = (text) =>
  text.replace(/[<>"']|&(?!#\d{1,7};|#[Xx][\da-fA-F]{1,6};|\w+;)/g, (character) => ESCAPES[character]);

/** One element for each block that shows anything, in order. */
export function nodesOf(blocks) {
  const fragment = sanitized(blocks.map(block).join(""));
  for (const pre of fragment.querySelectorAll("pre")) {
    const code = pre.firstElementChild;
    const language = code.className.replace(/^language-/, "");
    pre.replaceWith(codeFigure(code.textContent, language));
  }
  for (const table of fragment.querySelectorAll("table")) {
    const scrolled = document.createElement("div");
    scrolled.className = "table";
    scrolled.tabIndex = 0;
    scrolled.setAttribute("role", "group");
    scrolled.setAttribute("aria-label", t("table"));
    table.replaceWith(scrolled);
    scrolled.append(table);
  }
  return fragment;
}

export const shows = (token) => token.type !== "space" && token.type !== "def";

export const languageOf = (info) => /^[\w+#.-]{1,40}/.exec(info ?? "")?.[0] ?? "";

function block(token) {
  switch (token.type) {
    case "space":
    case "def":
      return "";
    case "hr":
      return "<hr>";
    case "heading": {
      const level = Math.min(token.depth + 2, 6); // above it are the page's title and the message's
      return `<h${level}>${inline(token.tokens)}</h${level}>`;
    }
    case "code": {
      const language = languageOf(token.lang);
      const kind = language && ` class="language-${escaped(language)}"`;
      return `<pre><code${kind}>${escaped(token.text.replace(/\n$/, ""))}</code></pre>`;
    }
    case "blockquote":
      return `<blockquote>${token.tokens.map(block).join("")}</blockquote>`;
    case "list":
      return list(token);
    case "table":
      return table(token);
    case "checkbox":
      return checkbox(token);
    default:
      return `<p>${inline(token.tokens ?? [token])}</p>`;
  }
}

function list({ ordered, start, items }) {
  const kind = ordered ? "ol" : "ul";
  const first = ordered && start !== 1 ? ` start="${Number(start)}"` : "";
  return `<${kind}${first}>${items.map(item).join("")}</${kind}>`;
}

// What an item looks like depends on nothing but the item, so it need not be touched once it has ended:
// that there are blank lines between the items does not make paragraphs of them.
function item({ tokens }) {
  const isText = ({ type }) => type === "text" || type === "paragraph";
  const several = tokens.filter(isText).length > 1;
  const [first, ...rest] = tokens;
  const checked = first?.type === "checkbox" ? checkbox(first) : "";
  const parts = (checked ? rest : tokens).map((token, index) => {
    const before = index === 0 ? checked : "";
    if (!isText(token)) return before + block(token);
    const text = before + inline(token.tokens ?? [token]);
    return several ? `<p>${text}</p>` : text;
  });
  return `<li>${parts.join("") || checked}</li>`;
}

const checkbox = ({ checked }) => (checked ? "☑ " : "☐ ");

function table({ header, rows }) {
  const row = (cells, kind) => {
    const shown = cells.map(({ align, tokens }) => {
      const side = align ? ` align="${align}"` : "";
      return `<${kind}${side}>${inline(tokens)}</${kind}>`;
    });
    return `<tr>${shown.join("")}</tr>`;
  };
  const body = rows.map((cells) => row(cells, "td")).join("");
  return `<table><thead>${row(header, "th")}</thead><tbody>${body}</tbody></table>`;
}

function inline(tokens, inLink = false) {
  return tokens.map((token) => inlineToken(token, inLink)).join("");
}

function inlineToken(token, inLink) {
  switch (token.type) {
    case "br":
      return "<br>";
    case "checkbox":
      return checkbox(token);
    case "codespan":
      return `<code>${escaped(token.text)}</code>`;
    case "del":
    case "em":
    case "strong":
      return `<${token.type}>${inline(token.tokens, inLink)}</${token.type}>`;
    case "escape":
      return escaped(token.text);
    case "html":
      return /^<br\s*\/?>$/i.test(token.text) ? "<br>" : escaped(token.text);
    case "image": // nothing is fetched for a text: an image is a link to it
      return link(token, escapedText(token.text || token.href), inLink);
    case "link":
      return link(token, token.autolink ? escaped(token.text) : inline(token.tokens, true), inLink);
    default:
      return token.tokens ? inline(token.tokens, inLink) : escapedText(token.text);
  }
}

function link({ href, autolink }, text, inLink) {
  if (inLink) return text;
  return `<a href="${autolink ? escaped(href) : escapedText(href)}">${text}</a>`;
}
