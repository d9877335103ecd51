// Requests to the server, and by what right they are made. The access token lives in this module and
// nowhere else; what outlives the page is a cookie that no script can read.

const READ_WITHIN = 30_000; // ms: a line that is dead without a word would keep us waiting for minutes

/** An answer that is an error (RFC 9457), or none at all (`code` "offline"). */
export class Problem extends Error {
  constructor(shown, retryAfter = null) {
    super(shown.detail ?? shown.title ?? shown.code);
    Object.assign(this, { code: shown.code, detail: shown.detail, title: shown.title, errors: shown.errors });
    this.status = shown.status ?? 0;
    /** In milliseconds, where the server said. */
    this.retryAfter = retryAfter;
  }

  /** Nothing was wrong with the request: the same one may go well later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Where a session is. */
export const pathOf = (sessionId) => `/api/chat/sessions/${encodeURIComponent(sessionId)}`;

let access = null;
let userId = null; // of who signed in
let visits = 0; // counts, so that nobody gets the answer to what somebody before them asked
let renewing = null;
let onSignedOut = () => {};

export const isSignedIn = () => access !== null;

/** `then` is called when what we had is of no use any more. */
export function whenSignedOut(then) {
  onSignedOut = then;
}

/**
 * Asks the server: the JSON of its answer, or null if there is none. Raises Problem.
 * `options`: `body` (JSON), `key` (idempotency key), `signal`. What only reads gives up after a while.
 */
export async function call(method, path, options = {}) {
  const used = access;
  const visit = visits;
  try {
    return await once(method, path, options);
  } catch (problem) {
    if (problem.status !== 401 || used === null || visit !== visits) throw problem;
    // Another request may have renewed it meanwhile.
    if (access === used) await renew();
    return await once(method, path, options);
  }
}

async function once(method, path, { body, key, signal } = {}) {
  const visit = visits;
  signal ??= method === "GET" ? AbortSignal.timeout(READ_WITHIN) : undefined;
  const headers = {};
  if (access !== null) headers.Authorization = `Bearer ${access}`;
  if (key) headers["Idempotency-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  let text;
  try {
    reply = await fetch(path, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await reply.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "offline" });
  }
  if (visit !== visits) throw signedOut();
  if (reply.ok) return contentOf(text);
  throw problemOf(reply.status, text, reply.headers.get("Retry-After"));
}

function contentOf(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    // Not ours: a network that wants a sign-in of its own first.
    throw new Problem({ code: "offline" });
  }
}

function problemOf(status, text, retryAfter) {
  const wait = Number(retryAfter) > 0 ? Number(retryAfter) * 1000 : null;
  try {
    return new Problem({ ...JSON.parse(text), status }, wait);
  } catch {
    // Not ours: a proxy on the way.
    return new Problem({ code: `http_${status}`, detail: `HTTP ${status}`, status }, wait);
  }
}

/** Every item of a list, page by page, at most so many pages. */
export async function callAll(path, pages = 20) {
  const items = [];
  let cursor = null;
  do {
    const page = await call("GET", `${path}${path.includes("?") ? "&" : "?"}limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    items.push(...page.items);
    cursor = page.next_cursor;
    pages -= 1;
  } while (cursor && pages > 0);
  return items;
}

/** Who we are: the user, or null if the server wants a sign-in first. Raises Problem. */
export async function enter() {
  try {
    return await call("GET", "/api/auth/me");
  } catch (problem) {
    if (problem.status !== 401) throw problem;
  }
  try {
    return keep(await once("POST", "/api/auth/refresh", { body: { cookie: true } }));
  } catch (problem) {
    if (problem.passes) throw problem;
    return null;
  }
}

/** Signs in, or registers, and says who that is. Raises Problem. */
export async function signIn(username, password, isNew) {
  const path = isNew ? "/api/auth/register" : "/api/auth/login";
  return keep(await once("POST", path, { body: { username, password, cookie: true } }));
}

/** Everywhere. Raises Problem; with `status` 401 it has been done before. */
export async function signOut() {
  // The refusal of an old token would take the cookie along, and end nothing elsewhere.
  await renew();
  await once("POST", "/api/auth/logout");
  dropAccess();
}

/** Forgets the token without a word to the server: another tab has told it. */
export function dropAccess() {
  access = null;
  userId = null;
  visits += 1;
}

function keep(signedIn) {
  access = signedIn.access_token;
  userId = signedIn.user.id;
  return signedIn.user;
}

const signedOut = () => new Problem({ code: "not_signed_in", status: 401 });

/** A new access token; one request for all who wait for it. Raises Problem. */
export function renew() {
  renewing ??= (async () => {
    const visit = visits;
    try {
      const signedIn = await once("POST", "/api/auth/refresh", {
        body: { cookie: true }, signal: AbortSignal.timeout(READ_WITHIN),
      });
      // In another tab somebody else has signed in: what is on this page is not theirs.
      if (userId !== null && signedIn.user.id !== userId) throw signedOut();
      keep(signedIn);
    } catch (problem) {
      if (visit === visits && (problem.status === 401 || problem.status === 403)) {
        dropAccess();
        onSignedOut();
      }
      throw problem;
    } finally {
      renewing = null;
    }
  })();
  return renewing;
}

/** The query by which a socket is let in; empty where nobody has to sign in. Raises Problem. */
export async function ticketQuery() {
  if (access === null) return "";
  const { ticket } = await call("POST", "/api/auth/ticket", { signal: AbortSignal.timeout(READ_WITHIN) });
  return `ticket=${encodeURIComponent(ticket)}`;
}

/**
 * Sends a file: `{done, abort}`, where `done` is the file as the server keeps it, or raises Problem;
 * `onProgress` is told parts of 1.
 */
export function upload(sessionId, file, onProgress) {
  const request = new XMLHttpRequest();
  const send = () =>
    new Promise((resolve, reject) => {
      const form = new FormData();
      form.append("session_id", sessionId);
      form.append("file", file, file.name);
      request.open("POST", "/api/files/upload");
      if (access !== null) request.setRequestHeader("Authorization", `Bearer ${access}`);
      request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
      request.onload = () => {
        if (request.status === 201) resolve(JSON.parse(request.responseText));
        else reject(problemOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
      };
      request.onerror = () => reject(new Problem({ code: "offline" }));
      request.onabort = () => reject(new DOMException("aborted", "AbortError"));
      request.send(form);
    });
  const done = send().catch(async (problem) => {
    if (problem.status !== 401 || access === null) throw problem;
    await renew();
    return await send();
  });
  return { done, abort: () => request.abort() };
}

/** Opens an attachment: a link could not say who asks. Raises Problem. */
export async function download(file, isAgain = false) {
  const headers = access === null ? {} : { Authorization: `Bearer ${access}` };
  let reply;
  try {
    reply = await fetch(`/api/files/${file.id}/content`, { headers });
  } catch {
    throw new Problem({ code: "offline" });
  }
  if (reply.status === 401 && access !== null && !isAgain) {
    await renew();
    return await download(file, true);
  }
  if (!reply.ok) throw problemOf(reply.status, await reply.text(), null);
  const address = URL.createObjectURL(await reply.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = file.file_name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
