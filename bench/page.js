async (words) => {
  const { MarkdownView, renderMarkdown, highlighted } = await import("/page/markdown.js");
  const root = document.getElementById("text");

  const sentence = "The quick answer is **often** a long one, with `code` in it and a [link](https://a.b/c) ";
  const section = (number) => `## Part ${number}

${sentence.repeat(4)}

${sentence.repeat(3)}

- first of *some* items with a few words
- second of them, which says \`more\` than the first
  - and has one within it
- third of them

1. Do this first of all
2. Then do that, **carefully**
3. Look at what has become of it

| name | size | what it is |
| :-- | --: | --- |
| one | 12 | something of *use* |
| two | 345 | something \`else\` |
| three | 6 | nothing at all |

\`\`\`python
def answer(question: str) -> str:
    """Thinks about it for a while."""
    for attempt in range(3):
        if thought := think(question, attempt):
            return thought
    raise NoAnswer(question)
\`\`\`

> ${sentence}

`;
  let text = "";
  for (let number = 1; text.split(/\s+/).length <= words; number++) text += section(number);
  const chunks = text.match(/(?:\S+\s*){1,3}/g).slice(0, Math.ceil(words / 3));
  text = chunks.join("");

  const thousands = () => Array.from({ length: words / 1000 }, () => []);
  const ways = ["grown", "grown_layout", "anew", "anew_layout"];
  const measured = Object.fromEntries(ways.map((way) => [way, thousands()]));
  const note = (way, index, render) => {
    const begun = performance.now();
    render();
    const rendered = performance.now();
    root.getBoundingClientRect().height;
    const thousand = Math.min(Math.floor((index * 3) / 1000), words / 1000 - 1);
    measured[way][thousand].push(rendered - begun);
    measured[`${way}_layout`][thousand].push(performance.now() - begun);
  };
  // As often as frames would: what the browser has to do by the way is not put off for ever.
  const pause = () => new Promise((resolve) => setTimeout(resolve));

  renderMarkdown(root, text); // all is loaded and compiled
  await highlighted();
  root.replaceChildren();

  const view = new MarkdownView(root);
  for (const [index, chunk] of chunks.entries()) {
    note("grown", index, () => {
      view.append(chunk);
      view.render();
    });
    if (index % 5 === 0) await pause();
  }
  const begun = performance.now();
  view.finish();
  measured.finish = [[performance.now() - begun]];
  await highlighted();

  for (let index = 0; index < chunks.length; index += 20) {
    const soFar = chunks.slice(0, index + 1).join("");
    note("anew", index, () => renderMarkdown(root, soFar));
    await pause();
  }
  await highlighted();
  root.replaceChildren();
  const wholeBegun = performance.now();
  renderMarkdown(root, text);
  measured.whole = [[performance.now() - wholeBegun]];
  return measured;
}
