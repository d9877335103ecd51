// The address names the conversation that is open: `/#/<session id>`, and `/#/` a chat that has not begun.

export function sessionOfAddress() {
  try {
    return decodeURIComponent(location.hash.match(/^#\/(.+)$/)?.[1] ?? "") || null;
  } catch {
    return null; // no address of ours
  }
}

const addressOf = (sessionId) => `#/${sessionId ? encodeURIComponent(sessionId) : ""}`;

/** A step that "back" undoes. */
export function goTo(sessionId) {
  if (sessionOfAddress() !== sessionId) history.pushState(null, "", addressOf(sessionId));
}

/** The same place under another name, or one that is no more. */
export function renamePlace(sessionId) {
  history.replaceState(null, "", addressOf(sessionId));
}

/** `open` is called with what the user went to, `current` tells what is open. */
export function whenGone(current, open) {
  for (const kind of ["hashchange", "popstate"]) {
    addEventListener(kind, () => {
      // A link within the page, as the one to the message box is, leaves no conversation.
      if (location.hash && !location.hash.startsWith("#/")) renamePlace(current());
      else if (sessionOfAddress() !== current()) open(sessionOfAddress());
    });
  }
}
