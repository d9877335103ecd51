from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A call of the product that would block the event loop raises BlockingError."""
    with blockbuster_ctx(["domain", "application", "infrastructure", "interface"]) as blocking:
        blocking.functions["os.path.abspath"].deactivate()  # it only asks where we are
        yield
