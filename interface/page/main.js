// The page from its start: which conversation is open, and who tells whom.
import { call, dropAccess, enter, isSignedIn, Problem, signOut, whenSignedOut } from "./api.js";
import { Composer } from "./composer.js";
import { Conversation, hasEnded } from "./conversation.js";
import { ConversationView } from "./conversation_view.js";
import { askText, confirm } from "./dialogs.js";
import { announce, byId, clearNotices, drawIcons, h, notice } from "./dom.js";
import { forgetUser, keepFor } from "./kept.js";
import { Outbox, randomId } from "./outbox.js";
import { openSettings } from "./settings.js";
import { Sidebar, titleOf } from "./sidebar.js";
import { askWho } from "./sign_in.js";
import { Stream } from "./stream.js";
import { problemText, t, translate } from "./words.js";

const FOLLOWED = 8; // sessions at the side whose marks are live though nothing runs there: each costs the server
const HELD = 12; // conversations whose turns are kept while others are looked at
const LOOK_EVERY = 30_000; // ms: what other devices have begun

let user = null;
let current = null; // the id of the open session; null in a chat that has not begun
let choices = {}; // of a chat that has not begun: {model_name, persona}
const NOTHING_KNOWN = { models: { models: [], default: null }, personas: { names: [], default: null } };
let known = NOTHING_KNOWN;
const held = new Map(); // session id -> Conversation, the last used last
const removing = new Set(); // sessions that this page is deleting
const early = new Set(); // sessions of which the stream told something before the server's "accepted" came

const stream = new Stream();
const outbox = new Outbox();
const tabs = new BroadcastChannel("llm-chat");

const sidebar = new Sidebar({
  rename: (session) => rename(session),
  remove: (session) => remove(session),
  opened: () => showSide(false),
});
const view = new ConversationView({
  regenerate: () => tried(regenerate),
  withdraw: (key) => withdraw(key),
  showEarlier: () => tried(() => held.get(current)?.loadOlder()),
});
const composer = new Composer({
  send: (text, files) => send(text, files),
  stop: () => tried(stop),
  session: () => begin(),
  made: (sessionId) => made(sessionId),
});

async function tried(work) {
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    notice(problemText(problem));
    return undefined;
  }
}

// Entering and leaving.

async function start(reason = null) {
  let wait = 500;
  for (;;) {
    try {
      user = (reason === null ? await enter() : null) ?? (await askWho(reason));
      break;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      byId("chat").hidden = false;
      byId("connection").textContent = problemText(problem);
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(10_000, wait * 2);
    }
  }
  byId("connection").textContent = "";
  byId("chat").hidden = false;
  keepFor(user.id);
  sidebar.start();
  composer.open("");
  outbox.start();
  for (const { sessionId, choices } of outbox.all) if (choices) sidebar.put(sessionId, { ...choices, isOurs: true });
  stream.start();
  tried(readChoices);
  await open(sessionOfAddress());
  await readSessions();
}

function leave(reason) {
  if (!user) return;
  user = null;
  stream.stop();
  outbox.stop();
  sidebar.stop();
  composer.reset();
  held.clear();
  early.clear();
  current = null;
  choices = {};
  known = NOTHING_KNOWN;
  drawHead();
  view.show(null);
  clearNotices();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  history.replaceState(null, "", "#/");
  start(reason);
}

async function signOutHere() {
  await tried(async () => {
    try {
      await signOut();
    } catch (problem) {
      if (problem.status !== 401) throw problem;
    }
    forgetUser();
    tabs.postMessage({ type: "signed-out" });
    leave("");
  });
}

whenSignedOut(() => leave(t("signedOutElsewhere")));

// Which conversation is open.

