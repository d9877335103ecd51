// What OpenAI's own client for JavaScript makes of a server: node openai_node.mjs URL prints it as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused" });
const model = "gpt-real";
const messages = [{ role: "user", content: "Hello, LLM!" }];
const create = (more, options) => client.chat.completions.create({ model, messages, ...more }, options);

async function read(stream) {
  const read = { text: "", finish: null, usage: null, error: null };
  try {
    for await (const chunk of stream) {
      read.text += chunk.choices[0]?.delta.content ?? "";
      read.finish = chunk.choices[0]?.finish_reason ?? read.finish;
      read.usage = chunk.usage ?? read.usage;
    }
  } catch (error) {
    read.error = shown(error);
  }
  return read;
}

const shown = ({ constructor, status, code, param, type, message }) => ({
  class: constructor.name, status: status ?? null, code, param, type, message,
});

const refused = (asked) => asked.then(() => null, shown);

const keyed = { headers: { "Idempotency-Key": "from-node" } };
const { data: whole, response } = await create({}, keyed).withResponse();
const repeated = await create({}, keyed);
const streamed = await read(await create({ stream: true, stream_options: { include_usage: true } }));
const runner = client.chat.completions.stream({ model, messages });
const helped = await runner.finalContent();
const broken = await read(await create({ stream: true }));
const names = [];
for await (const each of client.models.list()) names.push(each.id);

console.log(JSON.stringify({
  whole,
  generation: response.headers.get("x-generation-id"),
  repeated: repeated.id,
  streamed,
  helped,
  broken,
  names,
  model: await client.models.retrieve(model),
  tooHot: await refused(create({ temperature: 3 })),
  unknown: await refused(create({ model: "nobody" })),
  unknownToModels: await refused(client.models.retrieve("nobody")),
}));
