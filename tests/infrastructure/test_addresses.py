"""Users' base_urls that aim inside (T52)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import AsyncResolver
from aiohttp.abc import ResolveResult

from infrastructure.upstreams import addresses
from infrastructure.upstreams.addresses import AddressRefused, is_public, public_socket
from infrastructure.upstreams.connections import Connections
from tests.answers import Heard, hear
from tests.infrastructure.conftest import MakeModel
from tests.upstream import Upstream, upstream

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # Azure's host
    "169.254.0.1",
    "169.254.169.254",  # metadata of most clouds
    "169.254.170.2",  # of Amazon's containers
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.192",  # Oracle's metadata of old
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "233.252.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # Amazon's metadata
    "fd20:ce::254",  # Google's
    "fe80::1",
    "fe80::1%lo",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

OUTSIDE = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "128.0.0.1",
    "168.63.129.15",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "192.1.0.1",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2400:cb00::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def test_no_socket_is_made_for_an_address_inside() -> None:
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", 80)),
        (socket.AF_INET6, ("::1", 80, 0, 0)),
        (socket.AF_INET6, ("fe80::1%lo", 80, 0, 1)),
        (socket.AF_INET, ("169.254.169.254", 80)),
    ):
        with pytest.raises(AddressRefused):
            public_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))


def test_a_socket_is_made_for_an_address_outside() -> None:
    made = public_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("1.1.1.1", 80)))
    assert made.family == socket.AF_INET
    made.close()


# Over real sockets


@pytest.fixture
async def canary() -> AsyncIterator[Upstream]:
    async with upstream() as made:
        yield made
        assert made.connections == 0


Names = dict[str, list[list[str]]]
"""What the DNS says to each question for a name; the last answer stays."""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Besides these there are the machine's own names and numbers, and no network is asked."""
    answers: Names = {}
    ask = socket.getaddrinfo

    def resolve(
        host: str | None, port: int, family: int, kind: int, protocol: int, flags: int
    ) -> list[Any]:
        name = host or ""
        if name in answers:
            said = answers[name]
            found = said.pop(0) if len(said) > 1 else said[0]
            return [
                (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
                for address in found
            ]
        if "localhost" not in name.lower():
            flags |= socket.AI_NUMERICHOST
        return ask(host, port, family, kind, protocol, flags)

    async def resolve_for_users(
        resolver: AsyncResolver, host: str, port: int = 0, family: int = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.to_thread(resolve, host, port, family, socket.SOCK_STREAM, 0, 0)
        return [
            ResolveResult(hostname=host, host=a[0], port=a[1], family=f, proto=p, flags=0)
            for f, _, p, _, a in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(AsyncResolver, "resolve", resolve_for_users)
    return answers


async def hear_from(make_model: MakeModel, base_url: str, **more: Connections) -> Heard:
    return await hear(make_model(base_url=base_url, trusted=False, **more))


SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "00000177.0.0.1",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "localhost.localdomain",
    "ip6-localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::1%25lo]",
    "[fe80::1%25lo]",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "127\u00ad.0.0.1",
    "ｌｏｃａｌｈｏｓｔ",
    "someone@127.0.0.1",
    "api.example.com@127.0.0.1",
    "api.example.com:443@127.0.0.1",
    "127.0.0.1\\@api.example.com",
    "api.example.com\\@127.0.0.1",
    "127.0.0.1#@api.example.com",
    "127.0.0.1?@api.example.com",
    "127.0.0.1;api.example.com",
    "127.0.0.1 ",
    "127.0.0.1\t",
    "127.0.0.1\x00.example.com",
    "127.0.0.1\r\nHost: api.example.com",
    "",
]


@pytest.mark.usefixtures("no_waiting", "names")
@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_way_of_spelling_an_address_leads_inside(
    canary: Upstream, make_model: MakeModel, host: str
) -> None:
    for base_url in (f"http://{host}:{canary.port}/v1", f"HTTP://{host}:{canary.port}/v1"):
        heard = await hear_from(make_model, base_url)
        assert heard.pieces == []
        assert heard.code in {
            "upstream_address_refused",
            "upstream_unreachable",
            "upstream_malformed",
            "upstream_request_refused",
        }


@pytest.mark.parametrize(
    "scheme", ["file", "ftp", "gopher", "unix", "ws", "http+unix", "javascript", "", "//"]
)
async def test_no_other_scheme_is_spoken(
    canary: Upstream, make_model: MakeModel, scheme: str
) -> None:
    heard = await hear_from(make_model, f"{scheme}://127.0.0.1:{canary.port}/v1")
    assert heard.pieces == []
    assert heard.failure is not None


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["127.0.0.1", "127.0.0.1"],
        ["10.0.0.1", "169.254.169.254", "127.0.0.1"],
        ["192.168.0.1", "192.168.0.2"],
    ],
)
async def test_a_name_that_leads_inside_is_refused(
    canary: Upstream, make_model: MakeModel, names: Names, found: list[str]
) -> None:
    names["127.0.0.1.nip.example"] = [found]
    heard = await hear_from(make_model, f"http://127.0.0.1.nip.example:{canary.port}/v1")
    assert heard.code == "upstream_address_refused"


