// Draws a conversation. Whatever is drawn already stays as it is: an answer that grows is grown, and
// nothing else is touched.
import { download } from "./api.js";
import { copyText } from "./clipboard.js";
import { announce, button, byId, h, notice, sizeText } from "./dom.js";
import { hasEnded } from "./conversation.js";
import { MarkdownView, renderMarkdown } from "./markdown.js";
import { problemText, t } from "./words.js";

const NEAR = 24; // pixels from the bottom that count as the bottom

/** `actions`: `regenerate()`, `withdraw(key)`, `showEarlier()`. */
export class ConversationView {
  #turns = new Map(); // key of a turn -> TurnView
  #conversation = null;
  #atBottom = true;
  #lastTop = 0;

  constructor(actions) {
    this.actions = actions;
    this.scroller = byId("scroller");
    this.place = byId("turns");
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(byId("conversation"));
    new ResizeObserver(() => this.#follow()).observe(this.scroller);
    byId("to-latest").firstElementChild.addEventListener("click", () => {
      this.toLatest();
      byId("message").focus({ preventScroll: true });
    });
    byId("earlier").addEventListener("click", () => this.actions.showEarlier());
    document.addEventListener("languagechange", () => this.#redraw());
  }

  /** Shows this one from now on; null for a chat that has not begun. */
  show(conversation) {
    this.#conversation = conversation;
    for (const view of this.#turns.values()) view.dispose();
    this.#turns.clear();
    this.place.replaceChildren();
    this.#atBottom = true;
    this.changed({ turn: null, grown: null });
    this.toLatest();
  }

  /** What `change` of the conversation tells. */
  changed({ turn, grown }) {
    if (turn) this.#turns.get(keyOf(turn))?.changed(turn, grown, this.#isLast(turn));
    else this.#arrange();
  }

  toLatest() {
    this.#atBottom = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#offer();
  }

  #isLast(turn) {
    return this.#conversation?.turns.findLast(({ question }) => question.id !== null) === turn;
  }

  #arrange() {
    const turns = this.#conversation?.turns ?? [];
    const keys = new Set(turns.map(keyOf));
    for (const [key, view] of this.#turns) {
      if (!keys.has(key)) {
        view.dispose();
        this.#turns.delete(key);
      }
    }
    const from = this.scroller.scrollHeight - this.scroller.scrollTop;
    const wasFirst = this.place.firstElementChild;
    let before = null;
    for (const turn of turns.toReversed()) {
      const key = keyOf(turn);
      let view = this.#turns.get(key);
      if (!view) {
        view = new TurnView(this.actions);
        this.#turns.set(key, view);
      }
      view.changed(turn, null, this.#isLast(turn));
      if (view.element.nextElementSibling !== before || view.element.parentElement !== this.place) {
        this.place.insertBefore(view.element, before);
      }
      before = view.element;
    }
    byId("earlier").hidden = !this.#conversation?.older;
    byId("welcome").hidden = turns.length > 0 || (this.#conversation !== null && !this.#conversation.loaded);
    // What is read stays where it is when earlier messages come in above it.
    if (!this.#atBottom && wasFirst?.isConnected && this.place.firstElementChild !== wasFirst) {
      this.scroller.scrollTop = this.scroller.scrollHeight - from;
    }
  }

  #redraw() {
    for (const view of this.#turns.values()) view.redraw();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const below = scrollHeight - clientHeight - scrollTop;
    if (below <= 2) this.#atBottom = true;
    else if (scrollTop < this.#lastTop) this.#atBottom = false;
    else if (scrollTop > this.#lastTop && below <= NEAR) this.#atBottom = true;
    this.#lastTop = scrollTop;
    this.#offer();
  }

  #follow() {
    if (this.#atBottom) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#lastTop = this.scroller.scrollTop;
    this.#offer();
  }

  #offer() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    byId("to-latest").hidden = this.#atBottom || scrollHeight - clientHeight - scrollTop <= NEAR;
  }
}

// Accepted by the server or not, it is the same turn.
const keys = new WeakMap();
let made = 0;
function keyOf(turn) {
  if (!keys.has(turn)) keys.set(turn, (made += 1));
  return keys.get(turn);
}

class TurnView {
  #turn = null;
  #isLast = false;
  #answerShown = null; // the answer that `#text` shows
  #shownState = null;
  #markdown = null;

  constructor(actions) {
    this.actions = actions;
    this.question = h("article", { "data-role": "user" });
    this.text = h("div", { class: "text", dir: "auto" });
    this.reasoningText = h("div", { class: "reasoning-text", dir: "auto" });
    this.reasoning = h(
      "details", { class: "reasoning", hidden: true },
      h("summary", { "data-t": "reasoning" }, t("reasoning")), this.reasoningText,
    );
    this.note = h("p", { class: "note quiet" });
    this.problem = h("div", { class: "problem", hidden: true });
    this.usage = h("span", { class: "usage quiet" });
    this.copy = button("copy", () => this.#copy());
    this.again = button("regenerate", () => this.actions.regenerate());
    this.foot = h("footer", {}, this.copy, this.again, this.usage);
    this.answer = h("article", { "data-role": "assistant" }, this.reasoning, this.text, this.note, this.problem, this.foot);
    this.element = h("div", { class: "turn" }, this.question, this.answer);
  }

  dispose() {
    this.#markdown?.dispose();
    this.element.remove();
  }

  redraw() {
    const turn = this.#turn;
    this.#turn = null;
    this.#shownState = null;
    this.changed(turn, null, this.#isLast);
  }

  changed(turn, grown, isLast) {
    if (this.#turn !== turn || !grown) this.#drawQuestion(turn);
    this.#turn = turn;
    const before = this.#isLast;
    this.#isLast = isLast;
    const { answer } = turn;
    this.answer.hidden = !answer;
    if (!answer) return;
    if (grown && this.#answerShown === answer && this.#shownState === answer.state) {
      this.#grow(answer, grown);
      return;
    }
    this.#drawText(answer, grown);
    if (this.#shownState !== answer.state || before !== isLast || !grown) this.#drawState(answer);
  }

  #drawQuestion({ question }) {
    this.question.hidden = question.text === null;
    this.question.setAttribute("aria-label", t("you"));
    const waits = question.id === null;
    this.question.classList.toggle("waits", waits);
    const parts = [h("div", { class: "text written", dir: "auto" }, question.text ?? "")];
    if (question.files.length) {
      parts.push(h("ul", { class: "files" }, ...question.files.map((file) => h("li", {}, fileButton(file)))));
    }
    if (waits) {
      parts.push(
        h("p", { class: "note" }, t("waitingToBeSent"), " ", button("doNotSend", () => this.actions.withdraw(question.key))),
      );
    }
    const signature = JSON.stringify([question.text, waits, question.files.map(({ id }) => id), t("you")]);
    if (this.question.signature === signature) return;
    this.question.signature = signature;
    this.question.replaceChildren(...parts);
  }

  #grow(answer, event) {
    if (event.type === "reasoning") this.reasoningText.append(event.chunk);
    else this.#markdown.append(event.chunk);
    if (event.type === "reasoning") this.reasoning.hidden = false;
    else this.#dropTyping();
  }

  #drawText(answer) {
    const isNew = this.#answerShown !== answer;
    if (this.reasoningText.textContent !== answer.reasoning) this.reasoningText.textContent = answer.reasoning;
    this.reasoning.hidden = !answer.reasoning;
    if (hasEnded(answer)) {
      if (this.#markdown && !isNew && this.#markdown.text === answer.text) this.#markdown.finish();
      else if (this.shownText !== answer.text || isNew) this.#whole(answer.text);
      this.#markdown = null;
      this.shownText = answer.text;
    } else {
      if (!this.#markdown || isNew) {
        this.#markdown?.dispose();
        this.text.replaceChildren();
        this.#markdown = new GrowingText(this.text);
      }
      this.shownText = null;
      this.#markdown.become(answer.text);
    }
    this.#answerShown = answer;
  }

  #whole(text) {
    this.#markdown?.dispose();
    this.text.replaceChildren();
    renderMarkdown(this.text, text);
  }

  #drawState(answer) {
    this.#shownState = answer.state;
    const { state } = answer;
    this.answer.dataset.state = state;
    this.answer.setAttribute("aria-label", t("assistant"));
    this.answer.setAttribute("aria-busy", String(!hasEnded(answer)));
    this.#dropTyping();
    if (!hasEnded(answer) && !answer.text) {
      const words = t(state === "queued" ? "queued" : "writing");
      this.text.after(h("div", { class: "typing" }, h("i"), h("i"), h("i"), h("span", { class: "unseen" }, words)));
    }
    this.note.textContent = noteOf(answer);
    this.note.hidden = !this.note.textContent;
    this.problem.hidden = state !== "failed";
    const why = answer.error ? problemText(answer.error) : t("announceFailed");
    this.problem.replaceChildren(
      ...(state === "failed" ? [h("p", { role: "alert" }, why)] : []),
      ...(state === "failed" && this.#isLast ? [button("tryAgain", () => this.actions.regenerate())] : []),
    );
    this.foot.hidden = !hasEnded(answer);
    this.copy.hidden = !answer.text;
    this.again.hidden = !this.#isLast || state === "failed";
    const { usage } = answer;
    this.usage.textContent = usage ? t("usage", { prompt: usage.prompt_tokens, completion: usage.completion_tokens }) : "";
    this.usage.title = usage ? t("usageTitle", { prompt: usage.prompt_tokens, completion: usage.completion_tokens }) : "";
  }

  #dropTyping() {
    this.answer.querySelector(":scope > .typing")?.remove();
  }

  async #copy() {
    if (!(await copyText(this.#turn.answer.text))) {
      notice(t("copyFailed"));
      return;
    }
    announce(t("copied"));
    this.copy.textContent = t("copied");
    setTimeout(() => {
      this.copy.textContent = t("copy");
    }, 2000);
  }
}

/** A Markdown view that knows what it was given. */
class GrowingText {
  text = "";

  constructor(element) {
    this.view = new MarkdownView(element);
  }

  append(chunk) {
    this.text += chunk;
    this.view.append(chunk);
  }

  become(text) {
    if (text === this.text) return;
    if (text.startsWith(this.text)) this.view.append(text.slice(this.text.length));
    else this.view.replace(text);
    this.text = text;
  }

  finish() {
    this.view.finish();
  }

  dispose() {
    this.view.dispose();
  }
}

function noteOf({ state, finishReason }) {
  if (state === "stopped") return t("stoppedByYou");
  if (finishReason === "length") return t("cutByLength");
  if (finishReason === "content_filter") return t("filtered");
  return "";
}

function fileButton(file) {
  const open = async () => {
    try {
      await download(file);
    } catch (problem) {
      notice(problemText(problem));
    }
  };
  return h("button", { type: "button", onclick: open, title: sizeText(file.file_size) }, file.file_name);
}
