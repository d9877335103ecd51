import asyncio
import traceback
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster

from infrastructure.redis.client import (
    FAILURES,
    Client,
    check_redis_url,
    close_client,
    open_client,
    said_by,
)
from tests import servers
from tests.certificates import key_and_certificate

PATIENCE = 30.0
PASSWORD = "open-sesame"
AWAY = ("redis://:{}@127.0.0.1:1", "rediss://u:{}@127.0.0.1:1", "redis+cluster://u:{}@127.0.0.1:1")


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://redis:6379/0",
        "rediss://user:p%40ss@redis.example.com:6380/15",
        "redis://:secret@[::1]:6379",
        "redis+cluster://a:7000,b:7001,10.0.0.1",
        "rediss+cluster://user:secret@a:7000/0",
    ],
)
def test_urls_of_servers_and_clusters_are_taken(url: str) -> None:
    check_redis_url(url)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "must begin with redis://"),
        ("localhost:6379", "must begin with redis://"),
        ("unix:///run/redis.sock", "must begin with redis://"),
        ("redis:host", "must begin with redis://"),
        ("redis://[::1", "is no URL"),
        ("redis://", "must be redis://user"),
        ("redis://host:port", "must be redis://user"),
        ("redis://host:70000", "must be redis://user"),
        ("redis://host:0", "must be redis://user"),
        ("redis://host/one", "must be redis://user"),
        ("redis://a,b", "must be redis://user"),
        ("redis+cluster://a,,b", "must be redis://user"),
        ("redis+cluster://a/1", "leave the /number away"),
        (f"redis://u:{PASSWORD}/@host", "must be redis://user"),
        (f"redis://u:{PASSWORD}@@host", "must be redis://user"),
        (f"redis://u:{PASSWORD}#@host", "must be redis://user"),
        (f"redis://u:{PASSWORD}?@host", "must be redis://user"),
        (f"rediss://u:{PASSWORD}@host?ssl_cert_reqs=none", "must be redis://user"),
    ],
)
def test_a_bad_url_is_told_in_a_sentence_that_quotes_no_password(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as caught:
        check_redis_url(url)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value)).split("ValueError")[-1]
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("url", AWAY)
async def test_what_fails_names_no_password(url: str) -> None:
    client = open_client(url.format(PASSWORD), timeout=5)
    with pytest.raises(FAILURES) as caught:
        await client.execute_command("GET", "key")
    await close_client(client)
    told = [repr(client), said_by(caught.value), *traceback.format_exception(caught.value)]
    assert PASSWORD not in "".join(told)
    assert "127.0.0.1:1" in said_by(caught.value)


async def test_a_refused_password_is_not_quoted(redis_server: servers.Redis) -> None:
    client = open_client(redis_server.url.replace("//", f"//u:{PASSWORD}@"), timeout=5)
    with pytest.raises(FAILURES) as caught:
        await client.execute_command("GET", "key")
    await close_client(client)
    told = [said_by(caught.value), *traceback.format_exception(caught.value)]
    assert PASSWORD not in "".join(told)
    assert "AuthenticationError" in said_by(caught.value)


async def test_over_tls_only_a_server_with_a_known_certificate_is_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(key_and_certificate())
    port = servers.free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate))
    tls = ("--tls-port", str(port), *files, "--tls-auth-clients", "no", "--tls-ca-cert-file")
    try:
        serving = servers.redis(*tls, str(certificate))
        serving.__enter__()
    except AssertionError:
        pytest.skip("this Redis knows no TLS")
    with ExitStack() as closing:
        closing.push(serving)
        client = open_client(f"rediss://localhost:{port}", timeout=5)
        with pytest.raises(FAILURES) as caught:
            await client.execute_command("GET", "key")
        assert "CERTIFICATE_VERIFY_FAILED" in said_by(caught.value)
        await close_client(client)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        for host, known in (("localhost", True), ("127.0.0.1", False)):
            client = open_client(f"rediss://{host}:{port}", timeout=5)
            if known:
                assert await client.execute_command("GET", "key") is None
            else:
                with pytest.raises(FAILURES):
                    await client.execute_command("GET", "key")
            await close_client(client)


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def url(request: pytest.FixtureRequest) -> str:
    made: str = request.getfixturevalue(request.param)
    return made


