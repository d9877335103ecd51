// What it makes of responses that it leaves in the middle, as JSON.
import { client, model, print, refused } from "./client.mjs";

const create = (more) => client.responses.create({ model, input: "Go on.", background: true, ...more });
const rest = (id, after) => client.responses.retrieve(id, { stream: true, starting_after: after });

const textOf = (events) => events.map(({ delta }) => delta ?? "").join("");
const others = (events) => events.filter(({ delta }) => delta === undefined).map((event) => event.sequence_number);

async function read(stream, enough = () => false) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
    if (enough(textOf(events))) stream.controller.abort(); // the connection is cut
  }
  return { events, text: textOf(events), id: events[0]?.response?.id, last: events.at(-1)?.sequence_number };
}

// The model waits after this, until it is asked for another answer.
const begun = (text) => text.endsWith("two ");

const cut = await read(await create({ stream: true }), begun);
const meanwhile = await client.responses.retrieve(cut.id);
const taken = await rest(cut.id, cut.last);
const other = await create({ background: false });
const taken_up = await read(taken);
const all = [...cut.events, ...taken_up.events];
const again = []; // from each event on, when all is over
for (const [index, { sequence_number }] of all.entries()) {
  const told = await read(await rest(cut.id, sequence_number));
  const seen = all.slice(0, index + 1);
  again.push({ text: textOf(seen) + told.text, others: others([...seen, ...told.events]) });
}

// Nobody asks that model to go on.
const left = await read(await create({ stream: true }), begun);
const listening = await rest(left.id, left.last);
const cancelled = await client.responses.cancel(left.id);

print({
  cut,
  meanwhile,
  other: other.output_text,
  taken_up,
  again,
  others: others(all),
  whole: await client.responses.retrieve(cut.id),
  helped: await client.responses.stream({ response_id: cut.id }).finalResponse(),
  left,
  cancelled,
  heard: await read(listening),
  kept: await client.responses.retrieve(left.id),
  deleted: (await client.responses.delete(left.id)) ?? null,
  gone: await refused(client.responses.retrieve(left.id)),
  goneToo: await refused(client.responses.cancel(left.id)),
});
