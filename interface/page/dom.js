// The few things that every part of the page does with the document.
import { t } from "./words.js";

export const byId = (id) => document.getElementById(id);

/**
 * An element. Properties are set as such, `class`, `aria-…`, `data-…`, `role` and `for` as attributes;
 * a function under `on…` becomes a listener. Children are nodes or text, never markup.
 */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (typeof value === "function" && key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class" || key === "role" || key === "for" || key.includes("-")) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button whose text follows the language. */
export function button(key, onclick, properties = {}) {
  return h("button", { type: "button", "data-t": key, onclick, ...properties }, t(key));
}

// Drawn for a field of 24 x 24.
const ICONS = {
  attach: "M20 11.5l-8 8a5 5 0 0 1-7-7l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7L9.8 17a1.7 1.7 0 0 1-2.4-2.4l7.6-7.6",
  clear: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5",
  close: "M6 6l12 12M18 6L6 18",
  menu: "M4 6h16M4 12h16M4 18h16",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  send: "M12 20V5M5.5 11.5L12 5l6.5 6.5",
  stop: "M7 7h10v10H7z",
};
const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

export function drawIcons(root) {
  for (const element of root.querySelectorAll("[data-icon]")) {
    if (!element.querySelector("svg")) element.prepend(icon(element.dataset.icon));
  }
}

/** Told to those who can't see it happen. */
export function announce(text) {
  const announcer = byId("announcer");
  announcer.textContent = "";
  // The same words twice are told twice only if they were gone in between.
  requestAnimationFrame(() => {
    announcer.textContent = text;
  });
}

/** An error that stays until it is read. */
export function notice(text) {
  const shown = h("div", { class: "notice", role: "alert" }, h("span", {}, text));
  const dismiss = () => {
    shown.remove();
    byId("message").focus({ preventScroll: true }); // the button had it
  };
  shown.append(button("dismiss", dismiss));
  const notices = byId("notices");
  const same = [...notices.children].find((other) => other.firstChild.textContent === text);
  same?.remove();
  notices.append(shown);
  while (notices.children.length > 3) notices.firstChild.remove();
}

export function clearNotices() {
  byId("notices").replaceChildren();
}

/** A number of bytes for people. */
export function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(0)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