function sessionOfAddress() {
  try {
    return decodeURIComponent(location.hash.match(/^#\/(.+)$/)?.[1] ?? "") || null;
  } catch {
    return null; // no address of ours
  }
}

const addressOf = (sessionId) => `#/${sessionId ? encodeURIComponent(sessionId) : ""}`;

async function open(sessionId) {
  current = sessionId;
  if (sessionOfAddress() !== sessionId) history.pushState(null, "", addressOf(sessionId));
  clearNotices();
  composer.open(sessionId ?? "");
  sidebar.open(sessionId);
  drawHead();
  if (sessionId === null) {
    view.show(null);
    composer.answering(false);
    composer.focus();
    return;
  }
  const isNew = !held.has(sessionId);
  const conversation = hold(sessionId);
  view.show(conversation);
  drawActive();
  composer.focus();
  if (!isMade(sessionId)) return; // that "accepted" comes tells that it is
  const wasFollowed = stream.followed.includes(sessionId);
  stream.follow(sessionId, { first: true });
  if (isNew && wasFollowed) stream.refollow(sessionId);
  // What is read before we follow may be old by then: it is read again, see `following`.
  if (stream.state !== "open" || (wasFollowed && !isNew)) await readConversation(conversation);
  if (current !== sessionId) return;
  if (!sidebar.get(sessionId)) await readSession(sessionId);
  if (current === sessionId) drawHead();
}

/** A session of ours is made with its first message, and the server knows nothing of it before. */
const isMade = (sessionId) => !sidebar.get(sessionId)?.isOurs;

function hold(sessionId) {
  const conversation = held.get(sessionId) ?? newConversation(sessionId);
  held.delete(sessionId);
  held.set(sessionId, conversation);
  for (const id of [...held.keys()].slice(0, -HELD)) held.delete(id);
  return conversation;
}

function newConversation(sessionId) {
  const conversation = new Conversation(sessionId);
  for (const { key, text, files } of outbox.of(sessionId)) conversation.ask({ key, text, files });
  conversation.addEventListener("change", ({ detail }) => {
    if (current !== sessionId || held.get(sessionId) !== conversation) return;
    view.changed(detail);
    if (!detail.grown) drawActive();
  });
  conversation.addEventListener("unknown", () => {
    // Our own question may be on its way: its answer then says so, and nothing has to be read.
    if (outbox.of(sessionId).length) early.add(sessionId);
    else readConversation(conversation);
  });
  return conversation;
}

async function readConversation(conversation, isRetry = false) {
  try {
    await conversation.load();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 404) {
      if (!outbox.of(conversation.sessionId).length) gone(conversation.sessionId);
    } else {
      if (problem.status !== 0 && problem.status !== 401 && !isRetry) notice(problemText(problem));
      if (problem.passes) retryReading();
    }
  }
}

let retrying = null;
function retryReading() {
  // The stream tells when the server is there again; without one there is nothing to be told by.
  if (retrying !== null) return;
  retrying = setTimeout(() => {
    retrying = null;
    const conversation = held.get(current);
    if (conversation && isMade(current)) readConversation(conversation, true);
  }, 2000);
}

/** One that the list has not told, or that is not there. */
async function readSession(sessionId) {
  try {
    sidebar.put(sessionId, await call("GET", `/api/chat/sessions/${encodeURIComponent(sessionId)}`));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 404) gone(sessionId);
    else if (!problem.passes && problem.status !== 401) notice(problemText(problem));
  }
}

function gone(sessionId) {
  if (removing.has(sessionId)) return; // by ourselves
  const title = sidebar.get(sessionId) ? titleOf(sidebar.get(sessionId)) : null;
  const written = current === sessionId ? composer.text : "";
  held.delete(sessionId);
  stream.unfollow(sessionId);
  sidebar.remove(sessionId);
  if (current !== sessionId) {
    composer.forget(sessionId);
    return;
  }
  history.replaceState(null, "", "#/");
  open(null);
  composer.forget(sessionId);
  if (written.trim()) composer.putBack("", written, []); // its files went with the session
  notice(title ? `${title}: ${t("sessionGone")}` : t("sessionGone"));
}

async function readSessions() {
  try {
    await sidebar.load();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return; // said by the state of the connection
  }
  followAll();
  drawHead();
}

/** What is looked at, where an answer is being written, the newest, and no more. */
function followAll() {
  const wanted = new Set(sidebar.worthFollowing(FOLLOWED).slice(0, 60));
  if (current) wanted.add(current);
  for (const sessionId of stream.followed) if (!wanted.has(sessionId)) stream.unfollow(sessionId);
  for (const sessionId of wanted) if (isMade(sessionId)) stream.follow(sessionId);
}

