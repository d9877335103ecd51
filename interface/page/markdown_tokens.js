// Markdown -> tokens: marked, with HTML taken for text and with bounds, so that no text, however it is
// nested, takes long or overflows the stack. What exceeds a bound is shown as it was written.
import { getDefaults, Lexer, Tokenizer } from "./vendor/marked/marked.esm.js";

const MAX_NESTING = 16; // lists and quotes within each other
const MAX_INLINE_NESTING = 12; // emphasis and links within each other
const MAX_COLUMNS = 64;
const MAX_ROWS = 1000;
const MAX_INLINE = 8000; // characters of a paragraph that are read together; a longer one is cut at a space
const MAX_EFFORT = 256; // how often a mark may look at the rest of such a piece, on average per character

const MARKS = new Set("*_~[!`<");

class TooMuchEffort extends Error {}

class BoundedTokenizer extends Tokenizer {
  nesting = 0;
  rows = MAX_ROWS;
  effort = 0;

  html() {}

  tag(source) {
    const found = source.startsWith("<") && this.rules.inline.tag.exec(source);
    if (found) return { type: "html", raw: found[0], text: found[0] };
  }

  blockquote(source) {
    return this.nested(() => super.blockquote(source));
  }

  list(source) {
    return this.nested(() => super.list(source));
  }

  nested(read) {
    if (this.nesting >= MAX_NESTING) return undefined;
    this.nesting++;
    try {
      return read();
    } finally {
      this.nesting--;
    }
  }

  // A row of few cells is filled up to as many as there are columns: a small text could become millions.
  table(source) {
    const headEnd = source.indexOf("\n");
    if (headEnd < 0 || source.slice(0, headEnd).split("|", MAX_COLUMNS + 2).length > MAX_COLUMNS + 1) return;
    const columns = source.slice(0, headEnd).split("|").length - 1;
    let end = source.indexOf("\n", headEnd + 1) + 1;
    if (end === 0) return super.table(source);
    if (!/^[ :|-]*-[ :|-]*$/.test(source.slice(headEnd + 1, end - 1))) return;
    for (let row = 0; end < source.length; row++) {
      const rowEnd = source.indexOf("\n", end) + 1 || source.length;
      if (row >= this.rows || (rowEnd - end) * 2 < columns) break;
      end = rowEnd;
    }
    const table = super.table(source.slice(0, end));
    if (table) this.rows = MAX_ROWS;
    return table;
  }

  // The first that is asked at each place of a paragraph.
  escape(source) {
    if (MARKS.has(source[0]) && (this.effort -= source.length) < 0) throw new TooMuchEffort();
    return super.escape(source);
  }

  // An address is looked for at each word; it must not look at all that follows.
  url(source) {
    const reach = /^(?:https?:\/\/|ftp:\/\/|www\.)/i.test(source) ? 4096 : 256;
    return super.url(source.slice(0, reach));
  }
}

class BoundedLexer extends Lexer {
  inlineNesting = 0;

  inlineTokens(source, tokens = []) {
    if (this.inlineNesting >= MAX_INLINE_NESTING) return asWritten(source, tokens);
    this.inlineNesting++;
    try {
      return super.inlineTokens(source, tokens);
    } finally {
      this.inlineNesting--;
    }
  }

  read(source) {
    this.blockTokens(source, this.tokens);
    for (const { src, tokens } of this.inlineQueue) {
      for (const piece of pieces(src)) this.readPiece(piece, tokens);
    }
    return this.tokens;
  }

  readPiece(piece, tokens) {
    const before = tokens.length;
    this.tokenizer.effort = MAX_EFFORT * piece.length + 100_000;
    try {
      this.inlineTokens(piece, tokens);
    } catch (error) {
      if (!(error instanceof TooMuchEffort)) throw error;
      tokens.length = before;
      asWritten(piece, tokens);
      Object.assign(this.state, { inLink: false, inRawBlock: false, linkParenPossible: true });
    }
  }
}

function asWritten(source, tokens) {
  tokens.push({ type: "escape", raw: source, text: source });
  return tokens;
}

function* pieces(source) {
  let begin = 0;
  while (source.length - begin > MAX_INLINE) {
    const space = source.lastIndexOf(" ", begin + MAX_INLINE);
    const end = space > begin ? space + 1 : begin + MAX_INLINE;
    yield source.slice(begin, end);
    begin = end;
  }
  yield begin ? source.slice(begin) : source;
}

/**
 * The blocks of a text whose lines end with "\n". Their `raw`s, joined, are the text.
 * @param {string} source
 * @param {object} [links] definitions of `[label]: address` from what came before; new ones are added
 * @param {number} [rowsBefore] rows of the table with which the text begins, of which it is the rest
 */
export function blocksOf(source, links = Object.create(null), rowsBefore = 0) {
  const tokenizer = new BoundedTokenizer();
  tokenizer.rows = MAX_ROWS - rowsBefore;
  const lexer = new BoundedLexer({ ...getDefaults(), gfm: true, breaks: true, tokenizer });
  lexer.tokens.links = links;
  return lexer.read(source);
}
