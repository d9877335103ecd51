// What a text may have become in the page, and what it may not have done.
const ALLOWED = {
  A: { href: /^(?:https?:|mailto:)/i, target: /^_blank$/, rel: /^noopener noreferrer nofollow$/ },
  BUTTON: { class: /^copy$/, type: /^button$/, "data-t": /^copyCode$/ },
  CODE: { class: /^(?:hljs|(?:hljs )?language-[\w+#.-]+)$/ },
  DIV: { class: /^table$/, tabindex: /^0$/, role: /^group$/, "aria-label": /./ },
  FIGURE: { class: /^code$/ },
  OL: { start: /^\d{1,9}$/ },
  P: { class: /^plain$/ },
  PRE: { tabindex: /^0$/ },
  SPAN: { class: /^(?:lang|(?:hljs|language)-[\w-]+(?: [a-z]+_+)*)$/ },
  TD: { align: /^(?:left|center|right)$/ },
  TH: { align: /^(?:left|center|right)$/ },
};
const PLAIN = new Set(
  "BLOCKQUOTE BR DEL EM FIGCAPTION H3 H4 H5 H6 HR LI STRONG TABLE TBODY THEAD TR UL".split(" "),
);
// What only the page makes, and where: a text can't make it anywhere else.
const OURS = {
  BUTTON: "figure.code > figcaption > button.copy",
  DIV: "div.table:has(> table:only-child)",
  FIGCAPTION: "figure.code > figcaption:first-child",
  FIGURE: "figure.code:has(> figcaption + pre > code)",
  PRE: "figure.code > pre",
  SPAN: "figure.code > figcaption > span.lang, figure.code > pre span",
};

window.canary = "untouched";
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});

function wrong(root) {
  const found = [];
  for (const element of root.querySelectorAll("*")) {
    const name = element.nodeName;
    const attributes = ALLOWED[name] ?? (PLAIN.has(name) ? {} : null);
    if (!attributes) found.push(`<${name.toUpperCase()}>`);
    if (OURS[name] && !element.matches(OURS[name])) found.push(`<${name}> is not where ours is`);
    for (const { name: attribute, value } of element.attributes) {
      const allowed = attributes && Object.hasOwn(attributes, attribute) && attributes[attribute].test(value);
      if (!allowed) found.push(`${name} ${attribute}=${value.slice(0, 80)}`);
    }
    const leadsAway = element.href && element.target && element.rel;
    if (name === "A" && !leadsAway) found.push("a link that leads here");
    if (element.shadowRoot) found.push("a shadow root");
  }
  if (window.canary !== "untouched") found.push(`canary ${String(window.canary)}`);
  if (Object.keys(Object.prototype).length > 0 || {}.constructor !== Object) found.push("Object.prototype");
  window.canary = "untouched";
  return found;
}

function splitAt(text, seed, largest) {
  const chunks = [];
  for (let begin = 0; begin < text.length; ) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const end = begin + 1 + ((seed >>> 16) % largest);
    chunks.push(text.slice(begin, end));
    begin = end;
  }
  return chunks;
}

/** Renders each text, looks after each chunk; [[text, what is wrong], …] */
window.hostile = async (texts, { seed, largest, by }) => {
  const { MarkdownView, renderMarkdown, highlighted } = await import("/page/markdown.js");
  const { marked } = await import("/page/vendor/marked/marked.esm.js");
  const { sanitized } = await import("/page/sanitize.js");
  const found = [];
  const root = document.getElementById("text");
  for (const text of texts) {
    const place = document.createElement("section");
    root.append(place);
    const report = () => {
      const seen = wrong(place);
      if (seen.length > 0) found.push([text, seen]);
    };
    if (by === "marked alone") place.innerHTML = marked.parse(text);
    else if (by === "marked and the second wall") place.append(sanitized(marked.parse(text)));
    else if (largest) {
      const view = new MarkdownView(place);
      for (const chunk of splitAt(text, seed, largest)) {
        view.append(chunk);
        view.render();
        report();
      }
      view.finish();
    } else renderMarkdown(place, text);
    report();
    await highlighted();
    report();
  }
  // What is in the page is painted, and whoever waits for that or for a free moment has had it.
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  await new Promise((resolve) => requestIdleCallback(resolve, { timeout: 500 }));
  const seen = [...root.children].flatMap(wrong);
  if (seen.length > 0) found.push(["at the end", seen]);
  root.replaceChildren();
  return found;
};
