// Settings: how the page looks, the user's own models, their account.
import { call, callAll, isSignedIn } from "./api.js";
import { confirm } from "./dialogs.js";
import { button, h } from "./dom.js";
import { keepChoice } from "./kept.js";
import { language, problemText, setLanguage, t } from "./words.js";

/** `actions`: `modelsChanged()`, `personasChanged()`, `signOut()`. `user` is null before the sign-in. */
export function openSettings(user, known, actions) {
  const dialog = h("dialog", { id: "settings", "aria-labelledby": "settings-title" });
  const draw = () => {
    const parts = [
      h(
        "div", { class: "row" },
        h("h2", { id: "settings-title" }, t("settings")),
        h("button", { type: "button", class: "end", onclick: () => dialog.close() }, t("close")),
      ),
      appearance(known, actions),
    ];
    if (user) parts.push(models(actions));
    if (user && isSignedIn()) parts.push(account(user, dialog, actions));
    dialog.replaceChildren(...parts);
  };
  const redraw = () => {
    draw();
    dialog.querySelector("#language").focus();
  };
  draw();
  document.addEventListener("languagechange", redraw);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    document.removeEventListener("languagechange", redraw);
    dialog.remove();
  });
  // A click beside it closes it.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.showModal();
}

function choice(id, key, options, chosen, onchange) {
  const select = h("select", { id, onchange: () => onchange(select.value) });
  select.append(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  return h("div", { class: "field" }, h("label", { for: id }, t(key)), select);
}

function appearance({ personas, defaultPersona }, actions) {
  const root = document.documentElement;
  const languages = [["en", "English"], ["zh-CN", "中文"]];
  const themes = [["", t("themeSystem")], ["light", t("themeLight")], ["dark", t("themeDark")]];
  const section = h(
    "section", {},
    h("h3", {}, t("appearance")),
    choice("language", "language", languages, language(), (tag) => {
      keepChoice("language", tag);
      setLanguage(tag);
    }),
    choice("theme", "theme", themes, root.dataset.theme ?? "", (theme) => {
      keepChoice("theme", theme);
      if (theme) root.dataset.theme = theme;
      else delete root.dataset.theme;
    }),
  );
  if (personas.length) {
    const names = personas.map((name) => [name, name]);
    const said = h("p", { role: "status" });
    section.append(
      choice("default-persona", "personaForNew", names, defaultPersona, async (name) => {
        said.textContent = "";
        try {
          await call("PUT", "/api/personas/default", { body: { name } });
          said.textContent = t("saved");
          actions.personasChanged();
        } catch (problem) {
          said.textContent = problemText(problem);
        }
      }),
      said,
    );
  }
  return section;
}

function account(user, dialog, actions) {
  return h(
    "section", {},
    h("h3", {}, t("account")),
    h("p", {}, t("signedInAs", { name: user.username })),
    h("p", { class: "quiet" }, t("signOutMore")),
    h("button", { type: "button", onclick: () => (dialog.close(), actions.signOut()) }, t("signOut")),
  );
}

function models(actions) {
  const said = h("p", { role: "status" });
  const list = h("ul", { class: "models" });
  const place = h("div");
  const tell = (text, isWrong = false) => {
    said.textContent = text;
    said.classList.toggle("wrong", isWrong);
  };
  const tried = async (work) => {
    try {
      await work();
    } catch (problem) {
      tell(problemText(problem), true);
    }
  };
  const test = async (config) => {
    tell(t("testing"));
    const { ok, latency_ms: ms, detail } = await call("POST", `/api/user/apis/${config.id}/test`);
    tell(ok ? t("testOk", { ms: Math.round(ms) }) : t("testFailed", { detail }), !ok);
  };
  const read = async () => {
    const configs = await callAll("/api/user/apis");
    list.replaceChildren(...configs.map((config) => row(config)));
    if (!configs.length) list.append(h("li", { class: "quiet" }, t("noModels")));
  };
  const remove = async (config) => {
    if (!(await confirm(t("deleteModelTitle"), t("deleteModelText", { name: config.name }), t("delete")))) return;
    await call("DELETE", `/api/user/apis/${config.id}`);
    tell("");
    edit(null);
    await read();
    actions.modelsChanged();
  };
  const row = (config) =>
    h(
      "li", {},
      h("div", {}, h("strong", {}, config.name), h("span", { class: "quiet" }, `${config.model_name} · ${config.base_url}`)),
      h(
        "div", { class: "row" },
        h("button", { type: "button", "aria-label": t("testNamed", { name: config.name }), onclick: () => tried(() => test(config)) }, t("test")),
        h("button", { type: "button", "aria-label": t("editModel", { name: config.name }), onclick: () => edit(config) }, t("edit")),
        h("button", { type: "button", "aria-label": t("deleteNamed", { name: config.name }), onclick: () => tried(() => remove(config)) }, t("delete")),
      ),
    );
  const edit = (config) => {
    const field = (id, key, value, properties = {}) => {
      const input = h("input", { id, value, required: true, autocomplete: "off", spellcheck: false, ...properties });
      return [input, h("div", { class: "field" }, h("label", { for: id }, t(key)), input)];
    };
    const [name, nameRow] = field("api-name", "name", config?.name ?? "", { maxLength: 100 });
    const [model, modelRow] = field("api-model", "model", config?.model_name ?? "", { maxLength: 200 });
    const [url, urlRow] = field("api-url", "baseUrl", config?.base_url ?? "", { type: "url", placeholder: "https://api.openai.com/v1" });
    const [key, keyRow] = field("api-key", "apiKey", "", { type: "password", required: false, autocomplete: "new-password" });
    if (config) {
      keyRow.append(h("p", { class: "quiet", id: "api-key-rule" }, t("keyKept", { hint: config.key_hint ? `…${config.key_hint}` : "—" })));
      key.setAttribute("aria-describedby", "api-key-rule");
    }
    let kept = config;
    const save = async () => {
      const body = { name: name.value, model_name: model.value, base_url: url.value };
      if (key.value || !kept) body.api_key = key.value;
      kept = kept
        ? await call("PUT", `/api/user/apis/${kept.id}`, { body })
        : await call("POST", "/api/user/apis", { body });
      key.value = "";
      await read();
      actions.modelsChanged();
    };
    const submit = (event) => {
      event.preventDefault();
      tried(async () => {
        await save();
        if (event.submitter?.value === "test") {
          await test(kept);
        } else {
          tell(t("saved"));
          edit(null);
        }
      });
    };
    const title = h("h4", {}, config ? t("editModel", { name: config.name }) : t("addModel"));
    const buttons = h(
      "div", { class: "row" },
      h("button", { type: "submit", class: "main-button" }, t("save")),
      h("button", { type: "submit", value: "test" }, t("testConnection")),
      config && h("button", { type: "button", onclick: () => edit(null) }, t("cancel")),
    );
    place.replaceChildren(h("form", { onsubmit: submit }, title, nameRow, modelRow, urlRow, keyRow, buttons));
    if (config) name.focus();
  };
  edit(null);
  tried(read);
  return h("section", {}, h("h3", {}, t("models")), h("p", { class: "quiet" }, t("modelsMore")), list, said, place);
}
