"""From which address a request comes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.requests import HTTPConnection

Network = IPv4Network | IPv6Network

_WITH_PORT: Final = re.compile(r"\[([0-9a-fA-F:.]{2,45})\](?::\d{1,5})?|(\d[\d.]{6,14}):\d{1,5}")
_HOST_BITS: Final = 64
"""Of an IPv6 address: who has one has all that differ only in these."""


def read_networks(text: str) -> tuple[Network, ...]:
    """Of addresses and networks with commas between. Raises ValueError."""
    return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """The peer's, unless that is a trusted proxy: then what X-Forwarded-For says, as far back as
    trusted ones wrote it."""

    trusted: tuple[Network, ...] = ()

    def __call__(self, connection: HTTPConnection) -> str:
        """What to count by; empty if the peer has no address."""
        address = _read(connection.client.host) if connection.client else None
        if address is None:
            return ""
        for said in reversed(_entries(connection.headers.getlist("x-forwarded-for"))):
            before = _read(said) if self._trusts(address) else None
            if before is None:
                break
            address = before
        return _counted(address)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def _entries(headers: Iterable[str]) -> list[str]:
    return [entry.strip() for header in headers for entry in header.split(",")]


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Some proxies tell the port as well: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address(found[1] or found[2] if found else text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _counted(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    network = int(address) >> _HOST_BITS << _HOST_BITS
    return f"{IPv6Address(network)}/{128 - _HOST_BITS}"
