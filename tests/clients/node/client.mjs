// OpenAI's own client for JavaScript, of the server that the command line names: node SCRIPT URL.
import OpenAI from "openai";

export const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused" });
export const model = "gpt-real";

export const shown = ({ constructor, status, code, param, type, message }) => ({
  class: constructor.name, status: status ?? null, code, param, type, message,
});

export const refused = (asked) => asked.then(() => null, shown);

export const print = (said) => console.log(JSON.stringify(said));
