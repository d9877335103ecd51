"""What `/metrics` says, read as Prometheus reads it."""

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.processes import PATIENCE, Process


def read_samples(text: str) -> dict[str, float]:
    """By name and labels, written as they are in a query."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read_names(text: str) -> set[str]:
    """Of all that can be asked for; also where there is no sample yet, for want of a label."""
    names = {name.partition("{")[0] for name in read_samples(text)}
    families = text_string_to_metric_families(text)
    return names | {f"{each.name}_total" for each in families if each.type == "counter"}


def _labels(labels: dict[str, str]) -> str:
    shown = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{shown}}}" if shown else ""


async def scrape(process: Process, address: str = "") -> str:
    async with process.http() as http:
        path = f"http://{address}/metrics" if address else "/metrics"
        reply = await http.get(path)
    assert reply.status_code == 200, reply.text
    return reply.text


async def scraped_until(
    process: Process, wanted: dict[str, float], address: str = ""
) -> dict[str, float]:
    """Waits until all of these are so: what is counted is counted a moment after it is told."""
    found: dict[str, float | None] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                samples = read_samples(await scrape(process, address))
                found = {name: samples.get(name) for name in wanted}
                if found == wanted:
                    return samples
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{found} is not {wanted}") from None
