import gzip
import re
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.types import ASGIApp

from interface.app import build_app
from interface.assets import Shelf, assets_of
from interface.web_page import CONTENT_SECURITY_POLICY, PageRoutes
from resources import read_files, read_page
from tests.interface.clients import ask, assert_problem

ROOT: Final = Path(__file__).parents[2]
INDEX: Final = b"<!doctype html>" + b"<p>Hello</p>" * 20
SCRIPT: Final = b"export const answer = 42;\n" * 20

FILES: Final[Mapping[str, bytes]] = {
    "index.html": INDEX,
    "main.js": SCRIPT,
    "vendor/purify.mjs": SCRIPT,
    "style.css": b"p { margin: 0 }",
    "icon.svg": b"<svg/>",
    "vendor/licence.txt": b"MIT",
    "about.md": b"# About",
    "__init__.py": b"raise SystemExit",
    "__pycache__/main.cpython-311.pyc": b"compiled",
    "vendor/LICENSE": b"MIT",
    ".hidden.js": b"hidden",
    ".git/main.js": b"hidden",
    "index.html~": b"left over",
}


@pytest.fixture
def app() -> ASGIApp:
    return build_app(PageRoutes(Shelf(assets_of(FILES), CONTENT_SECURITY_POLICY)).routes())


@pytest.fixture
async def http(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        client.headers["Accept-Encoding"] = "identity"
        yield client


async def test_the_page_is_at_the_root_and_what_it_loads_beside_it(
    http: httpx.AsyncClient,
) -> None:
    for path, content in {"/": INDEX, "/page/main.js": SCRIPT, "/page/icon.svg": b"<svg/>"}.items():
        reply = await http.get(path)
        assert (reply.status_code, reply.content) == (200, content)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/vendor/purify.mjs", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/page/vendor/licence.txt", "text/plain; charset=utf-8"),
        ("/page/about.md", "text/markdown; charset=utf-8"),
    ],
)
async def test_each_file_says_what_it_is(
    http: httpx.AsyncClient, path: str, media_type: str
) -> None:
    assert (await http.get(path)).headers["content-type"] == media_type


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/nothing.js",
        "/page/vendor",
        "/page/vendor/",
        "/page/__init__.py",
        "/page/__pycache__/main.cpython-311.pyc",
        "/page/vendor/LICENSE",
        "/page/.hidden.js",
        "/page/.git/main.js",
        "/page/index.html~",
        "/page/../web_page.py",
        "/page/../page/main.js",
        "/page/../../style.yaml",
        "/page/..\\web_page.py",
        "/page//main.js",
        "/page/./main.js",
        "/page/vendor/../main.js",
        "/page//etc/passwd",
        "/page/main.js\0",
        "/page/MAIN.JS",
        "/index.html",
    ],
)
async def test_what_is_no_part_of_the_page_does_not_exist(app: ASGIApp, path: str) -> None:
    reply = await ask(app, "GET", path, "", {}, b"")  # a client would tidy the path up
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
async def test_only_reading_is_allowed(http: httpx.AsyncClient, path: str) -> None:
    reply = await http.post(path)
    assert_problem(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD"


async def test_a_query_changes_nothing(http: httpx.AsyncClient) -> None:
    plain = await http.get("/page/main.js")
    asked = await http.get("/page/main.js?version=7")
    assert asked.content == plain.content
    assert asked.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("path", ["/", "/page/main.js"])
async def test_a_head_is_told_the_same(http: httpx.AsyncClient, path: str, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding, "X-Request-ID": "request-42"}
    got = await http.get(path, headers=headers)
    head = await http.head(path, headers=headers)
    assert head.status_code == 200
    assert head.headers == got.headers
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*;q=0", False),
        ("gzip;q=no", False),
        ("identity", False),
        ("br", False),
        ("", False),
    ],
)
async def test_who_takes_gzip_is_sent_less(
    http: httpx.AsyncClient, accepted: str, zipped: bool
) -> None:
    reply = await http.get("/page/main.js", headers={"Accept-Encoding": accepted})
    assert reply.content == SCRIPT  # the client has unzipped it
    assert (reply.headers.get("content-encoding") == "gzip") is zipped
    assert reply.headers["vary"] == "Accept-Encoding"
    sent = int(reply.headers["content-length"])
    assert sent == len(gzip.compress(SCRIPT, 9)) if zipped else sent == len(SCRIPT)


