// Which conversation is open, what is read and heard of it, and what is sent.
import { goTo, renamePlace } from "./address.js";
import { call, pathOf, Problem } from "./api.js";
import { Composer } from "./composer.js";
import { Conversation, hasEnded } from "./conversation.js";
import { ConversationView } from "./conversation_view.js";
import { announce, byId, clearNotices, notice } from "./dom.js";
import { showSide } from "./drawer.js";
import { Head } from "./head.js";
import { Outbox, randomId } from "./outbox.js";
import { remove, rename } from "./session_actions.js";
import { Sidebar, titleOf } from "./sidebar.js";
import { Stream } from "./stream.js";
import { problemText, t } from "./words.js";

const FOLLOWED = 8; // sessions at the side whose marks are live though nothing runs there: each costs the server
const HELD = 12; // conversations whose turns are kept while others are looked at
const RETRY_AFTER = 2000; // ms, after a reading that failed

/** Does it, and tells the user what problem there was. */
export async function tried(work) {
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    notice(problemText(problem));
    return undefined;
  }
}

export class Chat {
  current = null; // the id of the open session; null in a chat that has not begun
  removing = new Set(); // sessions that this page is deleting
  #choices = {}; // of a chat that has not begun: {model_name, persona}
  #held = new Map(); // session id -> Conversation, the last used last
  #early = new Set(); // sessions of which the stream told something before the server's "accepted" came
  #regenerating = new Set(); // sessions whose regeneration was asked for and not yet accepted
  #retrying = null;
  #wasOpen = false;