// What the stream tells.

stream.addEventListener("following", ({ detail: { session_id: sessionId } }) => {
  if (sessionId === current) readConversation(held.get(sessionId));
});

stream.addEventListener("event", ({ detail: event }) => {
  const sessionId = event.session_id;
  if (event.type === "gone") {
    gone(sessionId);
    return;
  }
  sidebar.hear(event);
  held.get(sessionId)?.hear(event);
  if (sessionId !== current) return;
  if (event.type === "start") announce(t("announceAnswering"));
  if (event.type === "reset") announce(t("beginsAgain"));
  if (event.type === "done") announce(t("announceAnswered"));
  if (event.type === "stopped") announce(t("announceStopped"));
  if (event.title) drawHead();
});

let wasOpen = false;
stream.addEventListener("state", ({ detail: state }) => {
  if (state === "open") {
    outbox.hurry();
    if (wasOpen) readSessions();
    wasOpen = true;
  }
  drawConnection();
});

let slow = null;
function drawConnection() {
  const place = byId("connection");
  clearTimeout(slow);
  const { state } = stream;
  // Who has no network may still have a server on this machine: the line itself knows.
  if (state === "offline") place.textContent = t("offline");
  else if (state !== "connecting") place.textContent = "";
  // A line that is back within a moment is nobody's business.
  else slow = setTimeout(() => (place.textContent = t("reconnecting")), 700);
}
addEventListener("online", () => {
  outbox.hurry();
  drawConnection();
});
addEventListener("offline", drawConnection);

// Sending, stopping, and the rest that the user can do.

function send(text, files) {
  clearNotices();
  const isNew = current === null;
  // One whose first message was refused has still to be made.
  const { isOurs, model_name, persona } = sidebar.get(current) ?? {};
  const first = isNew ? { ...choices } : isOurs ? { model_name, persona } : null;
  const sessionId = current ?? `session_${randomId()}`;
  const key = randomId();
  const message = { key, at: Date.now(), sessionId, text, files, choices: first };
  outbox.post(message);
  if (isNew) {
    began(sessionId);
    held.get(sessionId).loaded = true;
  } else {
    hold(sessionId).ask({ key, text, files });
  }
  view.toLatest();
}

/** The id of the open session; one begins if there is none. */
function begin() {
  if (current === null) began(`session_${randomId()}`);
  return current;
}

/** Resolves once the server has it: a file can't wait for the first message. Raises Problem. */
async function made(sessionId) {
  const { isOurs, model_name, persona } = sidebar.get(sessionId) ?? {};
  if (!isOurs) return;
  const session = await call("POST", "/api/chat/session", { body: { session_id: sessionId, model_name, persona } });
  sidebar.put(sessionId, { ...session, isOurs: false });
  if (current === sessionId) drawHead();
}

/** The chat that had not begun is this session from now on. */
function began(sessionId) {
  current = sessionId;
  history.replaceState(null, "", addressOf(sessionId));
  composer.begun(sessionId);
  sidebar.put(sessionId, { ...choices, isOurs: true });
  sidebar.open(sessionId);
  choices = {};
  view.show(hold(sessionId));
  drawHead();
  drawActive();
}

outbox.addEventListener("accepted", ({ detail: { message, reply } }) => {
  const { sessionId, key } = message;
  const conversation = held.get(sessionId);
  conversation?.accept(key, reply);
  if (message.choices && sidebar.get(sessionId)) sidebar.put(sessionId, { isOurs: false });
  stream.follow(sessionId, { first: sessionId === current });
  if (early.delete(sessionId) && conversation) readConversation(conversation);
  tabs.postMessage({ type: "sessions" });
  readSessions();
});

outbox.addEventListener("refused", ({ detail: { message, problem } }) => {
  if (problem.code === "session_not_found" && !message.choices) {
    gone(message.sessionId);
    composer.putBack("", message.text, []); // nobody gets to that session's box any more
  } else {
    putBack(message);
  }
  notice(t("notSent", { reason: problemText(problem) }));
});

