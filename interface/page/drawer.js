// The side, which on a phone is a drawer over the conversation.
import { byId } from "./dom.js";

const isPhone = matchMedia("(max-width: 759px)");

/** Opens or closes it; beside a wide conversation it is always there. */
export function showSide(is) {
  const shown = is && isPhone.matches;
  document.body.classList.toggle("side-open", shown);
  byId("main").inert = shown;
  byId("side").inert = isPhone.matches && !shown;
  byId("show-side").setAttribute("aria-expanded", String(shown));
  if (shown) byId("hide-side").focus();
  else if (isPhone.matches && document.activeElement === document.body) byId("show-side").focus();
}

export function startDrawer() {
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
  showSide(false);
}