  stream = new Stream();
  outbox = new Outbox();
  /** The other tabs of this browser. */
  tabs = new BroadcastChannel("llm-chat");
  head = new Head((field, value) => this.#choose(field, value));
  sidebar = new Sidebar({
    rename: (session) => tried(() => rename(this, session)),
    remove: (session) => tried(() => remove(this, session)),
    opened: () => showSide(false),
  });
  view = new ConversationView({
    regenerate: () => tried(() => this.#regenerate()),
    withdraw: (key) => this.#withdraw(key),
    showEarlier: () => tried(() => this.conversation?.loadOlder()),
  });
  composer = new Composer({
    send: (text, files) => this.#send(text, files),
    stop: () => tried(() => this.#stop()),
    session: () => this.#begin(),
    made: (sessionId) => this.#make(sessionId),
  });

  constructor() {
    this.stream.addEventListener("following", ({ detail }) => this.#followed(detail.session_id));
    this.stream.addEventListener("event", ({ detail }) => this.#hear(detail));
    this.stream.addEventListener("state", ({ detail }) => this.#lineIs(detail));
    this.outbox.addEventListener("accepted", ({ detail }) => this.#accepted(detail));
    this.outbox.addEventListener("refused", ({ detail }) => this.#refused(detail));
    addEventListener("online", () => this.outbox.hurry());
  }

  /** For the user whose things this browser keeps from now on. */
  async start(sessionId) {
    this.sidebar.start();
    this.composer.open("");
    this.outbox.start();
    for (const { sessionId, choices } of this.outbox.all) {
      if (choices) this.sidebar.put(sessionId, { ...choices, isOurs: true });
    }
    this.stream.start();
    tried(() => this.head.read());
    await this.open(sessionId);
    await this.readSessions();
  }

  stop() {
    this.stream.stop();
    this.outbox.stop();
    this.sidebar.stop();
    this.composer.reset();
    this.#held.clear();
    this.#early.clear();
    this.#choices = {};
    this.current = null;
    this.head.forget();
    this.view.show(null);
    clearNotices();
    renamePlace(null);
  }

  /** The one that is open, if it has begun. */
  get conversation() {
    return this.#held.get(this.current) ?? null;
  }

  /** What is drawn of a session, if it is not only in the list. */
  held(sessionId) {
    return this.#held.get(sessionId) ?? null;
  }

  /** Shows this session, or with null a chat that has not begun. */
  async open(sessionId) {
    this.current = sessionId;
    goTo(sessionId);
    clearNotices();
    this.composer.open(sessionId ?? "");
    this.sidebar.open(sessionId);
    this.drawHead();
    const isNew = !this.#held.has(sessionId);
    const conversation = sessionId === null ? null : this.#hold(sessionId);
    this.view.show(conversation);
    this.#drawActive();
    this.composer.focus();
    if (!conversation || !this.#isMade(sessionId)) return; // that "accepted" comes tells that it is made
    const wasFollowed = this.stream.followed.includes(sessionId);
    this.stream.follow(sessionId, { first: true });
    if (isNew && wasFollowed) this.stream.refollow(sessionId);
    // What is read before we follow may be old by then: it is read again, see #followed.
    if (this.stream.state !== "open" || (wasFollowed && !isNew)) await this.#read(conversation);
    if (this.current === sessionId && !this.sidebar.get(sessionId)) await this.#readSession(sessionId);
    if (this.current === sessionId) this.drawHead();
  }

  drawHead() {
    const session = this.current === null ? this.#choices : (this.sidebar.get(this.current) ?? {});
    this.head.draw(session, this.current === null);
  }

  #drawActive() {
    const active = this.conversation?.active;
    this.composer.answering(Boolean(active) && !hasEnded(active));
  }

  // What is read.

  /** A session of ours is made with its first message, and the server knows nothing of it before. */
  #isMade(sessionId) {
    return !this.sidebar.get(sessionId)?.isOurs;
  }

  #hold(sessionId) {
    const conversation = this.#held.get(sessionId) ?? this.#newConversation(sessionId);
    this.#held.delete(sessionId);
    this.#held.set(sessionId, conversation);
    for (const id of [...this.#held.keys()].slice(0, -HELD)) this.#held.delete(id);
    return conversation;
  }

  #newConversation(sessionId) {
    const conversation = new Conversation(sessionId);
    for (const { key, text, files } of this.outbox.of(sessionId)) conversation.ask({ key, text, files });
    conversation.addEventListener("change", ({ detail }) => {
      if (this.conversation !== conversation) return;
      this.view.changed(detail);
      if (!detail.grown) this.#drawActive();
    });
    conversation.addEventListener("unknown", () => {
      // Our own question may be on its way: its answer then says so, and nothing has to be read.
      if (this.outbox.of(sessionId).length) this.#early.add(sessionId);
      else this.#read(conversation);
    });
    return conversation;
  }

  async #read(conversation, isRetry = false) {
    try {
      await conversation.load();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 404) {
        if (!this.outbox.of(conversation.sessionId).length) this.gone(conversation.sessionId);
        return;
      }
      if (problem.status !== 0 && problem.status !== 401 && !isRetry) notice(problemText(problem));
      if (problem.passes) this.#readLater();
    }
  }

  /** The stream tells when the server is there again; without one there is nothing to be told by. */
  #readLater() {
    this.#retrying ??= setTimeout(() => {
      this.#retrying = null;
      if (this.conversation && this.#isMade(this.current)) this.#read(this.conversation, true);
    }, RETRY_AFTER);
  }

  /** One that the list has not told, or that is not there. */
  async #readSession(sessionId) {
    try {
      this.sidebar.put(sessionId, await call("GET", pathOf(sessionId)));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 404) this.gone(sessionId);
      else if (!problem.passes && problem.status !== 401) notice(problemText(problem));
    }
  }

  /** The list at the side, and what of it is worth following. */
  async readSessions() {
    try {
      await this.sidebar.load();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      return; // said by the state of the connection
    }
    const wanted = new Set(this.sidebar.worthFollowing(FOLLOWED).slice(0, 60));
    if (this.current) wanted.add(this.current);
    for (const sessionId of this.stream.followed) if (!wanted.has(sessionId)) this.stream.unfollow(sessionId);
    for (const sessionId of wanted) if (this.#isMade(sessionId)) this.stream.follow(sessionId);
    this.drawHead();
  }

  // What the stream tells.

  #followed(sessionId) {
    if (sessionId === this.current) this.#read(this.conversation);
  }

  #hear(event) {
    const { type, session_id: sessionId } = event;
    if (type === "gone") {
      this.gone(sessionId);
      return;
    }
    this.sidebar.hear(event);
    this.#held.get(sessionId)?.hear(event);
    if (sessionId !== this.current) return;
    const said = { start: "announceAnswering", reset: "beginsAgain", done: "announceAnswered", stopped: "announceStopped" };
    if (said[type]) announce(t(said[type]));
    if (event.title) this.drawHead();
  }

  #lineIs(state) {
    if (state !== "open") return;
    this.outbox.hurry();
    if (this.#wasOpen) this.readSessions();
    this.#wasOpen = true;
  }

  /** Somebody has deleted this session. */
  gone(sessionId) {
    if (this.removing.has(sessionId)) return; // by ourselves
    const session = this.sidebar.get(sessionId);
    const wasOpen = this.current === sessionId;
    const written = wasOpen ? this.composer.text : "";
    this.forget(sessionId);
    if (!wasOpen) return;
    if (written.trim()) this.composer.putBack("", written, []); // its files went with the session
    notice(session ? `${titleOf(session)}: ${t("sessionGone")}` : t("sessionGone"));
  }

  /** Somebody has cleared it. */
  cleared(sessionId) {
    const conversation = this.#held.get(sessionId);
    if (!conversation) return;
    conversation.cleared();
    this.#read(conversation);
  }

  /** All that the page has of a session that is no more. */
  forget(sessionId) {
    this.#held.delete(sessionId);
    this.stream.unfollow(sessionId);
    this.sidebar.remove(sessionId);
    if (this.current === sessionId) {
      renamePlace(null);
      this.open(null);
    }
    this.composer.forget(sessionId);
  }

  // What is sent.

