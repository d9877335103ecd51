// What this browser keeps for its user: drafts, what waits to be sent, what is unread, and how the
// page looks. Never a token. A browser that refuses to keep things has a page without a memory.

const PREFIX = "llm-chat:";
let owner = "";

/** What follows belongs to this user. */
export function keepFor(userId) {
  owner = `${userId}:`;
}

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

function write(name, value) {
  try {
    if (value === null || value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or forbidden.
  }
}

/** `{text, files}` or null; of a new chat under "". */
export const draftOf = (sessionId) => read(`${owner}draft:${sessionId}`);
export function keepDraft(sessionId, draft) {
  const empty = !draft || (!draft.text && !draft.files.length);
  write(`${owner}draft:${sessionId}`, empty ? null : draft);
}

/** `[{key, at, sessionId, text, files, choices}]`, oldest first: what was sent and not yet accepted. */
export function outboxKept() {
  const start = `${PREFIX}${owner}outbox:`;
  const names = namesKept().filter((name) => name.startsWith(start));
  const kept = names.map((name) => read(name.slice(PREFIX.length))).filter(Boolean);
  return kept.sort((one, other) => one.at - other.at);
}
export const keepOutgoing = (message) => write(`${owner}outbox:${message.key}`, message);
export const forgetOutgoing = (key) => write(`${owner}outbox:${key}`, null);

export const unreadKept = () => new Set(read(`${owner}unread`) ?? []);
export const keepUnread = (unread) => write(`${owner}unread`, unread.size ? [...unread] : null);

function namesKept() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** All of the user's: a draft is nobody else's business. */
export function forgetUser() {
  for (const name of namesKept()) {
    if (name.startsWith(PREFIX + owner)) write(name.slice(PREFIX.length), null);
  }
}

/** Plain text, for theme.js reads it too. */
export function keepChoice(name, value) {
  try {
    if (value) localStorage.setItem(PREFIX + name, value);
    else localStorage.removeItem(PREFIX + name);
  } catch {
    // Holds until the page is left.
  }
}
