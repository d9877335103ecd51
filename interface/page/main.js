// The page from its start: who is here, and what the parts of the page that are always there do.
import { sessionOfAddress, whenGone } from "./address.js";
import { dropAccess, enter, isSignedIn, Problem, signOut, whenSignedOut } from "./api.js";
import { Chat, tried } from "./chat.js";
import { showConnection } from "./connection.js";
import { byId, drawIcons } from "./dom.js";
import { showSide, startDrawer } from "./drawer.js";
import { forgetUser, keepFor } from "./kept.js";
import { clear } from "./session_actions.js";
import { openSettings } from "./settings.js";
import { askWho } from "./sign_in.js";
import { problemText, t, translate } from "./words.js";

const LOOK_EVERY = 30_000; // ms: what other devices have begun

const chat = new Chat();
let user = null;

/** `reason` is why somebody has to sign in again. */
async function start(reason = null) {
  let wait = 500;
  chat.composer.enable(false); // whose draft would it be?
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
  chat.composer.enable(true);
  await chat.start(sessionOfAddress());
}

function leave(reason) {
  if (!user) return;
  user = null;
  chat.stop();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
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
    chat.tabs.postMessage({ type: "signed-out" });
    leave("");
  });
}

whenSignedOut(() => leave(t("signedOutElsewhere")));

chat.tabs.addEventListener("message", ({ data }) => {
  if (!user) return;
  if (data.type === "sessions") chat.readSessions();
  if (data.type === "accepted") chat.acceptedElsewhere(data);
  if (data.type === "cleared") chat.cleared(data.sessionId);
  if (data.type === "withdrawn") {
    const message = chat.outbox.withdraw(data.key);
    if (message) chat.held(message.sessionId)?.withdraw(data.key);
  }
  if (data.type === "signed-out" && isSignedIn()) {
    dropAccess();
    forgetUser();
    leave(t("signedOutElsewhere"));
  }
});

const showSettings = () => {
  const read = () => tried(() => chat.head.read());
  openSettings(user, chat.head.known, { modelsChanged: read, personasChanged: read, signOut: signOutHere });
};
byId("open-settings").addEventListener("click", showSettings);
byId("sign-in").addEventListener("settings", showSettings);
byId("new-chat").addEventListener("click", () => {
  showSide(false);
  chat.open(null);
});
byId("clear").addEventListener("click", () => tried(() => clear(chat)));

whenGone(
  () => chat.current,
  (sessionId) => user && chat.open(sessionId),
);
const look = () => user && document.visibilityState === "visible" && chat.readSessions();
document.addEventListener("visibilitychange", look);
setInterval(look, LOOK_EVERY);

translate(document);
drawIcons(document);
startDrawer();
showConnection(chat.stream);
start();
