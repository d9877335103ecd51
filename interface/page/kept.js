// What this browser keeps for its user: drafts, what waits to be sent, what is unread, and how the
// page looks. Never a token. What a browser refuses to keep holds until the page is left.

const PREFIX = "llm-chat:";
const refused = new Map();
let owner = "";

/** What follows belongs to this user. */
export function keepFor(userId) {
  owner = `${userId}:`;
}

function read(name) {
  if (refused.has(name)) return refused.get(name);
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

function write(name, value) {
  refused.delete(name);
  try {
    if (value === null || value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or forbidden.
    if (value !== null && value !== undefined) refused.set(name, value);
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
  const names = new Set([...refused.keys()].map((name) => PREFIX + name));
  try {
    for (const name of Object.keys(localStorage)) names.add(name);
  } catch {
    // Forbidden.
  }
  return [...names];
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
    // The page looks so until it is left.
  }
}
