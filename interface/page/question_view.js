// A user's message, with its files, and what the user can do while it waits.
import { download } from "./api.js";
import { button, h, notice, sizeText } from "./dom.js";
import { problemText, t } from "./words.js";

export class QuestionView {
  element = h("article", { "data-role": "user" });
  #drawn = null; // what all that is shown depends on

  /** `withdraw(key)` is called for one that is not to be sent. */
  constructor(withdraw) {
    this.withdraw = withdraw;
  }

  draw({ id, key, text, files }) {
    const waits = id === null;
    const depends = JSON.stringify([text, waits, files.map((file) => file.id), t("you")]);
    if (this.#drawn === depends) return;
    this.#drawn = depends;
    this.element.hidden = text === null;
    this.element.setAttribute("aria-label", t("you"));
    this.element.classList.toggle("waits", waits);
    this.element.replaceChildren(h("div", { class: "text written", dir: "auto" }, text ?? ""));
    if (files.length) {
      this.element.append(h("ul", { class: "files" }, ...files.map((file) => h("li", {}, fileButton(file)))));
    }
    if (waits) {
      const not = button("doNotSend", () => this.withdraw(key));
      this.element.append(h("p", { class: "note" }, t("waitingToBeSent"), " ", not));
    }
  }
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
