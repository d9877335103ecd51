import asyncio

import pytest

from infrastructure.loop_lag import LoopLag


async def test_it_is_the_longest_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times come in pairs: when it is to be woken at once, and when it is."""
    times = [0.0, 0.5, 1.0, 4.0, 5.0, 5.25]
    lag, told = LoopLag(), asyncio.Event()

    def monotonic() -> float:
        if not times:
            told.set()
            return 9.0
        return times.pop(0)

    monkeypatch.setattr("infrastructure.loop_lag._BETWEEN_SECONDS", 0.0)
    monkeypatch.setattr("infrastructure.loop_lag.monotonic", monotonic)
    assert lag.longest == 0
    measuring = asyncio.create_task(lag())
    await told.wait()
    assert lag.longest == 3
    while lag.longest:  # noqa: ASYNC110 - until so many came in time that it is forgotten
        await asyncio.sleep(0)
    measuring.cancel()
