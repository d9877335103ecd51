"""Which addresses users' configurations may reach: those of the public internet alone."""

import socket
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any, Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_WITH_IPV4_INSIDE: Final = (IPv6Network("2001::/23"), IPv6Network("2002::/16"))  # Teredo, 6to4
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
    if isinstance(address, IPv4Address):
        special = address.is_multicast or address.is_reserved or address == _AZURE_HOST
        return address.is_global and not special
    if address not in _GLOBAL_UNICAST or any(address in net for net in _WITH_IPV4_INSIDE):
        return False
    return address.is_global


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
