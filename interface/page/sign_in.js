// The way in, where the server wants to know who is asking.
import { signIn } from "./api.js";
import { button, byId, h } from "./dom.js";
import { problemText, t } from "./words.js";

/** Shows it; resolves with the user. `reason` is told above it. */
export function askWho(reason = null) {
  const place = byId("sign-in");
  byId("chat").hidden = true;
  place.hidden = false;
  document.title = "llm-chat";
  return new Promise((resolve) => {
    let isNew = false;
    const heading = h("h1");
    const said = h("p", { role: "alert", class: "wrong" }, reason ?? "");
    const username = h("input", { id: "username", type: "text", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: false });
    const password = h("input", { id: "password", type: "password", required: true });
    const nameRule = h("p", { id: "username-rule", class: "quiet" });
    const wordRule = h("p", { id: "password-rule", class: "quiet" });
    const nameLabel = h("label", { for: "username", "data-t": "username" }, t("username"));
    const wordLabel = h("label", { for: "password", "data-t": "password" }, t("password"));
    const go = h("button", { type: "submit", class: "main-button" });
    const other = h("button", { type: "button", class: "link" });
    const draw = () => {
      heading.textContent = t(isNew ? "createAccount" : "signIn");
      go.textContent = t(isNew ? "register" : "signIn");
      other.textContent = t(isNew ? "haveAccount" : "createAccount");
      nameRule.textContent = isNew ? t("usernameRule") : "";
      wordRule.textContent = isNew ? t("passwordRule") : "";
      password.autocomplete = isNew ? "new-password" : "current-password";
      for (const [field, rule] of [[username, nameRule], [password, wordRule]]) {
        if (isNew) field.setAttribute("aria-describedby", rule.id);
        else field.removeAttribute("aria-describedby");
      }
    };
    other.addEventListener("click", () => {
      isNew = !isNew;
      said.textContent = "";
      draw();
      username.focus();
    });
    const submit = async (event) => {
      event.preventDefault();
      go.disabled = true;
      said.textContent = "";
      try {
        const user = await signIn(username.value, password.value, isNew);
        document.removeEventListener("languagechange", draw);
        place.hidden = true;
        place.replaceChildren();
        resolve(user);
      } catch (problem) {
        said.textContent = problemText(problem);
        password.select();
      } finally {
        go.disabled = false;
      }
    };
    document.addEventListener("languagechange", draw);
    draw();
    const form = h(
      "form", { onsubmit: submit }, heading, said, nameLabel, username, nameRule, wordLabel, password, wordRule,
      h("div", { class: "row" }, go, other),
    );
    place.replaceChildren(
      h("main", { class: "card" }, h("p", { class: "brand" }, "llm-chat"), form, button("settings", () => place.dispatchEvent(new Event("settings")), { class: "link" })),
    );
    username.focus();
  });
}
