// The conversations at the side: which there are, which one is open, where something happens.
import { call, callAll } from "./api.js";
import { openMenu } from "./dialogs.js";
import { byId, h, icon } from "./dom.js";
import { keepUnread, unreadKept } from "./kept.js";
import { t } from "./words.js";

const PAGE = 30;

/** `actions`: `rename(session)`, `remove(session)`, `opened()` (one was chosen). */
export class Sidebar {
  #sessions = new Map(); // id -> session, as the server tells them
  #unread = new Set();
  #running = new Map(); // id -> whether, where the stream knows better than the list
  #items = new Map(); // id -> its list item
  #cursor = null;
  #all = false; // whether all of them are here
  #current = null;
  #reading = null;
  #searching = false;
  #again = false;

  constructor(actions) {
    this.actions = actions;
    this.list = byId("sessions");
    byId("search").addEventListener("input", () => this.#search());
    byId("more-sessions").addEventListener("click", () => this.#more());
    document.addEventListener("languagechange", () => this.#draw(true));
  }

  start() {
    this.#unread = unreadKept();
  }

  stop() {
    for (const kept of [this.#sessions, this.#unread, this.#running, this.#items]) kept.clear();
    this.list.replaceChildren();
    byId("search").value = "";
    Object.assign(this, { loaded: false });
    this.#cursor = null;
    this.#all = false;
    this.#current = null;
  }

  get(sessionId) {
    return this.#sessions.get(sessionId) ?? null;
  }

  /** Those worth following: the newest, and where an answer is being written. */
  worthFollowing(most) {
    const sessions = this.#sorted();
    const running = sessions.filter((session) => this.#isRunning(session));
    return [...new Set([...running, ...sessions.slice(0, most)])].map(({ session_id }) => session_id);
  }

  /** Reads the newest; a call during another leads to one more. Raises Problem. */
  load() {
    if (this.#reading) {
      this.#again = true;
      return this.#reading;
    }
    this.#reading = (async () => {
      try {
        do {
          this.#again = false;
          await this.#readNewest();
        } while (this.#again);
      } finally {
        this.#reading = null;
      }
    })();
    return this.#reading;
  }

  async #readNewest() {
    const running = new Map(this.#running);
    const page = await call("GET", `/api/chat/sessions?limit=${PAGE}`);
    const oldest = page.items.at(-1)?.updated_at;
    const here = new Set(page.items.map(({ session_id }) => session_id));
    for (const [id, session] of this.#sessions) {
      const wouldBeHere = !page.next_cursor || session.updated_at > oldest;
      if (wouldBeHere && !here.has(id) && !session.isOurs) this.#sessions.delete(id);
    }
    for (const session of page.items) {
      const before = this.#sessions.get(session.session_id);
      const isNews = before && session.message_count > before.message_count && !before.isOurs;
      if (isNews && session.session_id !== this.#current) this.#unread.add(session.session_id);
      this.#sessions.set(session.session_id, session);
      // What the stream told meanwhile is newer.
      if (this.#running.get(session.session_id) === running.get(session.session_id)) this.#running.delete(session.session_id);
    }
    keepUnread(this.#unread);
    if (!this.loaded) this.#cursor = page.next_cursor;
    if (!page.next_cursor) this.#all = true;
    this.loaded = true;
    this.#draw();
  }

  async #more() {
    const page = await call("GET", `/api/chat/sessions?limit=${PAGE}&cursor=${encodeURIComponent(this.#cursor)}`).catch(() => null);
    if (!page) return;
    for (const session of page.items) this.#sessions.set(session.session_id, session);
    this.#cursor = page.next_cursor;
    this.#all = !page.next_cursor;
    this.#draw();
  }

  async #search() {
    this.#draw();
    if (this.#all || !byId("search").value.trim()) return;
    if (this.#searching) return; // what is typed meanwhile is looked for in what comes
    this.#searching = true;
    const sessions = await callAll("/api/chat/sessions").catch(() => null);
    this.#searching = false;
    if (!sessions) return;
    for (const session of sessions) {
      if (!this.#sessions.has(session.session_id)) this.#sessions.set(session.session_id, session);
    }
    this.#all = true;
    this.#cursor = null;
    this.#draw();
  }

  /** Something of a session has changed: `{title, updated_at, …}`. It is made if it was not here. */
  put(sessionId, changes) {
    const before = this.#sessions.get(sessionId) ?? {
      session_id: sessionId, title: null, model_name: null, persona: null, message_count: 0, active_generation: null,
      updated_at: new Date().toISOString(),
    };
    this.#sessions.set(sessionId, { ...before, ...changes });
    this.#draw();
  }

  remove(sessionId) {
    this.#sessions.delete(sessionId);
    this.#unread.delete(sessionId);
    keepUnread(this.#unread);
    this.#draw();
  }

  open(sessionId) {
    this.#current = sessionId;
    if (this.#unread.delete(sessionId)) keepUnread(this.#unread);
    this.#draw();
  }

  /** One event of a session's stream. */
  hear({ type, session_id: sessionId, title }) {
    const ends = type === "done" || type === "stopped" || type === "failed";
    const before = this.#running.get(sessionId);
    if (!ends && before === true) return;
    this.#running.set(sessionId, !ends);
    if (ends && sessionId !== this.#current) {
      this.#unread.add(sessionId);
      keepUnread(this.#unread);
    }
    const session = this.#sessions.get(sessionId);
    if (!session) return;
    const now = new Date().toISOString();
    // Our clock may be behind the server's.
    const changes = type === "snapshot" || now < session.updated_at ? {} : { updated_at: now };
    this.put(sessionId, title ? { ...changes, title } : changes);
  }

  #isRunning(session) {
    return this.#running.get(session.session_id) ?? session.active_generation !== null;
  }

  #sorted() {
    return [...this.#sessions.values()].sort((one, other) => (one.updated_at < other.updated_at ? 1 : -1));
  }

  #draw(anew = false) {
    const sought = byId("search").value.trim().toLocaleLowerCase();
    const shown = this.#sorted().filter((session) => titleOf(session).toLocaleLowerCase().includes(sought));
    if (anew) this.#items.clear();
    const ids = new Set(shown.map(({ session_id }) => session_id));
    for (const id of this.#items.keys()) if (!ids.has(id)) this.#items.delete(id);
    const items = shown.map((session) => this.#item(session));
    // Only what moved is moved: a menu or the focus within an item stays where it is.
    for (const child of [...this.list.children]) if (!items.includes(child)) child.remove();
    items.forEach((item, index) => {
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
    });
    const none = byId("no-sessions");
    none.hidden = !this.loaded || shown.length > 0;
    none.textContent = t(sought ? "nothingFound" : "noConversations");
    byId("more-sessions").hidden = !this.#cursor || this.#all || Boolean(sought);
  }

  #item(session) {
    const id = session.session_id;
    let item = this.#items.get(id);
    if (!item) {
      item = this.#newItem(id);
      this.#items.set(id, item);
    }
    const title = titleOf(session);
    const { link, name, options, mark } = item.parts;
    if (name.textContent !== title) {
      name.textContent = title;
      link.title = title;
      options.setAttribute("aria-label", t("optionsFor", { title }));
    }
    if (id === this.#current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    const kind = this.#isRunning(session) ? "running" : this.#unread.has(id) ? "unread" : "";
    if (mark.dataset.kind !== kind) {
      mark.dataset.kind = kind;
      mark.className = `mark ${kind}`;
      mark.replaceChildren(...(kind ? [h("span", { class: "unseen" }, t(kind))] : []));
    }
    return item;
  }

  #newItem(id) {
    const name = h("span", { class: "name", dir: "auto" });
    const mark = h("span", { class: "mark" });
    const link = h("a", { href: `#/${id}`, onclick: () => this.actions.opened() }, name, mark);
    const options = h("button", { type: "button", class: "icon-button", "aria-haspopup": "menu", "aria-expanded": "false" }, icon("more"));
    options.addEventListener("click", () => {
      const session = this.#sessions.get(id);
      openMenu(options, t("optionsFor", { title: titleOf(session) }), [
        ["rename", () => this.actions.rename(session)],
        ["delete", () => this.actions.remove(session)],
      ]);
    });
    const item = h("li", {}, link, options);
    item.parts = { link, name, options, mark };
    return item;
  }
}

export const titleOf = (session) => session?.title || t("untitled");
