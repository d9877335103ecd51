"""From where a request comes: a spoofed X-Forwarded-For changes nothing (T54)."""

import pytest
from starlette.requests import HTTPConnection

from interface.client_address import ClientAddress, read_networks

TRUSTED = read_networks("10.0.0.0/8, 192.168.0.1,fd00::/8")


def asked(peer: str, *forwarded: str) -> HTTPConnection:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return HTTPConnection({"type": "http", "client": (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.2", [], "10.0.0.2"),
        ("10.0.0.2", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.2", ["198.51.100.7, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.2", ["198.51.100.1, 192.168.0.1"], "198.51.100.1"),
        ("10.0.0.2", ["198.51.100.1", "192.168.0.1"], "198.51.100.1"),
        ("10.0.0.2", ["198.51.100.1, nonsense, 10.0.0.3"], "10.0.0.3"),
        ("::ffff:10.0.0.2", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("10.0.0.2", ["198.51.100.1:4711"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8:1:2:3:4:5:6]:4711, [fd00::2]"], "2001:db8:1:2::/64"),
        ("10.0.0.2", ["198.51.100.1:", "10.0.0.3"], "10.0.0.3"),
        ("10.0.0.2", ["[198.51.100"], "10.0.0.2"),
        ("nowhere", ["198.51.100.1"], ""),
    ],
)
def test_only_what_trusted_proxies_wrote_counts(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert ClientAddress(TRUSTED)(asked(peer, *forwarded)) == found


def test_by_default_nobody_is_believed() -> None:
    assert ClientAddress()(asked("127.0.0.1", "198.51.100.1")) == "127.0.0.1"
