"""Which addresses users' configurations may reach: those of the public internet alone."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any, Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NOT_PUBLIC: Final = (
    IPv4Network("192.0.0.0/24"),  # for protocols, and for some clouds' metadata
    IPv4Network("192.88.99.0/24"),  # relays to 6to4
    IPv6Network("2001::/23"),  # for protocols; Teredo, with an IPv4 address inside
    IPv6Network("2002::/16"),  # 6to4, likewise
    IPv6Network("3fff::/20"),  # documentation
)
"""What some versions of Python call global."""

_AZURE_HOST: Final = IPv4Address(
    "168.63.129.16"
)  # public by its number, but it is the machine's own

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """A name led to an address inside; no connection was tried."""

    def __init__(self) -> None:
        super().__init__("the address is not allowed")


def is_public(text: str) -> bool:
    """False for private, link-local, metadata, multicast and reserved addresses, and for all IPv6
    ones that may stand for an IPv4 address: mapped, NAT64, 6to4, Teredo."""
    address = ip_address(text)
    if not address.is_global or any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, IPv4Address):
        return not (address.is_multicast or address.is_reserved or address == _AZURE_HOST)
    return address in _GLOBAL_UNICAST


def public_socket(info: AddressInfo) -> socket.socket:
    """A socket for an address that a connection is about to be made to.

    This is the last step before the connection, after every way of naming a host (a name, an
    address, an odd spelling of one), and what is looked at here is what is connected to: an answer
    of the DNS that changes in between changes nothing. Raises AddressRefused.
    """
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise AddressRefused
    return socket.socket(family, kind, protocol)
