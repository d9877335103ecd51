// Small questions to the user.
import { button, h } from "./dom.js";
import { t } from "./words.js";

/** Opens a dialog with these parts; resolves with what it was closed with, "" if by Escape. */
function ask(title, ...parts) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h("dialog", { class: "small", "aria-labelledby": "dialog-title" }, h("form", { method: "dialog" }, heading, ...parts));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** True if the user confirms what the button names. */
export async function confirm(title, text, yes) {
  const answer = await ask(
    title,
    h("p", {}, text),
    h(
      "div", { class: "row end" },
      h("button", { value: "", autofocus: true }, t("cancel")),
      h("button", { value: "yes", class: "danger" }, yes),
    ),
  );
  return answer === "yes";
}

/** The text that the user gives, trimmed, or null. */
export async function askText(title, label, text, maxLength) {
  const field = h("input", { type: "text", value: text, maxLength, required: true, id: "dialog-field", autocomplete: "off" });
  const shown = ask(
    title,
    h("label", { for: "dialog-field" }, label),
    field,
    h(
      "div", { class: "row end" },
      h("button", { type: "button", onclick: (event) => event.target.closest("dialog").close("") }, t("cancel")),
      h("button", { value: "yes", class: "main-button" }, t("save")),
    ),
  );
  field.select();
  return (await shown) === "yes" ? field.value.trim() || null : null;
}

/**
 * A menu at `opener`: `items` are `[key, action]`. Arrow keys move in it, Escape and a click elsewhere close it.
 */
export function openMenu(opener, label, items) {
  const menu = h("div", { role: "menu", class: "menu", popover: "auto", "aria-label": label });
  const choose = (action) => () => {
    menu.hidePopover();
    action();
  };
  menu.append(...items.map(([key, action]) => button(key, choose(action), { role: "menuitem", tabIndex: -1 })));
  const move = (event) => {
    const buttons = [...menu.children];
    const now = buttons.indexOf(document.activeElement);
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      buttons.at(next % buttons.length).focus();
    } else if (event.key === "Tab") {
      menu.hidePopover();
    }
  };
  menu.addEventListener("keydown", move);
  opener.after(menu);
  opener.setAttribute("aria-expanded", "true");
  const place = opener.getBoundingClientRect();
  menu.showPopover();
  const { offsetWidth: width, offsetHeight: height } = menu;
  menu.style.left = `${Math.max(8, Math.min(place.right - width, innerWidth - width - 8))}px`;
  menu.style.top = `${place.bottom + height > innerHeight - 8 ? place.top - height : place.bottom}px`;
  menu.firstElementChild.focus();
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    opener.setAttribute("aria-expanded", "false");
    if (menu.contains(document.activeElement) || document.activeElement === document.body) opener.focus();
    menu.remove();
  });
}
