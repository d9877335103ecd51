// An answer: what the model thought and wrote, how it ended, and what can be done with it.
import { copyText } from "./clipboard.js";
import { hasEnded } from "./conversation.js";
import { announce, button, h, notice } from "./dom.js";
import { MarkdownView, renderMarkdown } from "./markdown.js";
import { problemText, t } from "./words.js";

const COPIED_MS = 2000;

export class AnswerView {
  #answer = null; // what is shown
  #markdown = null; // while it grows
  #whole = null; // the text that is shown, once it has ended
  #drawn = null; // what all but the text depends on

  /** `regenerate()` is called for another one in its place. */
  constructor(regenerate) {
    this.regenerate = regenerate;
    this.text = h("div", { class: "text", dir: "auto" });
    this.reasoningText = h("div", { class: "reasoning-text", dir: "auto" });
    const summary = h("summary", { "data-t": "reasoning" }, t("reasoning"));
    this.reasoning = h("details", { class: "reasoning", hidden: true }, summary, this.reasoningText);
    this.note = h("p", { class: "note quiet" });
    this.problem = h("div", { class: "problem", hidden: true });
    this.usage = h("span", { class: "usage quiet" });
    this.copy = button("copy", () => this.#copy());
    this.again = button("regenerate", () => this.regenerate());
    this.foot = h("footer", {}, this.copy, this.again, this.usage);
    this.element = h(
      "article", { "data-role": "assistant", hidden: true },
      this.reasoning, this.text, this.note, this.problem, this.foot,
    );
  }

  dispose() {
    this.#markdown?.dispose();
  }

  /** `grown` is the event by which it has become longer, if that is all; null for no answer. */
  draw(answer, grown, isLast) {
    this.element.hidden = !answer;
    if (!answer) return;
    if (grown && this.#answer === answer) this.#grow(grown);
    else this.#drawText(answer);
    this.#answer = answer;
    this.#drawState(answer, isLast);
  }

  #grow({ type, chunk }) {
    if (type === "reasoning") {
      this.reasoningText.append(chunk);
      this.reasoning.hidden = false;
    } else {
      this.#markdown.append(chunk);
    }
  }

  #drawText(answer) {
    const isSame = this.#answer === answer;
    if (this.reasoningText.textContent !== answer.reasoning) this.reasoningText.textContent = answer.reasoning;
    this.reasoning.hidden = !answer.reasoning;
    if (!hasEnded(answer)) {
      this.#whole = null;
      if (!this.#markdown || !isSame) {
        this.#markdown?.dispose();
        this.#markdown = new MarkdownView(this.text);
      }
      this.#markdown.replace(answer.text);
      return;
    }
    if (this.#markdown && isSame) {
      this.#markdown.replace(answer.text);
      this.#markdown.finish();
    } else if (this.#whole !== answer.text) {
      this.#markdown?.dispose();
      renderMarkdown(this.text, answer.text);
    }
    this.#markdown = null;
    this.#whole = answer.text;
  }

  #drawState(answer, isLast) {
    const { state, usage, error, finishReason } = answer;
    const waits = !hasEnded(answer) && !answer.text;
    // Drawn again it would be told again, and lose the focus.
    const depends = JSON.stringify([state, waits, Boolean(answer.text), usage, error, finishReason, isLast, t("assistant")]);
    if (this.#drawn === depends) return;
    this.#drawn = depends;
    this.element.dataset.state = state;
    this.element.setAttribute("aria-label", t("assistant"));
    this.element.setAttribute("aria-busy", String(!hasEnded(answer)));
    this.element.querySelector(":scope > .typing")?.remove();
    if (waits) this.text.after(typing(state === "queued" ? "queued" : "writing"));
    this.note.textContent = noteOf(answer);
    this.note.hidden = !this.note.textContent;
    this.problem.hidden = state !== "failed";
    this.problem.replaceChildren(...(state === "failed" ? this.#problemOf(error, isLast) : []));
    this.foot.hidden = !hasEnded(answer);
    this.copy.hidden = !answer.text;
    this.again.hidden = !isLast || state === "failed";
    const counted = { prompt: usage?.prompt_tokens, completion: usage?.completion_tokens };
    this.usage.textContent = usage ? t("usage", counted) : "";
    this.usage.title = usage ? t("usageTitle", counted) : "";
  }

  #problemOf(error, isLast) {
    const why = h("p", { role: "alert" }, error ? problemText(error) : t("announceFailed"));
    return isLast ? [why, button("tryAgain", () => this.regenerate())] : [why];
  }

  async #copy() {
    if (!(await copyText(this.#answer.text))) {
      notice(t("copyFailed"));
      return;
    }
    announce(t("copied"));
    this.copy.textContent = t("copied");
    setTimeout(() => {
      this.copy.textContent = t("copy");
    }, COPIED_MS);
  }
}

const typing = (key) =>
  h("div", { class: "typing" }, h("i"), h("i"), h("i"), h("span", { class: "unseen" }, t(key)));

function noteOf({ state, finishReason }) {
  if (state === "stopped") return t("stoppedByYou");
  if (finishReason === "length") return t("cutByLength");
  if (finishReason === "content_filter") return t("filtered");
  return "";
}
