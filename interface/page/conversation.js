// One session as the page knows it: its turns, made of what the database keeps and of what the stream
// tells since. No document here: who draws it listens to `change`.
import { call, pathOf } from "./api.js";

const PAGE = 50; // messages at a time
const ENDED = { done: "completed", stopped: "stopped", failed: "failed" };

/** Ends are final: what comes after is late. */
export const hasEnded = ({ state }) => state !== "queued" && state !== "running";

const newAnswer = (generationId, state) => ({
  generationId, state, text: "", reasoning: "", model: null, usage: null, finishReason: null, error: null, attempt: 0,
});

/**
 * A turn is a question and what became of it:
 * `{question: {id, text, files, key}, generationId, answer}`. `id` is null until the server has
 * accepted it, `key` the idempotency key of what this page sent.
 * An answer: `{generationId, state, text, reasoning, model, usage, finishReason, error, attempt}`;
 * `state` is queued, running, completed, stopped or failed, `error` a problem of the server's.
 */
export class Conversation extends EventTarget {
  turns = [];
  older = null; // the cursor of what came before, or null
  loaded = false;
  #live = new Map(); // generation id -> answer, of what the stream tells
  #loading = null;
  #again = false;
  #accepted = 0; // counts, so that what is read can be told older than what was accepted meanwhile

  constructor(sessionId) {
    super();
    this.sessionId = sessionId;
  }

  /** The answer that is being written or waits for its turn, if there is one. */
  get active() {
    return this.turns.findLast(({ answer }) => answer && !hasEnded(answer))?.answer ?? null;
  }

  get running() {
    return this.turns.find(({ answer }) => answer?.state === "running")?.answer ?? this.active;
  }

