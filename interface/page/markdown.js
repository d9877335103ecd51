// Shows Markdown while it grows. What can't change any more is put into the page and never touched
// again; only the end of the text, its last block or two, is read and rendered anew. A list or a table
// gives up its items and rows one by one, a block of code its lines. See docs/decisions/0016.
import { codeFigure, highlight, highlighted } from "./code_blocks.js";
import { languageOf, nodesOf, shows } from "./markdown_html.js";
import { blocksOf } from "./markdown_tokens.js";

export { highlighted };

const MAX_CHARACTERS = 262_144; // and lines of Markdown: what is behind them is shown as it was written
const MAX_LINES = 20_000;
const PLAIN_CHARACTERS = 16_384; // of text as it was written are one block, up to the end of the line
const IDLE = 4; // after a rendering that took long, so many times as long is left to everything else
const LONG_MS = 8;
const MAX_PAUSE_MS = 1000;

// Nobody knows yet what will become of a last line that is nothing but marks.
const UNDECIDED = /^[ \t>]*(?:[-+*=_#|:`~ \t]+|\d{1,9}[.)]?[ \t]*)$/;

const normalized = (text) => text.replace(/\r\n?/g, "\n").replaceAll("\0", "\uFFFD");

/** Shows a text that is complete. @param {Element} element @param {string} text */
export function renderMarkdown(element, text) {
  element.replaceChildren(wholeOf(normalized(text)));
  highlight(element);
}

function wholeOf(text) {
  const fragment = document.createDocumentFragment();
  const end = markdownWithin(text, { characters: MAX_CHARACTERS, lines: MAX_LINES });
  try {
    fragment.append(nodesOf(blocksOf(text.slice(0, end))));
    appendPlain(fragment, text.slice(end));
  } catch (error) {
    console.error("This text is shown as it was written:", error);
    fragment.replaceChildren();
    appendPlain(fragment, text);
  }
  return fragment;
}

/** @returns {number} how much of the text is within what is left, which becomes less by it */
function markdownWithin(text, left) {
  let end = Math.min(text.length, left.characters);
  for (let line = text.indexOf("\n"); line >= 0 && line < end; line = text.indexOf("\n", line + 1)) {
    if (--left.lines === 0) end = left.characters = line + 1;
  }
  left.characters -= end;
  return end;
}

function appendPlain(parent, text) {
  if (!text) return;
  let block = parent.lastElementChild;
  if (block?.className !== "plain") block = plainBlock(parent);
  for (let end; ; text = text.slice(end + 1)) {
    end = text.indexOf("\n", Math.max(0, PLAIN_CHARACTERS - block.textContent.length));
    block.append(end < 0 ? text : text.slice(0, end));
    if (end < 0) return;
    block = plainBlock(parent);
  }
}

function plainBlock(parent) {
  const block = document.createElement("p");
  block.className = "plain";
  parent.append(block);
  return block;
}

export class MarkdownView {
  #element;
  #onGrow;
  #frame = 0;
  #timer = 0;
  #notBefore = 0;

  #text = ""; // all of it, with its line ends made "\n"
  #carriageReturn = ""; // the last character, if it may be half a line end
  #tail = ""; // the end of the text, which is not yet in the page for good
  #loose = []; // the nodes made of the tail
  #open = null; // the list or table that has given up items: where they are, what the rest is read after
  #code = null; // the block of code that is open
  #left = { characters: MAX_CHARACTERS, lines: MAX_LINES }; // of Markdown; what comes then is
  #beyond = ""; // shown as it was written, as soon as the tail is
  #failed = false; // all is shown as it was written: this should not happen
  #links = Object.create(null);

  /**
   * @param {Element} element its children are the text from now on
   * @param {{ onGrow?: () => void }} [options] called each time after there is more to see
   */
  constructor(element, { onGrow = () => {} } = {}) {
    this.#element = element;
    this.#onGrow = onGrow;
    element.replaceChildren();
  }

  /** @param {string} text what comes next; it is shown with one of the next frames */
  append(text) {
    const received = this.#carriageReturn + text;
    this.#carriageReturn = received.endsWith("\r") ? "\r" : "";
    this.#add(normalized(this.#carriageReturn ? received.slice(0, -1) : received));
  }

  /** @param {string} text what all of it is from now on; what is shown of it already stays untouched */
  replace(text) {
    const whole = normalized(text);
    if (!whole.startsWith(this.#text)) this.#clear();
    this.#carriageReturn = "";
    this.#add(whole.slice(this.#text.length));
  }

  /** Shows now what has come, not with one of the next frames. */
  render() {
    this.dispose();
    const begun = performance.now();
    this.#grow(false);
    const ended = performance.now();
    const took = ended - begun;
    this.#notBefore = took < LONG_MS ? 0 : ended + Math.min(took * IDLE, MAX_PAUSE_MS);
    this.#onGrow();
  }

  /** Nothing follows: from now on it is exactly what `renderMarkdown` makes of the text. */
  finish() {
    this.dispose();
    if (this.#carriageReturn) this.#add("\n");
    this.#carriageReturn = "";
    this.dispose();
    this.#grow(true);
    // A definition gives links to what was shown before it.
    if (this.#failed || Object.keys(this.#links).length > 0) this.#renderWhole();
    highlight(this.#element);
    this.#onGrow();
  }

  /** Nothing is shown any more but what is. */
  dispose() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = 0;
  }

  #add(text) {
    if (!text) return;
    this.#text += text;
    const end = markdownWithin(text, this.#left);
    this.#tail += text.slice(0, end);
    this.#beyond += text.slice(end);
    if (this.#frame || this.#timer) return;
    const nextFrame = () => {
      this.#timer = 0;
      this.#frame = requestAnimationFrame(() => this.render());
    };
    const pause = this.#notBefore - performance.now();
    if (pause > 0) this.#timer = setTimeout(nextFrame, pause);
    else nextFrame();
  }

  #clear() {
    this.dispose();
    this.#text = this.#tail = this.#beyond = "";
    this.#left = { characters: MAX_CHARACTERS, lines: MAX_LINES };
    this.#loose = [];
    this.#open = this.#code = null;
    this.#failed = false;
    this.#links = Object.create(null);
    this.#element.replaceChildren();
  }

  #grow(final) {
    try {
      if (!this.#failed) this.#growMarkdown(final || this.#beyond !== "");
    } catch (error) {
      console.error("From here on the text is shown as it was written:", error);
      this.#failed = true;
      for (const node of this.#loose) node.remove();
    }
    if (this.#failed || this.#beyond) {
      appendPlain(this.#element, this.#tail + this.#beyond);
      this.#tail = this.#beyond = "";
    }
  }

  #growMarkdown(final) {
    while (this.#tail) {
      if (this.#code ? !this.#growCode(final) : !this.#growBlocks(final)) break;
    }
    if (final && this.#code) this.#closeCode();
  }

  /** @returns {boolean} whether a block of code has begun, and what follows is part of it */
  #growBlocks(final) {
    const shown = final ? this.#tail : decided(this.#tail);
    const head = this.#open?.head ?? "";
    const source = head + shown;
    const links = Object.assign(Object.create(null), this.#links);
    const blocks = blocksOf(source, links, this.#open?.rows ?? 0);
    const exact = blocks.map(({ raw }) => raw).join("") === source;
    let settled = final ? blocks.length : exact ? settledOf(blocks) : 0;
    const code = !final && isOpenCode(blocks[settled]) && blocks[settled];
    this.#show(code ? blocks.slice(0, settled) : blocks);

    let read = this.#settle(blocks.slice(0, settled)) - (settled > 0 ? head.length : 0);
    if (settled > 0) this.#open = null;
    if (code) {
      const infoEnd = code.raw.indexOf("\n") + 1;
      this.#openCode(code);
      read += infoEnd;
    } else if (exact && !final && blocks[settled]) {
      read += this.#settleParts(blocks[settled]);
    }
    this.#tail = this.#tail.slice(read);
    return Boolean(code);
  }

  /** Replaces the loose nodes by those of the blocks, but for the first ones that are the same. */
  #show(blocks) {
    const nodes = [...nodesOf(blocks).childNodes];
    const fresh = nodes.map((node) => ({ node, parent: this.#element }));
    if (this.#open && nodes.length > 0) {
      const parts = [...partsOf(nodes[0]).children];
      fresh.splice(0, 1, ...parts.map((node) => ({ node, parent: this.#open.parent })));
    }
    let same = 0;
    const isSame = (old, { node, parent }) => old.parentNode === parent && old.isEqualNode(node);
    const comparable = Math.min(this.#loose.length, fresh.length);
    while (same < comparable && isSame(this.#loose[same], fresh[same])) same++;
    for (const old of this.#loose.splice(same)) old.remove();
    for (const { node, parent } of fresh.slice(same)) {
      parent.append(node);
      this.#loose.push(node);
    }
  }

  /** From here on nobody touches the nodes of these blocks. @returns {number} how long they are */
  #settle(blocks) {
    let length = 0;
    blocks.forEach((block, index) => {
      length += block.raw.length;
      this.#define(block);
      if (!shows(block)) return;
      const parts = index === 0 && this.#open ? (block.items ?? block.rows).length : 1;
      for (const node of this.#loose.splice(0, parts)) highlight(node);
    });
    return length;
  }

  /** The same for all items of a list, or rows of a table, but the last two. */
  #settleParts(block) {
    const isTable = block.type === "table";
    const parts = isTable ? block.rows : block.items;
    if (!parts || parts.length <= 2) return 0;
    const count = parts.length - 2;
    let raw;
    let read = 0;
    if (isTable) {
      const lines = block.raw.split("\n");
      raw = lines.slice(2, 2 + count).join("\n") + "\n";
      if (!this.#open) read = lines[0].length + lines[1].length + 2;
    } else {
      raw = parts
        .slice(0, count)
        .map((part) => part.raw)
        .join("");
    }
    if (!this.#open) {
      const parent = partsOf(this.#loose[0]);
      this.#open = { parent, head: block.raw.slice(0, read), rows: 0 };
      this.#loose.splice(0, 1, ...parent.children);
    }
    if (isTable) this.#open.rows += count;
    else parts.slice(0, count).forEach((part) => this.#define(part));
    for (const node of this.#loose.splice(0, count)) highlight(node);
    return read + raw.length;
  }

  #define({ type, tag, href, title, tokens, items }) {
    if (type === "def") this.#links[tag] ??= { href, title };
    if (type !== "paragraph") for (const part of items ?? tokens ?? []) this.#define(part);
  }

  #openCode({ raw, lang }) {
    const [, indent, fence] = /^( *)(`+|~+)/.exec(raw);
    const figure = codeFigure("", languageOf(lang));
    const text = document.createTextNode("");
    figure.querySelector("code").append(text);
    this.#element.append(figure);
    this.#code = {
      figure,
      text,
      lines: 0,
      loose: 0, // characters of a line that has not ended
      indent: fence[0] === "`" ? indent.length : 0,
      closes: new RegExp(`^ {0,3}${fence[0]}{${fence.length},} *$`),
      mayClose: new RegExp(`^ {0,3}${fence[0]}* *$`),
    };
  }

  /** @returns {boolean} whether the code has ended, and what follows is something else */
  #growCode(final) {
    const code = this.#code;
    const tail = this.#tail;
    const outdented = (line) => {
      const blank = /^\s*/.exec(line)[0].length;
      return line.slice(Math.min(blank, code.indent));
    };
    let more = "";
    let begin = 0;
    let closed = false;
    for (let end; !closed && (end = tail.indexOf("\n", begin)) >= 0; ) {
      const line = tail.slice(begin, end);
      closed = code.closes.test(line);
      if (!closed) more += (code.lines++ > 0 ? "\n" : "") + outdented(line);
      begin = closed ? end : end + 1;
    }
    const last = closed ? "" : tail.slice(begin);
    if (final && last) {
      closed = code.closes.test(last);
      if (!closed) more += (code.lines++ > 0 ? "\n" : "") + outdented(last);
      begin = tail.length;
    }
    const loose =
      final || !last || code.mayClose.test(last) ? "" : (code.lines > 0 ? "\n" : "") + outdented(last);
    code.text.replaceData(code.text.length - code.loose, code.loose, more + loose);
    code.loose = loose.length;
    this.#tail = tail.slice(begin);
    if (closed) this.#closeCode();
    return closed;
  }

  #closeCode() {
    highlight(this.#code.figure);
    this.#code = null;
  }

  #renderWhole() {
    const shown = [...this.#element.childNodes];
    const whole = [...wholeOf(this.#text).childNodes];
    whole.forEach((node, index) => {
      if (!shown[index]) this.#element.append(node);
      else if (!isSameBlock(shown[index], node)) shown[index].replaceWith(node);
    });
    for (const extra of shown.slice(whole.length)) extra.remove();
  }
}

function decided(text) {
  const begin = text.lastIndexOf("\n") + 1;
  const line = text.slice(begin);
  return line.length < 200 && UNDECIDED.test(line) ? text.slice(0, begin) : text;
}

/** How many of the first blocks stay what they are whatever follows. */
function settledOf(blocks) {
  const read = blocks.flatMap(({ type }, index) => (type === "space" ? [] : [index]));
  const last = read.at(-1) ?? 0;
  const hasLines = isOpenCode(blocks[last]) || (blocks[last]?.items ?? blocks[last]?.rows)?.length > 2;
  return hasLines ? last : (read.at(-2) ?? 0);
}

const isOpenCode = (block) =>
  block?.type === "code" && block.codeBlockStyle !== "indented" && block.raw.includes("\n");

const partsOf = (node) => (node.className === "table" ? node.querySelector("tbody") : node);

function isSameBlock(one, other) {
  if (one.isEqualNode(other)) return true;
  // Code may have been coloured meanwhile.
  const codeOf = (node) => node.matches?.("figure.code") && node.querySelector("code");
  const [left, right] = [codeOf(one), codeOf(other)];
  if (!left || !right) return false;
  return left.textContent === right.textContent && left.className === right.className;
}
