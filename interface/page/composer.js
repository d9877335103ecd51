// The message box: its text and files are a draft, kept per session until they are sent.
import { call, upload } from "./api.js";
import { byId, h, icon, notice, sizeText } from "./dom.js";
import { draftOf, keepDraft } from "./kept.js";
import { problemText, t } from "./words.js";

const MOST_CHARACTERS = 32_000;
const SHOW_COUNT_FROM = 30_000;

const isTouch = () => matchMedia("(pointer: coarse)").matches;

const asKept = ({ id, file_name, file_size, flaw }) => ({ id, file_name, file_size, flaw });

/** `actions`: `send(text, files)`, `stop()`, and for files `session()` (the id of what is open) and `made(id)`. */
export class Composer {
  #sessionId = ""; // "" is a chat that has not begun
  #files = []; // of what is open: {id, file_name, file_size, flaw, progress, abort, failed}
  #soon = false; // whether to send it as soon as its files are here
  #elsewhere = new Map(); // session id -> files, also those on their way

  constructor(actions) {
    this.actions = actions;
    this.form = byId("composer");
    this.field = byId("message");
    this.list = byId("attached");
    this.field.addEventListener("input", () => {
      this.#soon = false; // more is to come
      this.#changed();
    });
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("paste", (event) => this.#paste(event));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("stop").addEventListener("click", () => this.actions.stop());
    byId("attach").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", (event) => {
      this.#add([...event.target.files]);
      event.target.value = "";
    });
    this.#takeDrops(byId("main"));
    document.addEventListener("languagechange", () => this.#draw());
  }

  /** Shows the draft of this session; "" for a chat that has not begun. */
  open(sessionId) {
    this.#soon = false;
    this.#elsewhere.set(this.#sessionId, this.#files);
    this.#sessionId = sessionId;
    const draft = draftOf(sessionId);
    this.#files = this.#elsewhere.get(sessionId) ?? draft?.files ?? [];
    this.field.value = draft?.text ?? "";
    this.#draw();
  }

  /** The chat that had not begun has a session now: the draft is its. */
  begun(sessionId) {
    keepDraft("", null);
    this.#elsewhere.delete("");
    this.#sessionId = sessionId;
    this.#keep();
  }

  /** A session is gone, and with it what was to be sent there. */
  forget(sessionId) {
    for (const file of this.#elsewhere.get(sessionId) ?? []) file.abort?.();
    this.#elsewhere.delete(sessionId);
    keepDraft(sessionId, null);
  }

  reset() {
    for (const files of [...this.#elsewhere.values(), this.#files]) for (const file of files) file.abort?.();
    this.#elsewhere.clear();
    this.#files = [];
    this.#sessionId = "";
    this.field.value = "";
    this.#draw();
  }

  /** Puts back what could not be sent, before what was written since. */
  putBack(sessionId, text, files) {
    if (sessionId === this.#sessionId) {
      this.field.value = this.field.value.trim() ? `${text}\n\n${this.field.value}` : text;
      this.#files = [...files, ...this.#files];
      this.#changed();
      return;
    }
    const draft = draftOf(sessionId) ?? { text: "", files: [] };
    keepDraft(sessionId, { text: draft.text ? `${text}\n\n${draft.text}` : text, files: [...files, ...draft.files] });
    this.#elsewhere.set(sessionId, [...files, ...(this.#elsewhere.get(sessionId) ?? draft.files)]);
  }

  /** Nothing can be written, or it can again. */
  enable(is) {
    this.form.inert = !is;
    this.field.disabled = !is;
  }

  /** Whether an answer is being written, which can be stopped. */
  answering(is) {
    const stop = byId("stop");
    if (stop.hidden === !is) return;
    const hadFocus = document.activeElement === stop;
    stop.hidden = !is;
    if (hadFocus && !is) this.field.focus();
  }

  get text() {
    return this.field.value;
  }

  focus() {
    // On a phone it would bring up the keyboard.
    if (!isTouch()) this.field.focus({ preventScroll: true });
  }

  #key(event) {
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    if (event.shiftKey || event.altKey) return;
    if (isTouch() && !event.ctrlKey && !event.metaKey) return; // there is no Shift+Enter there
    event.preventDefault();
    this.#send();
  }

  get #length() {
    return [...this.field.value.trim()].length;
  }

  get #busy() {
    return this.#files.some((file) => file.abort);
  }

