// What it makes of responses, as JSON.
import { client, model, print, refused } from "./client.mjs";

const create = (more) => client.responses.create({ model, input: "Who am I?", ...more });

async function read(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const first = await create({ input: "I am Ada.", instructions: "Be brief." });
const second = await create({ instructions: "Be kind.", previous_response_id: first.id });
const items = [];
for await (const item of client.responses.inputItems.list(second.id, { order: "asc" })) items.push(item);

const helper = client.responses.stream({ model, input: "Who am I?" });
const pieces = [];
helper.on("response.output_text.delta", ({ delta }) => pieces.push(delta));

print({
  first,
  second,
  items: items.map(({ role, content }) => [role, content[0].text]),
  kept: await client.responses.retrieve(first.id),
  streamed: await read(await create({ stream: true })),
  helped: { final: await helper.finalResponse(), text: pieces.join("") },
  broken: await create({}),
  tools: await refused(create({ tools: [{ type: "web_search" }] })),
  noModel: await refused(create({ model: "nobody" })),
  nowhere: await refused(create({ previous_response_id: "resp_nothing" })),
  unknown: await refused(client.responses.retrieve("resp_nothing")),
});
