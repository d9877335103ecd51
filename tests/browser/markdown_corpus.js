// Random Markdown, of all that touches each other badly.
window.randomOf = (seed) => {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (count) => Math.floor(random() * count);
  return { random, below, pick: (choices) => choices[below(choices.length)] };
};

const WORDS = [
  "alpha", "beta **bold** gamma", "`code`", "*slanted*", "[link](http://a.b)", "[label]", "[label][other]",
  "<b>", "one | two", "| three | four |", "**open", "~~gone~~", "http://x.y/z", "&amp; &lt;", "\\*",
  "![image](http://i)", "<!-- note", "-->", "  trailing  ", "\t tabbed", "a_b_c", "1. x", "- y", "`` ` ``",
  "☃ 中文", "# no", "<div>", "</div>", "'quoted'", "<br>",
];
const DEFINITIONS = [
  "[label]: http://q", "[other]: <http://e.f> 'Title'", "[label]:", '"title', "> [other]: http://n",
];
const STARTS = [
  "", "", "", "", "- ", "* ", "+ ", "  - ", "   ", "    ", "1. ", "2. ", "3) ", "10. ",
  "> ", "> - ", "> > ", "# ", "- [ ] ", "- [x] ", "- - ", "\t", "- \t",
];
const MARKS = [
  "", "", "", "-", "1.", ">", "---", "===", "***", "| a | b |", "|---|:-:|", "--|--", "a | b",
  "```", "```js", "````", "~~~", "  ```py", "   ```", "   x = 1", "#", "## heading ##",
  "<div>", "<!--", "<pre>", "</pre>", "- ```", "  ```", "* * *",
];

window.randomText = ({ below, pick }, definitions) => {
  const words = definitions ? [...WORDS, DEFINITIONS[0]] : WORDS;
  const row = () => `| ${pick(words)} | ${pick(words)} |`;
  const many = (count, make) => Array.from({ length: below(count) }, (_, index) => make(index));
  const item = (index) => pick(["- ", "- ", `${index + 1}. `, "  - "]);
  const pieces = [
    () => pick(STARTS) + pick(words),
    () => pick(STARTS) + pick(words) + " " + pick(words),
    () => pick(MARKS),
    () => (definitions ? pick(DEFINITIONS) : ""),
    () => ["| left | right |", "|---|--:|", ...many(8, row)].join("\n"),
    () => many(9, (index) => item(index) + pick(words)).join(pick(["\n", "\n\n"])),
  ];
  return many(25, () => pick(pieces)()).join(pick(["\n", "\n", "\r\n"]));
};