  #send() {
    const text = this.field.value.trim().toWellFormed();
    const sendable = text && this.#length <= MOST_CHARACTERS;
    this.#soon = Boolean(sendable) && this.#busy;
    if (!sendable || this.#busy) {
      this.field.focus();
      this.#draw();
      return;
    }
    // No message may name one whose text could not be read.
    const readable = this.#files.filter(({ id, flaw }) => id && !flaw);
    const files = readable.map(({ id, file_name, file_size }) => ({ id, file_name, file_size }));
    this.#files = [];
    this.field.value = "";
    this.#changed();
    this.actions.send(text, files);
    this.focus();
  }

  #changed() {
    this.#keep();
    this.#draw();
  }

  #keep() {
    keepDraft(this.#sessionId, { text: this.field.value, files: this.#files.filter(({ id }) => id).map(asKept) });
  }

  #draw() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight + 2}px`;
    const count = this.field.value.length > SHOW_COUNT_FROM ? this.#length : 0;
    const over = count - MOST_CHARACTERS;
    byId("composer-hint").textContent =
      over > 0 ? t("hintTooLong", { count, over }) : this.#busy ? t(this.#soon ? "hintSoon" : "hintUploading") : isTouch() ? "" : t("hintKeys");
    byId("composer-hint").classList.toggle("wrong", over > 0);
    byId("send").setAttribute("aria-disabled", String(!this.field.value.trim() || this.#busy || over > 0));
    this.list.hidden = !this.#files.length;
    this.list.replaceChildren(...this.#files.map((file) => this.#item(file)));
  }

  #item(file) {
    const name = file.file_name;
    const item = h("li", {}, h("span", { class: "name", dir: "auto" }, name), h("span", { class: "quiet" }, sizeText(file.file_size)));
    if (file.abort) {
      file.bar ??= h("progress", { max: 1 });
      file.bar.value = file.progress;
      file.bar.setAttribute("aria-label", t("uploading", { name }));
      item.append(file.bar);
    }
    if (file.flaw) item.append(h("span", { class: "wrong" }, t("unreadFile")));
    item.append(
      h("button", { type: "button", class: "icon-button", "aria-label": t("removeFile", { name }), onclick: () => this.#remove(file) }, icon("close")),
    );
    return item;
  }

  #remove(file) {
    this.#soon = false;
    this.#files = this.#files.filter((other) => other !== file);
    file.abort?.();
    // Gone for the user anyway; with the session at the latest.
    if (file.id) call("DELETE", `/api/files/${file.id}`).catch(() => {});
    this.#changed();
    this.field.focus();
  }

  /** Sends files to the server, one after the other, for the session that is open now. */
  async #add(chosen) {
    if (!chosen.length || this.field.disabled) return;
    const sessionId = this.actions.session();
    const files = chosen.map((blob) => ({
      id: null, file_name: blob.name || "file", file_size: blob.size, progress: 0, abort: () => {}, blob,
    }));
    this.#of(sessionId).push(...files);
    this.#draw();
    try {
      await this.actions.made(sessionId);
    } catch (problem) {
      for (const file of files) this.#drop(sessionId, file);
      notice(problemText(problem));
      return;
    }
    for (const file of files) if (this.#of(sessionId).includes(file)) await this.#upload(sessionId, file);
  }

  async #upload(sessionId, file) {
    const sending = upload(sessionId, file.blob, (part) => {
      file.progress = part;
      if (file.bar) file.bar.value = part;
    });
    file.abort = sending.abort;
    try {
      const kept = await sending.done;
      Object.assign(file, { id: kept.id, file_name: kept.file_name, file_size: kept.file_size, flaw: kept.error ?? null });
    } catch (problem) {
      this.#soon = false;
      this.#drop(sessionId, file);
      if (problem.name !== "AbortError") notice(`${file.file_name}: ${problemText(problem)}`);
    }
    file.abort = null;
    file.blob = null;
    if (sessionId === this.#sessionId) {
      this.#soon &&= !file.flaw;
      this.#changed();
      if (this.#soon && !this.#busy) this.#send();
      return;
    }
    const draft = draftOf(sessionId) ?? { text: "", files: [] };
    keepDraft(sessionId, { ...draft, files: this.#of(sessionId).filter(({ id }) => id).map(asKept) });
  }

  #drop(sessionId, file) {
    const files = this.#of(sessionId);
    if (files.includes(file)) files.splice(files.indexOf(file), 1);
    if (sessionId === this.#sessionId) this.#draw();
  }

  #of(sessionId) {
    if (sessionId === this.#sessionId) return this.#files;
    if (!this.#elsewhere.has(sessionId)) this.#elsewhere.set(sessionId, draftOf(sessionId)?.files ?? []);
    return this.#elsewhere.get(sessionId);
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    // Office programs put a picture of the text beside it.
    if (!files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    this.#add(files);
  }

  #takeDrops(place) {
    const isFile = (event) => event.dataTransfer?.types.includes("Files");
    const shown = (is) => {
      place.classList.toggle("drop", is);
      place.dataset.drop = t("dropHere");
    };
    place.addEventListener("dragover", (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      shown(true);
    });
    place.addEventListener("dragleave", (event) => !place.contains(event.relatedTarget) && shown(false));
    place.addEventListener("drop", (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      shown(false);
      this.#add([...event.dataTransfer.files]);
    });
    // Beside the place, a file would take the page's own.
    for (const kind of ["dragover", "drop"]) {
      addEventListener(kind, (event) => isFile(event) && event.preventDefault());
    }
  }
}
