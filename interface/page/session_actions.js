// What can be done to a conversation as a whole. Each asks first, and tells the other tabs.
import { call, pathOf } from "./api.js";
import { askText, confirm } from "./dialogs.js";
import { titleOf } from "./sidebar.js";
import { t } from "./words.js";

/** Raises Problem, as the others do. */
export async function rename(chat, { session_id: id, title: before }) {
  const title = await askText(t("renameTitle"), t("titleField"), before ?? "", 200);
  if (title === null || title === before) return;
  chat.sidebar.put(id, await call("PATCH", pathOf(id), { body: { title } }));
  chat.drawHead();
  chat.tabs.postMessage({ type: "sessions" });
}

export async function remove(chat, session) {
  const id = session.session_id;
  if (!(await confirm(t("deleteTitle"), t("deleteText", { title: titleOf(session) }), t("delete")))) return;
  chat.removing.add(id);
  try {
    await call("DELETE", pathOf(id));
  } catch (problem) {
    if (problem.status !== 404) throw problem; // somebody was faster
  } finally {
    chat.removing.delete(id);
  }
  for (const { key } of chat.outbox.of(id)) chat.outbox.withdraw(key);
  chat.forget(id);
  chat.composer.focus(); // the menu that had it is gone
  chat.tabs.postMessage({ type: "sessions" });
}

export async function clear(chat) {
  const sessionId = chat.current;
  if (sessionId === null || !(await confirm(t("clearTitle"), t("clearText"), t("clear")))) return;
  await call("DELETE", `${pathOf(sessionId)}/messages`);
  chat.cleared(sessionId);
  chat.composer.focus();
  chat.tabs.postMessage({ type: "cleared", sessionId });
}