  /** Reads the latest messages; a call during another leads to one more. Raises Problem. */
  load() {
    if (this.#loading) {
      this.#again = true;
      return this.#loading;
    }
    this.#loading = (async () => {
      try {
        do {
          this.#again = false;
          await this.#readLatest();
        } while (this.#again);
      } finally {
        this.#loading = null;
      }
    })();
    return this.#loading;
  }

  async #readLatest() {
    const path = `${pathOf(this.sessionId)}/messages?order=desc&limit=`;
    const began = this.#accepted;
    let page = await call("GET", path + PAGE);
    let items = page.items;
    // As far back as what is shown already: what lies between would be missing, or stay though it is gone.
    const oldest = this.turns.find(({ question }) => question.id)?.question.id ?? null;
    while (this.loaded && oldest !== null && page.next_cursor && items.at(-1).id > oldest) {
      page = await call("GET", `${path}100&cursor=${encodeURIComponent(page.next_cursor)}`);
      items = items.concat(page.items);
    }
    const turns = this.#turnsOf(items.reverse());
    this.older = page.next_cursor;
    const ids = new Set(turns.map(({ question }) => question.id));
    const notYet = this.turns.filter(
      ({ question, accepted }) => question.id === null || (accepted > began && !ids.has(question.id)),
    );
    const known = new Map(this.turns.map((turn) => [turn.question.id, turn]));
    this.turns = [...turns.map((turn) => this.#merged(known.get(turn.question.id), turn)), ...notYet];
    this.loaded = true;
    this.#changed();
    await this.#explain(this.turns);
  }

  /** What came before what is shown. Raises Problem. */
  async loadOlder() {
    await this.#loading?.catch(() => {}); // it puts what it reads in the place of all
    const cursor = this.older;
    if (cursor === null) return;
    const page = await call("GET", `${pathOf(this.sessionId)}/messages?order=desc&limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`);
    if (this.older !== cursor) return;
    this.older = page.next_cursor;
    const turns = this.#turnsOf(page.items.reverse()).map((turn) => this.#merged(undefined, turn));
    // An answer whose question was on this page.
    const first = this.turns[0];
    const last = turns.at(-1);
    if (first && last && first.question.id === undefined && first.generationId === last.generationId) {
      last.answer = first.answer;
      this.turns.shift();
    }
    this.turns.unshift(...turns);
    this.#changed();
    await this.#explain(turns);
  }

  #turnsOf(messages) {
    const turns = [];
    for (const message of messages) {
      if (message.role === "user") {
        turns.push({
          question: { id: message.id, text: message.content, files: message.files ?? [], key: null },
          generationId: message.generation_id,
          answer: null,
        });
      } else if (message.role === "assistant") {
        const asked = turns.findLast((turn) => turn.generationId === message.generation_id);
        const answer = newAnswer(message.generation_id, message.status ?? "completed");
        answer.text = message.content;
        answer.usage = message.usage ?? null;
        answer.finishReason = message.finish_reason ?? null;
        if (asked) asked.answer = answer;
        else turns.push({ question: { id: undefined, text: null, files: [], key: null }, generationId: message.generation_id, answer });
      }
    }
    return turns;
  }

  /** What the database says, and what the stream knows beyond it. */
  #merged(known, fresh) {
    const before = known?.generationId === fresh.generationId ? known.answer : null;
    const turn = known ?? fresh;
    turn.question.files = fresh.question.files;
    turn.generationId = fresh.generationId;
    const stored = fresh.answer;
    const said = this.#live.get(fresh.generationId) ?? before;
    if (stored) {
      this.#live.delete(fresh.generationId);
      stored.error = said?.error ?? null;
      stored.reasoning = said?.reasoning ?? "";
    }
    // The same object as long as it says the same, so that it need not be drawn again.
    turn.answer = stored && !(said?.state === stored.state && said.text === stored.text) ? stored : said;
    turn.answer ??= { ...newAnswer(fresh.generationId, "queued"), unsure: true };
    return turn;
  }

  /** Why some have no answer, or half of one: their generations know. */
  async #explain(turns) {
    const unclear = turns.filter(({ answer }) => answer && (!hasEnded(answer) || (answer.state === "failed" && !answer.error)));
    await Promise.all(unclear.map((turn) => this.#ask(turn)));
  }

  async #ask(turn) {
    const { answer, generationId } = turn;
    const { state: before, unsure: wasUnsure } = answer;
    let shown;
    try {
      shown = await call("GET", `/api/chat/generations/${encodeURIComponent(generationId)}`);
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      shown = { status: "failed", error: problem, text: "" };
    }
    if (turn.answer !== answer || hasEnded(answer) !== hasEnded({ state: before })) return; // the stream was faster
    if (!hasEnded({ state: shown.status })) {
      // What it has so far comes by the stream.
      if (!wasUnsure || !answer.unsure) return;
      answer.state = shown.status;
    } else {
      if (!hasEnded(answer)) answer.text = shown.text ?? "";
      Object.assign(answer, { state: shown.status, error: shown.error ?? null, usage: shown.usage ?? null });
      answer.finishReason ??= shown.finish_reason ?? null;
    }
    answer.model ??= shown.model_name ?? null;
    delete answer.unsure;
    this.#changed(turn);
  }

  /** One event of the session's stream. */
  hear(event) {
    const generationId = event.generation_id;
    const turn = this.turns.find((turn) => turn.generationId === generationId);
    if (turn?.answer && hasEnded(turn.answer)) return; // the database was faster
    let answer = this.#live.get(generationId) ?? turn?.answer;
    answer ??= newAnswer(generationId, "running");
    this.#live.set(generationId, answer);
    delete answer.unsure;
    this.#tell(answer, event);
    if (turn) {
      const grown = turn.answer === answer && (event.type === "chunk" || event.type === "reasoning");
      turn.answer = answer;
      this.#changed(turn, grown ? event : null);
    } else {
      // A question of another page, or an answer that takes the place of a former one.
      this.dispatchEvent(new Event("unknown"));
    }
  }

  #tell(answer, event) {
    switch (event.type) {
      case "start":
      case "reset":
        Object.assign(answer, { state: "running", text: "", reasoning: "", model: event.model_name, attempt: event.attempt });
        break;
      case "snapshot":
        Object.assign(answer, { state: "running", text: event.text, reasoning: event.reasoning ?? "", attempt: event.attempt });
        break;
      case "chunk":
        answer.state = "running";
        answer.text += event.chunk;
        break;
      case "reasoning":
        answer.state = "running";
        answer.reasoning += event.chunk;
        break;
      default:
        answer.state = ENDED[event.type] ?? answer.state;
        answer.usage = event.usage ?? null;
        answer.finishReason = event.finish_reason ?? null;
        answer.error = event.error ?? null;
    }
  }

  /** A question on its way. */
  ask(question) {
    this.turns.push({ question: { id: null, ...question }, generationId: null, answer: null });
    this.#changed();
  }

  /** The server has it. */
  accept(key, { message_id, generation_id }) {
    const turn = this.turns.find((turn) => turn.question.key === key && turn.question.id === null);
    if (!turn) return;
    const twin = this.turns.find((other) => other.question.id === message_id);
    if (twin) {
      this.turns = this.turns.filter((other) => other !== turn);
    } else {
      turn.question.id = message_id;
      turn.accepted = this.#accepted += 1;
      turn.generationId = generation_id;
      turn.answer = this.#live.get(generation_id) ?? newAnswer(generation_id, "queued");
    }
    this.#changed();
  }

  /** It will not be sent. */
  withdraw(key) {
    this.turns = this.turns.filter((turn) => turn.question.id !== null || turn.question.key !== key);
    this.#changed();
  }

  /** The answer of the last turn is to be written anew: it has been accepted. */
  regenerated({ generation_id, message_id }) {
    const turn = this.turns.find(({ question }) => question.id === message_id);
    this.#again = this.#loading !== null; // what is on its way may be the answer of before
    if (!turn || turn.generationId === generation_id) return;
    turn.generationId = generation_id;
    turn.answer = this.#live.get(generation_id) ?? newAnswer(generation_id, "queued");
    this.#changed(turn);
  }

  /** All that was; what was asked since has to be read. */
  cleared() {
    this.turns = this.turns.filter(({ question }) => question.id === null);
    this.older = null;
    for (const [generationId, answer] of this.#live) if (hasEnded(answer)) this.#live.delete(generationId);
    this.#changed();
  }

  /** `grown` is the chunk by which the answer of `turn` has become longer, if that is all. */
  #changed(turn = null, grown = null) {
    this.dispatchEvent(new CustomEvent("change", { detail: { turn, grown } }));
  }
}
