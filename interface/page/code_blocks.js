// Blocks of code: with the language's name, a button that copies, and colours that come later.
import { copyText } from "./clipboard.js";
import { sanitizedCode } from "./sanitize.js";
import { t } from "./words.js";

const MAX_HIGHLIGHTED = 50_000; // characters
const COPIED_MS = 2000;

/** @returns {HTMLElement} a figure; its `code` holds the text */
export function codeFigure(text, language) {
  const figure = element("figure", "code");
  const caption = element("figcaption");
  const name = element("span", "lang");
  name.textContent = language;
  const button = element("button", "copy");
  button.type = "button";
  label(button, "copyCode");
  const pre = element("pre");
  pre.tabIndex = 0; // it scrolls, so it must be reached by keys
  const code = element("code", language ? `hljs language-${language}` : "hljs");
  code.textContent = text;
  button.addEventListener("click", () => void copy(code, button));
  caption.append(name, button);
  pre.append(code);
  figure.append(caption, pre);
  return figure;
}

function element(name, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}

function label(button, key) {
  button.dataset.t = key;
  button.textContent = t(key);
}

async function copy(code, button) {
  if (!(await copyText(code.textContent))) return;
  label(button, "copied");
  clearTimeout(button.copied);
  button.copied = setTimeout(() => label(button, "copyCode"), COPIED_MS);
}

let library; // a promise of highlight.js, from when the first code needs it
let working; // a promise of that all that waits is coloured
const waiting = new Set();

/** Colours all code within, in a language that is known, one block a task. */
export function highlight(root) {
  for (const code of root.querySelectorAll('code[class*=" language-"]')) {
    if (code.textContent.length <= MAX_HIGHLIGHTED) waiting.add(code);
  }
  if (waiting.size > 0) working ??= work().finally(() => (working = undefined));
}

/** @returns {Promise<void>} fulfilled when nothing waits for its colours */
export const highlighted = () => working ?? Promise.resolve();

async function work() {
  library ??= import("./vendor/highlight/highlight.min.js");
  const hljs = await library.then(
    (module) => module.default,
    () => (library = undefined), // not reached: the next code tries again
  );
  for (const code of waiting) {
    waiting.delete(code);
    const language = code.className.replace(/^.*language-/, "").toLowerCase();
    if (!hljs?.getLanguage(language) || code.childElementCount > 0) continue;
    if (isSelected(code)) {
      document.addEventListener("selectionchange", () => highlight(code.parentNode), { once: true });
      continue;
    }
    const html = hljs.highlight(code.textContent, { language, ignoreIllegals: true }).value;
    code.replaceChildren(sanitizedCode(html));
    await new Promise((resolve) => setTimeout(resolve));
  }
}

function isSelected(code) {
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(code, true);
}