  #send(text, files) {
    clearNotices();
    const isNew = this.current === null;
    // One whose first message was refused has still to be made.
    const { isOurs, model_name, persona } = this.sidebar.get(this.current) ?? {};
    const choices = isNew ? { ...this.#choices } : isOurs ? { model_name, persona } : null;
    const sessionId = this.current ?? newSessionId();
    const key = randomId();
    this.outbox.post({ key, at: Date.now(), sessionId, text, files, choices });
    if (isNew) {
      this.#began(sessionId);
      this.conversation.loaded = true;
    } else {
      this.#hold(sessionId).ask({ key, text, files });
    }
    this.view.toLatest();
  }

  /** The id of the open session; one begins if there is none. */
  #begin() {
    if (this.current === null) this.#began(newSessionId());
    return this.current;
  }

  /** Resolves once the server has it: a file can't wait for the first message. Raises Problem. */
  async #make(sessionId) {
    const { isOurs, model_name, persona } = this.sidebar.get(sessionId) ?? {};
    if (!isOurs) return;
    const session = await call("POST", "/api/chat/session", { body: { session_id: sessionId, model_name, persona } });
    this.sidebar.put(sessionId, { ...session, isOurs: false });
    if (this.current === sessionId) this.drawHead();
  }

  /** The chat that had not begun is this session from now on. */
  #began(sessionId) {
    this.current = sessionId;
    renamePlace(sessionId);
    this.composer.begun(sessionId);
    this.sidebar.put(sessionId, { ...this.#choices, isOurs: true });
    this.sidebar.open(sessionId);
    this.#choices = {};
    this.view.show(this.#hold(sessionId));
    this.drawHead();
    this.#drawActive();
  }

  #accepted({ message: { sessionId, key, choices }, reply }) {
    const conversation = this.#held.get(sessionId);
    conversation?.accept(key, reply);
    if (choices && this.sidebar.get(sessionId)) this.sidebar.put(sessionId, { isOurs: false });
    this.stream.follow(sessionId, { first: sessionId === this.current });
    if (this.#early.delete(sessionId) && conversation) this.#read(conversation);
    this.tabs.postMessage({ type: "accepted", key, reply });
    this.readSessions();
  }

  /** Another tab has sent it: what a reloaded page finds waiting is tried by all. */
  acceptedElsewhere({ key, reply }) {
    const message = this.outbox.withdraw(key);
    if (message) this.#held.get(message.sessionId)?.accept(key, reply);
    if (message?.choices) this.sidebar.put(message.sessionId, { isOurs: false });
    this.readSessions();
  }

  #refused({ message, problem }) {
    if (problem.code === "session_not_found" && !message.choices) {
      this.gone(message.sessionId);
      this.composer.putBack("", message.text, []); // nobody gets to that session's box any more
    } else {
      this.#putBack(message);
    }
    notice(t("notSent", { reason: problemText(problem) }));
  }

  #withdraw(key) {
    const message = this.outbox.withdraw(key);
    if (!message) return;
    this.#putBack(message);
    this.composer.focus();
    this.tabs.postMessage({ type: "withdrawn", key }); // each tab would send it
  }

  #putBack({ sessionId, key, text, files }) {
    this.#held.get(sessionId)?.withdraw(key);
    this.composer.putBack(sessionId, text, files);
    // It may have arrived all the same, or what the stream told was of another question.
    if (this.#early.delete(sessionId) && this.#held.has(sessionId)) this.#read(this.#held.get(sessionId));
  }

  // The answers.

  async #stop() {
    const answer = this.conversation?.running;
    if (!answer) return;
    byId("stop").setAttribute("aria-disabled", "true");
    try {
      await call("POST", `/api/chat/generations/${encodeURIComponent(answer.generationId)}/cancel`);
    } finally {
      byId("stop").removeAttribute("aria-disabled");
    }
  }

  async #regenerate() {
    const sessionId = this.current;
    if (this.#regenerating.has(sessionId)) return; // a double click
    this.#regenerating.add(sessionId);
    try {
      const reply = await call("POST", `${pathOf(sessionId)}/regenerate`, { key: randomId(), body: {} });
      this.#held.get(sessionId)?.regenerated(reply);
      this.sidebar.hear({ type: "start", session_id: sessionId });
      if (sessionId === this.current) this.composer.focus(); // the button is gone
    } finally {
      this.#regenerating.delete(sessionId);
    }
  }

  async #choose(field, chosen) {
    const sessionId = this.current;
    if (sessionId === null) {
      this.#choices = { ...this.#choices, [field]: chosen };
      return;
    }
    if (!this.#isMade(sessionId)) {
      this.sidebar.put(sessionId, { [field]: chosen });
      return;
    }
    await tried(async () => {
      this.sidebar.put(sessionId, await call("PATCH", pathOf(sessionId), { body: { [field]: chosen } }));
      this.tabs.postMessage({ type: "sessions" });
    });
    this.drawHead();
  }
}

const newSessionId = () => `session_${randomId()}`;