function withdraw(key) {
  const message = outbox.withdraw(key);
  if (!message) return;
  putBack(message);
  composer.focus();
  tabs.postMessage({ type: "withdrawn", key }); // each tab would send it
}

function putBack(message) {
  const { sessionId, key, text, files } = message;
  held.get(sessionId)?.withdraw(key);
  composer.putBack(sessionId, text, files);
  // It may have arrived all the same, or what the stream told was of another question.
  if (early.delete(sessionId) && held.has(sessionId)) readConversation(held.get(sessionId));
}

async function stop() {
  const answer = held.get(current)?.running;
  if (!answer) return;
  byId("stop").setAttribute("aria-disabled", "true");
  try {
    await call("POST", `/api/chat/generations/${encodeURIComponent(answer.generationId)}/cancel`);
  } finally {
    byId("stop").removeAttribute("aria-disabled");
  }
}

const regenerating = new Set(); // sessions whose regeneration was asked for and not yet accepted
async function regenerate() {
  const sessionId = current;
  if (regenerating.has(sessionId)) return; // a double click
  regenerating.add(sessionId);
  try {
    const reply = await call("POST", `/api/chat/sessions/${encodeURIComponent(sessionId)}/regenerate`, { key: randomId(), body: {} });
    held.get(sessionId)?.regenerated(reply);
    sidebar.hear({ type: "start", session_id: sessionId });
    if (sessionId === current) composer.focus(); // the button is gone
  } finally {
    regenerating.delete(sessionId);
  }
}

async function rename(session) {
  const id = session.session_id;
  const title = await askText(t("renameTitle"), t("titleField"), session.title ?? "", 200);
  if (title === null || title === session.title) return;
  await tried(async () => {
    sidebar.put(id, await call("PATCH", `/api/chat/sessions/${encodeURIComponent(id)}`, { body: { title } }));
    drawHead();
    tabs.postMessage({ type: "sessions" });
  });
}

async function remove(session) {
  const id = session.session_id;
  if (!(await confirm(t("deleteTitle"), t("deleteText", { title: titleOf(session) }), t("delete")))) return;
  await tried(async () => {
    removing.add(id);
    try {
      await call("DELETE", `/api/chat/sessions/${encodeURIComponent(id)}`);
    } catch (problem) {
      if (problem.status !== 404) throw problem; // somebody was faster
    } finally {
      removing.delete(id);
    }
    for (const { key } of outbox.of(id)) outbox.withdraw(key);
    stream.unfollow(id);
    held.delete(id);
    sidebar.remove(id);
    if (current === id) {
      history.replaceState(null, "", "#/");
      open(null);
    }
    composer.forget(id);
    tabs.postMessage({ type: "sessions" });
  });
}

async function clear() {
  const sessionId = current;
  if (sessionId === null || !(await confirm(t("clearTitle"), t("clearText"), t("clear")))) return;
  await tried(async () => {
    await call("DELETE", `/api/chat/sessions/${encodeURIComponent(sessionId)}/messages`);
    cleared(sessionId);
    composer.focus();
    tabs.postMessage({ type: "cleared", sessionId });
  });
}

function cleared(sessionId) {
  const conversation = held.get(sessionId);
  if (!conversation) return;
  conversation.cleared();
  readConversation(conversation);
}

tabs.addEventListener("message", ({ data }) => {
  if (!user) return;
  if (data.type === "sessions") readSessions();
  if (data.type === "withdrawn") {
    const message = outbox.withdraw(data.key);
    if (message) held.get(message.sessionId)?.withdraw(data.key);
  }
  if (data.type === "cleared") cleared(data.sessionId);
  if (data.type === "signed-out" && isSignedIn()) {
    dropAccess();
    forgetUser();
    leave(t("signedOutElsewhere"));
  }
});

// Models and personas.

async function readChoices() {
  const [models, personas] = await Promise.all([call("GET", "/api/models"), call("GET", "/api/personas/")]);
  known = { models, personas: { names: personas.personas, default: personas.default } };
  drawHead();
}