@pytest.mark.usefixtures("no_waiting")
async def test_a_name_that_leads_outside_first_and_inside_then_never_gets_inside(
    canary: Upstream,
    make_model: MakeModel,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.2")
    names["rebinding.example"] = [["127.0.0.2"], ["127.0.0.1"]]
    base_url = f"http://rebinding.example:{canary.port}/v1"
    codes = [(await hear_from(make_model, base_url)).code for _ in range(3)]
    assert set(codes) <= {"upstream_unreachable", "upstream_address_refused"}


@pytest.mark.usefixtures("no_waiting")
async def test_of_a_names_addresses_only_those_outside_are_tried(
    canary: Upstream,
    make_model: MakeModel,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.2")
    async with upstream("127.0.0.2") as outside:
        names["mixed.example"] = [["127.0.0.1", "127.0.0.2"]]
        heard = await hear_from(make_model, f"http://mixed.example:{outside.port}/v1")
        assert heard.text == "Hello"
        assert outside.calls[0].headers["host"] == f"mixed.example:{outside.port}"


async def test_a_redirect_from_outside_does_not_lead_inside(
    canary: Upstream,
    make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.2")
    async with upstream("127.0.0.2") as outside:
        outside.answers(lambda call: call.reply(307, location=canary.base_url))
        heard = await hear_from(make_model, f"http://127.0.0.2:{outside.port}/v1")
        assert heard.code == "upstream_request_refused"


async def test_the_operators_own_servers_may_be_anywhere(
    server: Upstream, make_model: MakeModel
) -> None:
    assert (await hear(make_model(trusted=True))).text == "Hello"


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.1:{port}"])
async def test_a_host_that_the_operator_allows_may_be_reached(
    server: Upstream, make_model: MakeModel, allowed: str
) -> None:
    connections = Connections(10, frozenset({allowed.format(port=server.port)}))
    heard = await hear_from(make_model, server.base_url, connections=connections)
    await connections.close()
    assert heard.text == "Hello"


@pytest.mark.parametrize(
    "allowed", ["127.0.0.1:1", "127.0.0.2", "example.com", "", "0.0.1", "127.0.0.1:", "*"]
)
async def test_no_other_host_or_port_is_allowed_with_it(
    canary: Upstream, make_model: MakeModel, allowed: str
) -> None:
    connections = Connections(10, frozenset({allowed}))
    heard = await hear_from(make_model, canary.base_url, connections=connections)
    await connections.close()
    assert heard.code == "upstream_address_refused"


async def test_a_name_that_is_allowed_may_lead_inside_and_no_other_name_for_the_same_place_may(
    server: Upstream, make_model: MakeModel, names: Names
) -> None:
    names["models.internal"] = names["other.internal"] = [["127.0.0.1"]]
    connections = Connections(10, frozenset({"models.internal"}))
    url = "http://{}:{}/v1"
    for name, text in (
        ("models.internal", "Hello"),
        ("MODELS.internal", "Hello"),
        ("other.internal", ""),
    ):
        heard = await hear_from(make_model, url.format(name, server.port), connections=connections)
        assert heard.text == text
    await connections.close()
    assert len(server.calls) == 2


async def test_a_connection_of_the_operator_is_never_a_users(
    server: Upstream, make_model: MakeModel
) -> None:
    assert (await hear(make_model(trusted=True))).text == "Hello"
    heard = await hear_from(make_model, server.base_url)
    assert heard.code == "upstream_address_refused"
    assert (await hear(make_model(trusted=True))).text == "Hello"
    assert (len(server.calls), server.connections) == (2, 1)


@pytest.mark.parametrize(
    "key", ["sk-\n", "sk-\r\nHost: evil", "sk-é", "sk-漢", "sk-\x00", "sk-\ud83d"]
)
async def test_a_key_that_fits_in_no_header_is_not_sent(
    server: Upstream, make_model: MakeModel, key: str
) -> None:
    heard = await hear(make_model(key=key))
    assert heard.code == "upstream_request_refused"
    assert server.calls == []


async def test_a_full_stop_at_its_end_is_no_part_of_an_allowed_name(
    server: Upstream, make_model: MakeModel, names: Names
) -> None:
    names["models.internal."] = names["models.internal"] = [["127.0.0.1"]]
    connections = Connections(10, frozenset({"models.internal"}))
    base_url = f"http://models.internal.:{server.port}/v1"
    heard = await hear_from(make_model, base_url, connections=connections)
    await connections.close()
    assert heard.text == "Hello"


async def test_names_of_users_take_none_of_the_threads_that_the_operators_names_need(
    canary: Upstream, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_not_asked(*_: object) -> None:
        raise OSError("the threads are taken")

    monkeypatch.setattr(socket, "getaddrinfo", is_not_asked)
    heard = await hear_from(make_model, f"http://localhost:{canary.port}/v1")
    assert heard.code == "upstream_address_refused"