async def test_what_gets_no_smaller_is_sent_as_it_is(http: httpx.AsyncClient) -> None:
    reply = await http.get("/page/icon.svg", headers={"Accept-Encoding": "gzip"})
    assert reply.content == b"<svg/>"
    assert "content-encoding" not in reply.headers
    assert reply.headers["vary"] == "Accept-Encoding"


async def test_who_has_it_already_is_not_sent_it_again(http: httpx.AsyncClient) -> None:
    for encoding in ("identity", "gzip"):
        http.headers["Accept-Encoding"] = encoding
        etag = (await http.get("/page/main.js")).headers["etag"]
        assert etag.startswith('"')
        for said in (etag, f"W/{etag}", f'"another", {etag}', "*"):
            for get in (http.get, http.head):
                reply = await get("/page/main.js", headers={"If-None-Match": said})
                assert (reply.status_code, reply.content) == (304, b"")
                assert reply.headers["etag"] == etag
                assert reply.headers["cache-control"] == "no-cache"
                assert reply.headers["vary"] == "Accept-Encoding"
        for said in ('"another"', etag.strip('"'), etag[:-2] + '"'):
            reply = await http.get("/page/main.js", headers={"If-None-Match": said})
            assert (reply.status_code, reply.content) == (200, SCRIPT)


async def test_what_differs_has_another_etag(http: httpx.AsyncClient) -> None:
    etags = {
        (await http.get(path, headers={"Accept-Encoding": encoding})).headers["etag"]
        for path in ("/", "/page/main.js")
        for encoding in ("identity", "gzip")
    }
    assert len(etags) == 4
    changed = assets_of({"main.js": SCRIPT + b"\n"})["main.js"]
    assert changed.gzipped is not None
    assert not {changed.plain.etag, changed.gzipped.etag} & etags


def test_every_process_says_the_same_etag() -> None:
    """Behind a proxy the next question comes to another one."""
    zipped = assets_of(FILES)["main.js"].gzipped
    assert zipped is not None
    assert zipped.content[4:8] == b"\0\0\0\0"  # no time of its making


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/icon.svg"])
async def test_the_page_may_load_nothing_from_elsewhere_nor_run_what_it_was_not_given(
    http: httpx.AsyncClient, path: str, again: bool
) -> None:
    reply = await http.get(path, headers={"If-None-Match": "*"} if again else {})
    assert reply.status_code == (304 if again else 200)
    assert reply.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    ]
    said = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    assert said.items() <= dict(reply.headers).items()
    assert "microphone=()" in reply.headers["permissions-policy"]


async def test_the_page_needs_no_sign_in(locked_http: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Bearer expired"}
    reply = await locked_http.get("/", headers=headers)
    assert (reply.status_code, reply.text) == (200, "<!doctype html>")


# What is in the folder


def test_the_page_is_found_wherever_the_product_is_installed() -> None:
    assets = assets_of(read_page("page"))
    folder = ROOT / "interface" / "page"
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "index.html" in assets
    assert read_page("page").keys() == kept
    for path, asset in assets.items():
        assert asset.plain.content == (folder / path).read_bytes()


def test_all_modules_of_the_first_load_are_asked_for_at_once() -> None:
    page = {name: text.decode() for name, text in read_page("page").items()}
    needed, open_ends = set[str](), ["main.js"]
    while open_ends:
        module = open_ends.pop()
        needed.add(module)
        imported = re.findall(r'^import .*"\./(.+)";$', page[module], re.MULTILINE)
        open_ends += set(imported) - needed
    named = re.findall(r'(?:modulepreload" href|module" src)="/page/(.+?)"', page["index.html"])
    assert sorted(named) == sorted(needed)


def test_folders_within_the_page_are_read_as_well(tmp_path: Path) -> None:
    for path in ("main.js", "vendor/purify.mjs", "vendor/styles/dark.css"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    assert dict(read_files(tmp_path)) == {
        "main.js": b"main.js",
        "vendor/purify.mjs": b"vendor/purify.mjs",
        "vendor/styles/dark.css": b"vendor/styles/dark.css",
    }


def test_all_of_the_page_goes_into_the_package_and_the_image() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert data["package-data"]["interface"] == ["page/**", "docs_page/**"]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    later = lines[lines.index("!interface") + 1 :]
    assert [line for line in later if not line.startswith("!")] == ["**/__pycache__"]