async def test_who_comes_when_all_connections_are_taken_waits(url: str) -> None:
    client = open_client(url, timeout=30)
    asking = (client.execute_command("GET", str(number)) for number in range(300))
    assert await asyncio.gather(*asking) == [None] * 300
    piping = []
    for number in range(300):
        pipe = client.pipeline(transaction=False)
        pipe.execute_command("GET", str(number))
        piping.append(pipe.execute())
    assert await asyncio.gather(*piping) == [[None]] * 300
    await close_client(client)


async def test_users_words_are_not_in_what_is_logged(url: str) -> None:
    client = open_client(url, timeout=5)
    pipe = client.pipeline(transaction=False)
    pipe.execute_command("XADD", "key", "not-an-id", "said", "words of a user")
    with pytest.raises(FAILURES) as caught:
        await pipe.execute()
    await close_client(client)
    assert "words of a user" in str(caught.value)
    assert "words" not in said_by(caught.value)
    assert "Invalid stream ID" in said_by(caught.value)


async def test_nor_are_those_that_redis_quotes(redis_url: str) -> None:
    client = open_client(redis_url, timeout=5)
    with pytest.raises(FAILURES) as caught:
        await client.execute_command("XYZ", "words of a user")
    await close_client(client)
    assert "words" in str(caught.value)
    assert "words" not in said_by(caught.value)


async def test_a_cluster_is_told_to_do_no_transaction(redis_cluster_url: str) -> None:
    client = open_client(redis_cluster_url, timeout=5)
    with pytest.raises(NotImplementedError):
        client.pipeline(transaction=True)


async def test_after_a_failure_all_connections_are_closed_too(redis_cluster_url: str) -> None:
    """An open one would be a warning, and so an error."""
    client = open_client(redis_cluster_url, timeout=5)
    for number in range(20):
        await client.execute_command("GET", str(number))
    assert isinstance(client, RedisCluster)
    with pytest.raises(FAILURES):
        await client.execute_command("DEBUG", "NOTHING", "key")
    client._initialize = True  # as a lost connection leaves it
    await close_client(client)
    nodes = client.nodes_manager.nodes_cache.values()
    assert not any(each.is_connected for node in nodes for each in node._connections)


async def test_what_got_no_answer_is_not_sent_again(redis_server: servers.Redis) -> None:
    client = open_client(redis_server.url, timeout=0.5)
    assert await written_in_a_hang(client, [redis_server]) == 1
    await close_client(client)


async def test_nor_is_it_to_a_cluster() -> None:
    with servers.redis_cluster() as cluster:
        client = open_client(cluster.url, timeout=0.5)
        assert await written_in_a_hang(client, cluster.nodes) == 1
        await close_client(client)


async def written_in_a_hang(client: Client, nodes: Iterable[servers.Redis]) -> object:
    """How often one entry is written that was sent while they hang."""
    assert await client.execute_command("XLEN", "key") == 0
    for node in nodes:
        node.pause()
    writing = asyncio.ensure_future(client.execute_command("XADD", "key", "*", "a", "b"))
    try:
        await asyncio.wait([writing], timeout=0.8)  # a second attempt would wait for its answer
    finally:
        for node in nodes:
            node.go_on()
    with pytest.raises(FAILURES):
        await writing
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(*FAILURES):
                return await client.execute_command("XLEN", "key")


async def test_the_first_commands_find_their_nodes_too(redis_cluster_url: str) -> None:
    before = await moved(redis_cluster_url)
    client = open_client(redis_cluster_url, timeout=30)
    await asyncio.gather(*(client.execute_command("GET", str(each)) for each in range(100)))
    await close_client(client)
    assert await moved(redis_cluster_url) == before


async def test_slots_that_have_moved_fail_no_command(redis_cluster_url: str) -> None:
    client = open_client(redis_cluster_url, timeout=30)
    assert isinstance(client, RedisCluster)
    await client.initialize()
    known = client.nodes_manager.slots_cache
    client.nodes_manager.slots_cache = {
        slot: list(known[(slot + len(known) // 3) % len(known)]) for slot in known
    }
    before = await moved(redis_cluster_url)
    asking = (client.execute_command("GET", str(number)) for number in range(300))
    assert await asyncio.gather(*asking) == [None] * 300
    await close_client(client)
    assert await moved(redis_cluster_url) > before


async def moved(url: str) -> int:
    """How many commands were told to go elsewhere."""
    client = open_client(url, timeout=30)
    assert isinstance(client, RedisCluster)
    told = await client.info("errorstats", target_nodes=RedisCluster.ALL_NODES)
    await close_client(client)
    return sum(int(node.get("errorstat_MOVED", {"count": 0})["count"]) for node in told.values())
