// Above the conversation: its title, and which model and persona answer in it.
import { call } from "./api.js";
import { byId, h } from "./dom.js";
import { titleOf } from "./sidebar.js";
import { t } from "./words.js";

const NOTHING_KNOWN = { models: [], defaultModel: null, personas: [], defaultPersona: null };

/** `choose(field, value)` is called with `model_name` or `persona`; null is the default one. */
export class Head {
  known = NOTHING_KNOWN;
  #session = {};
  #isNew = true;

  constructor(choose) {
    byId("model").addEventListener("change", (event) => choose("model_name", event.target.value || null));
    byId("persona").addEventListener("change", (event) => choose("persona", event.target.value || null));
    document.addEventListener("languagechange", () => this.draw(this.#session, this.#isNew));
  }

  /** Asks what there is to choose from. Raises Problem. */
  async read() {
    const [models, personas] = await Promise.all([call("GET", "/api/models"), call("GET", "/api/personas/")]);
    this.known = {
      models: [...new Set(models.models.map(({ model_name }) => model_name))], defaultModel: models.default,
      personas: personas.personas, defaultPersona: personas.default,
    };
    this.draw(this.#session, this.#isNew);
  }

  forget() {
    this.known = NOTHING_KNOWN;
    this.draw({}, true);
  }

  /** `session` as the server tells it, or what was chosen for a chat that has not begun. */
  draw(session, isNew) {
    this.#session = session;
    this.#isNew = isNew;
    const title = titleOf(session);
    byId("title").textContent = title;
    document.title = session.title ? `${title} · llm-chat` : "llm-chat";
    const { models, defaultModel, personas, defaultPersona } = this.known;
    const plain = defaultModel ? t("defaultModel", { name: defaultModel }) : t("defaultModelPlain");
    fill(byId("model"), plain, models, session.model_name);
    const none = defaultPersona ? t("defaultPersona", { name: defaultPersona }) : t("noPersona");
    fill(byId("persona"), none, personas, session.persona);
    byId("persona").hidden = !personas.length;
    byId("clear").hidden = isNew;
  }
}

function fill(select, first, names, chosen) {
  // What was chosen and is not there any more is shown all the same: it is what would be asked.
  const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
  const options = [["", first], ...all.map((name) => [name, name])];
  const signature = JSON.stringify(options);
  if (select.dataset.options !== signature) {
    select.dataset.options = signature;
    select.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));
  }
  select.value = chosen ?? "";
}
