import socket

import pytest

from interface.server import UNHEARD_SECONDS, listen


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="it is Linux's")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_peer_that_takes_nothing_is_given_up_by_the_kernel(host: str) -> None:
    try:
        listening = listen(host, 0)
    except OSError:
        pytest.skip(f"there is no {host} here")
    with listening, socket.create_connection(listening.getsockname()[:2]):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            limit = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == UNHEARD_SECONDS * 1000
