// Draws a conversation. Whatever is drawn already stays as it is: an answer that grows is grown, and
// nothing else is touched. It scrolls along only for who is at its end.
import { AnswerView } from "./answer_view.js";
import { byId, h } from "./dom.js";
import { QuestionView } from "./question_view.js";

const NEAR = 24; // pixels from the bottom that count as the bottom

/** `actions`: `regenerate()`, `withdraw(key)`, `showEarlier()`. */
export class ConversationView {
  #turns = new Map(); // turn -> TurnView
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
    document.addEventListener("languagechange", () => {
      for (const view of this.#turns.values()) view.redraw();
    });
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
    if (turn) this.#turns.get(turn)?.draw(turn, grown, this.#isLast(turn));
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
    for (const [turn, view] of this.#turns) {
      if (turns.includes(turn)) continue;
      view.dispose();
      this.#turns.delete(turn);
    }
    const from = this.scroller.scrollHeight - this.scroller.scrollTop;
    const wasFirst = this.place.firstElementChild;
    let before = null;
    for (const turn of turns.toReversed()) {
      const view = this.#turns.get(turn) ?? new TurnView(this.actions);
      this.#turns.set(turn, view);
      view.draw(turn, null, this.#isLast(turn));
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

/** A question and its answer. */
class TurnView {
  #shown = []; // what `draw` was last called with

  constructor(actions) {
    this.question = new QuestionView((key) => actions.withdraw(key));
    this.answer = new AnswerView(() => actions.regenerate());
    this.element = h("div", { class: "turn" }, this.question.element, this.answer.element);
  }

  draw(turn, grown, isLast) {
    this.#shown = [turn, isLast];
    if (!grown) this.question.draw(turn.question);
    this.answer.draw(turn.answer, grown, isLast);
  }

  redraw() {
    const [turn, isLast] = this.#shown;
    this.draw(turn, null, isLast);
  }

  dispose() {
    this.answer.dispose();
    this.element.remove();
  }
}
