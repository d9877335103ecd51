// The page's one socket. It follows as many sessions as the page asks for, and whenever it was cut it
// goes on where each of them stood.
import { renew, ticketQuery } from "./api.js";

const FIRST_WAIT = 500; // ms before the second attempt; doubled up to LONGEST_WAIT
const LONGEST_WAIT = 15_000;
const PING_EVERY = 20_000; // of silence
const PONG_WITHIN = 8_000;
const OPEN_WITHIN = 10_000;

const RESTARTING = 1012;
const NOT_SIGNED_IN = 4401;
const NO_SUCH_SESSION = 4404;

/**
 * Events: `event` (detail: one event of a session, protocol "Stream events"), `following` (detail:
 * `{session_id, last_event_id}`, the events from there on will come), and `state` (detail: "idle",
 * "open", "connecting" or "offline").
 */
export class Stream extends EventTarget {
  #wanted = new Map(); // session id -> the last event id seen, or null
  #home = null; // the one that the next connection begins with
  #socket = null;
  #isOpen = false;
  #attempts = 0;
  #refused = 0; // times in a row that our sign-in was not enough
  #timer = null;
  #watch = null;
  #paused = true;
  state = "idle";

  constructor() {
    super();
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.#lose());
    document.addEventListener("visibilitychange", () => {
      // A laptop that slept: its timers did too.
      if (document.visibilityState === "visible") this.#look();
    });
    addEventListener("pageshow", (event) => event.persisted && this.#hurry());
  }

  start() {
    this.#paused = false;
    this.#connect();
  }

  /** Leaves all sessions. */
  stop() {
    this.#paused = true;
    this.#wanted.clear();
    this.#home = null;
    this.#drop();
    this.#tell("idle");
  }

  get followed() {
    return [...this.#wanted.keys()];
  }

  /** Follows a session from where we stood, or from now on; `first` if it is what is looked at. */
  follow(sessionId, { first = false } = {}) {
    if (first || this.#home === null) this.#home = sessionId;
    if (this.#wanted.has(sessionId)) return;
    this.#wanted.set(sessionId, null);
    if (this.#isOpen) this.#ask(sessionId);
    else if (!this.#socket && this.#timer === null) this.#connect();
  }

  /** Follows it anew, without a cursor: what is running comes as one snapshot. */
  refollow(sessionId) {
    if (!this.#wanted.has(sessionId)) return;
    this.#wanted.set(sessionId, null);
    if (this.#isOpen) this.#ask(sessionId);
  }

  unfollow(sessionId) {
    if (!this.#wanted.delete(sessionId)) return;
    if (this.#isOpen) this.#say({ type: "unfollow", session_id: sessionId });
    if (this.#home === sessionId) this.#home = this.followed[0] ?? null;
  }

  #ask(sessionId) {
    const cursor = this.#wanted.get(sessionId);
    this.#say({ type: "follow", session_id: sessionId, ...(cursor && { last_event_id: cursor }) });
  }

  #say(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#paused || this.#socket || this.#home === null) return;
    this.#tell(navigator.onLine === false ? "offline" : "connecting");
    const home = this.#home;
    const query = new URLSearchParams({ session_id: home });
    const cursor = this.#wanted.get(home);
    if (cursor) query.set("last_event_id", cursor);
    // Stands for the attempt while there is no socket yet, so that there is one attempt at a time.
    const attempt = { close() {} };
    this.#socket = attempt;
    let ticket;
    try {
      ticket = await ticketQuery();
    } catch (problem) {
      if (this.#socket !== attempt) return;
      this.#socket = null;
      this.#later(problem.retryAfter);
      return;
    }
    if (this.#socket !== attempt) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws?${query}${ticket && "&"}${ticket}`);
    this.#socket = socket;
    this.#watch = setTimeout(() => this.#cut(socket), OPEN_WITHIN);
    socket.onmessage = (message) => this.#hear(socket, JSON.parse(message.data), home);
    socket.onclose = (closing) => this.#closed(socket, closing.code, home);
  }

  #hear(socket, frame, home) {
    if (socket !== this.#socket) return;
    this.#listen(socket);
    switch (frame.type) {
      case "session":
        this.#opened(frame, home);
        break;
      case "following":
        this.#at(frame);
        break;
      case "unfollowed":
      case "pong":
      case "accepted":
      case "cancelling":
      case "error":
        break; // about frames of ours; a refused follow is of a session that the list will miss, too
      default:
        this.#event(frame);
    }
  }

  #opened(frame, home) {
    this.#isOpen = true;
    this.#attempts = 0;
    this.#refused = 0;
    this.#at(frame);
    for (const sessionId of this.followed) if (sessionId !== home) this.#ask(sessionId);
    if (!this.#wanted.has(home)) this.#say({ type: "unfollow", session_id: home });
    this.#tell("open");
  }

  #at({ session_id, last_event_id }) {
    if (!this.#wanted.has(session_id)) return;
    this.dispatchEvent(new CustomEvent("following", { detail: { session_id, last_event_id } }));
  }

  #event(event) {
    const sessionId = event.session_id;
    if (!this.#wanted.has(sessionId)) return; // what was on its way when we left
    if (event.id) this.#wanted.set(sessionId, event.id);
    if (event.type === "gone") {
      this.#wanted.delete(sessionId);
      if (this.#home === sessionId) this.#home = this.followed[0] ?? null;
    }
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }

  #closed(socket, code, home) {
    if (socket !== this.#socket) return;
    this.#forget();
    if (code === NO_SUCH_SESSION) {
      this.#event({ type: "gone", session_id: home, generation_id: null });
      this.#connect();
      if (!this.#socket) this.#tell("idle");
    } else if (code === NOT_SIGNED_IN) {
      this.#enterAgain();
    } else {
      // All who were connected to a process that restarts come back at once: not in one moment.
      this.#later(code === RESTARTING ? Math.random() * 1000 : null);
    }
  }

  async #enterAgain() {
    this.#refused += 1;
    try {
      await renew();
    } catch (problem) {
      if (problem.passes) this.#later(null);
      return; // or somebody has to sign in
    }
    if (this.#refused > 1) this.#later(null);
    else this.#connect();
  }

  #later(wait) {
    this.#attempts += 1;
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.#attempts - 1));
    this.#tell(navigator.onLine === false ? "offline" : "connecting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait ?? longest * (0.5 + Math.random() / 2));
  }

  /** Now, whatever we were waiting for. */
  #hurry() {
    if (this.#paused) return;
    this.#attempts = 0;
    if (this.#isOpen) this.#look();
    else if (!this.#socket) this.#connect();
  }

  /** The network says that it is gone. */
  #lose() {
    if (this.#paused || this.#home === null) return;
    if (this.#socket) this.#cut(this.#socket);
    else this.#tell("offline");
  }

  /** Whether anybody is still there. */
  #look() {
    const socket = this.#socket;
    if (!this.#isOpen) {
      if (!socket && !this.#paused) this.#connect();
      return;
    }
    this.#say({ type: "ping" });
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#cut(socket), PONG_WITHIN);
  }

  #listen(socket) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => socket === this.#socket && this.#look(), PING_EVERY);
  }

  /** Without waiting for an answer to the closing, which may never come. */
  #cut(socket) {
    if (socket !== this.#socket) return;
    this.#drop();
    this.#later(null);
  }

  #drop() {
    const socket = this.#socket;
    this.#forget();
    socket?.close();
  }

  #forget() {
    clearTimeout(this.#watch);
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#socket = null;
    this.#isOpen = false;
  }

  #tell(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