async function choose(field, value) {
  const chosen = value || null;
  if (current === null) {
    choices = { ...choices, [field]: chosen };
    return;
  }
  const sessionId = current;
  if (sidebar.get(sessionId)?.isOurs) {
    sidebar.put(sessionId, { [field]: chosen });
    return;
  }
  await tried(async () => {
    sidebar.put(sessionId, await call("PATCH", `/api/chat/sessions/${encodeURIComponent(sessionId)}`, { body: { [field]: chosen } }));
    tabs.postMessage({ type: "sessions" });
  });
  drawHead();
}

// The head of the page.

function drawHead() {
  const session = current === null ? choices : (sidebar.get(current) ?? {});
  const title = titleOf(session);
  byId("title").textContent = title;
  document.title = session.title ? `${title} · llm-chat` : "llm-chat";
  const { models, personas } = known;
  const names = [...new Set(models.models.map(({ model_name }) => model_name))];
  const plain = models.default ? t("defaultModel", { name: models.default }) : t("defaultModelPlain");
  fill(byId("model"), plain, names, session.model_name);
  const none = personas.default ? t("defaultPersona", { name: personas.default }) : t("noPersona");
  fill(byId("persona"), none, personas.names, session.persona);
  byId("persona").hidden = !personas.names.length;
  byId("clear").hidden = current === null;
}

function fill(select, first, names, chosen) {
  // What was chosen and is not there any more is shown all the same: it is what would be asked.
  const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
  const options = [["", first], ...all.map((name) => [name, name])];
  const signature = JSON.stringify(options);
  if (select.dataset.options !== signature) {
    select.dataset.options = signature;
    select.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));
  }
  select.value = chosen ?? "";
}

function drawActive() {
  const active = held.get(current)?.active;
  composer.answering(Boolean(active) && !hasEnded(active));
}

// The side, on a phone.

const isPhone = matchMedia("(max-width: 759px)");

function showSide(is) {
  const shown = is && isPhone.matches;
  document.body.classList.toggle("side-open", shown);
  byId("main").inert = shown;
  byId("side").inert = isPhone.matches && !shown;
  byId("show-side").setAttribute("aria-expanded", String(shown));
  if (shown) byId("hide-side").focus();
  else if (is === false && isPhone.matches && document.activeElement === document.body) byId("show-side").focus();
}
isPhone.addEventListener("change", () => showSide(false));
byId("show-side").addEventListener("click", () => showSide(true));
byId("hide-side").addEventListener("click", () => showSide(false));
byId("shade").addEventListener("click", () => showSide(false));
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !document.body.classList.contains("side-open")) return;
  if (document.querySelector("dialog[open], :popover-open")) return; // it was meant for that
  showSide(false);
  byId("show-side").focus();
});

const showSettings = () =>
  openSettings(user, known.personas, {
    modelsChanged: () => tried(readChoices),
    personasChanged: () => tried(readChoices),
    signOut: () => signOutHere(),
  });
byId("open-settings").addEventListener("click", showSettings);
byId("sign-in").addEventListener("settings", showSettings);

byId("new-chat").addEventListener("click", () => {
  showSide(false);
  open(null);
});
byId("clear").addEventListener("click", clear);
byId("model").addEventListener("change", (event) => choose("model_name", event.target.value));
byId("persona").addEventListener("change", (event) => choose("persona", event.target.value));
for (const kind of ["hashchange", "popstate"]) {
  addEventListener(kind, () => {
    if (!user) return;
    // A link within the page, as the one to the message box is, leaves no conversation.
    if (location.hash && !location.hash.startsWith("#/")) history.replaceState(null, "", addressOf(current));
    else if (sessionOfAddress() !== current) open(sessionOfAddress());
  });
}
document.addEventListener("languagechange", () => {
  drawHead();
  drawConnection();
});
document.addEventListener("visibilitychange", () => {
  if (user && document.visibilityState === "visible") readSessions();
});
setInterval(() => user && document.visibilityState === "visible" && readSessions(), LOOK_EVERY);

translate(document);
drawIcons(document);
showSide(false);
start();
