// What the user has sent and the server has not accepted yet. It is kept in the browser, so that neither
// a cut line nor a reload loses it, and each message has a key, so that it arrives once however often it
// is sent.
import { call, pathOf, Problem } from "./api.js";
import { forgetOutgoing, keepOutgoing, outboxKept } from "./kept.js";

const FIRST_WAIT = 1000; // ms
const LONGEST_WAIT = 15_000;

/** So many random bytes as hexadecimal digits; `randomUUID` is not to be had on plain http. */
export function randomId(bytes = 16) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A message is `{key, at, sessionId, text, files, choices}`; `choices` are those of a session which the
 * message begins (`{model_name, persona}`), else null.
 * Events: `accepted` (detail: `{message, reply}`) and `refused` (detail: `{message, problem}`).
 */
export class Outbox extends EventTarget {
  #waiting = [];
  #sending = null; // the AbortController of what is on its way
  #timer = null;
  #failures = 0;
  #paused = true;

  start() {
    this.#waiting = outboxKept();
    this.#paused = false;
    this.#next();
  }

  stop() {
    this.#paused = true;
    this.#waiting = [];
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#sending?.abort();
    this.#sending = null;
  }

  get all() {
    return [...this.#waiting];
  }

  of(sessionId) {
    return this.#waiting.filter((message) => message.sessionId === sessionId);
  }

  post(message) {
    keepOutgoing(message);
    this.#waiting.push(message);
    if (this.#timer === null) this.#next();
  }

  /** The message, which will not be sent any more (or was, if its answer is on the way); null if it is not here. */
  withdraw(key) {
    const index = this.#waiting.findIndex((message) => message.key === key);
    if (index < 0) return null;
    if (index === 0) this.#sending?.abort();
    const [message] = this.#waiting.splice(index, 1);
    forgetOutgoing(key);
    return message;
  }

  /** The server is there again. */
  hurry() {
    this.#failures = 0;
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#next();
  }

  async #next() {
    this.#timer = null;
    if (this.#paused || this.#sending || !this.#waiting.length) return;
    const [message] = this.#waiting;
    const sending = (this.#sending = new AbortController());
    // Long after any proxy has given up; the same key makes another attempt harmless.
    const limit = setTimeout(() => sending.abort(), 30_000);
    let outcome;
    try {
      outcome = { reply: await this.#send(message, sending.signal) };
    } catch (problem) {
      outcome = { problem: problem.name === "AbortError" ? new Problem({ code: "offline" }) : problem };
    }
    clearTimeout(limit);
    if (this.#sending === sending) this.#sending = null;
    const here = this.#waiting[0] === message;
    if (outcome.reply) this.#done("accepted", message, { message, reply: outcome.reply });
    else if (here && !(outcome.problem.passes || outcome.problem.status === 401)) {
      this.#done("refused", message, { message, problem: outcome.problem });
    } else if (here) {
      this.#failures += 1;
      const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.#failures - 1));
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#next(), outcome.problem.retryAfter ?? wait);
      return;
    }
    this.#next();
  }

  #done(kind, message, detail) {
    this.#failures = 0;
    this.#waiting = this.#waiting.filter((other) => other !== message);
    forgetOutgoing(message.key);
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  async #send({ key, sessionId, text, files, choices }, signal) {
    if (choices) await call("POST", "/api/chat/session", { body: { session_id: sessionId, ...choices }, signal });
    return await call("POST", `${pathOf(sessionId)}/messages`, {
      key, signal, body: { message: text, ...(files.length && { file_ids: files.map(({ id }) => id) }) },
    });
  }
}
