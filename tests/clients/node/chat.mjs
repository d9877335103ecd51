// What it makes of chat completions and models, as JSON.
import { client, model, print, refused, shown } from "./client.mjs";

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

const keyed = { headers: { "Idempotency-Key": "from-node" } };
const { data: whole, response } = await create({}, keyed).withResponse();
const repeated = await create({}, keyed);
const streamed = await read(await create({ stream: true, stream_options: { include_usage: true } }));
const runner = client.chat.completions.stream({ model, messages });
const helped = await runner.finalContent();
const broken = await read(await create({ stream: true }));
const names = [];
for await (const each of client.models.list()) names.push(each.id);

print({
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
});
