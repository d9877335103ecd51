// The line that says how the line to the server is, when it is not as it should be.
import { byId } from "./dom.js";
import { t } from "./words.js";

const SAID_AFTER = 700; // ms: a line that is back within a moment is nobody's business

export function showConnection(stream) {
  let slow = null;
  const draw = () => {
    const place = byId("connection");
    clearTimeout(slow);
    // Who has no network may still have a server on this machine: the stream itself knows.
    if (stream.state === "offline") place.textContent = t("offline");
    else if (stream.state !== "connecting") place.textContent = "";
    else slow = setTimeout(() => (place.textContent = t("reconnecting")), SAID_AFTER);
  };
  stream.addEventListener("state", draw);
  document.addEventListener("languagechange", draw);
}
