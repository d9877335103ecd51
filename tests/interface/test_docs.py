"""The page at `/docs`, as it is sent. What a browser makes of it is in `browser/test_docs.py`."""

import re
from pathlib import Path
from typing import Final

import httpx
import pytest

from interface.assets import assets_of
from resources import read_page
from tests.interface.clients import assert_problem
from tests.interface.doors import Doors
from wiring.given import Pages

FOLDER: Final = Path(__file__).parents[2] / "interface" / "docs_page"
PAGE: Final = {
    "index.html": b"<!doctype html>",
    "docs.js": b"SwaggerUIBundle();\n" * 20,
    "vendor/swagger-ui/swagger-ui.css": b"p { margin: 0 }",
    "vendor/swagger-ui/NOTICE": b"notice",
}


@pytest.fixture
async def doors() -> Doors:
    return Doors(pages=Pages({}, PAGE, b""), sign_in_required=True)


async def test_the_page_is_at_docs_and_what_it_loads_beneath_and_nobody_must_sign_in(
    http: httpx.AsyncClient,
) -> None:
    for path, file in {
        "/docs": "index.html",
        "/docs/docs.js": "docs.js",
        "/docs/vendor/swagger-ui/swagger-ui.css": "vendor/swagger-ui/swagger-ui.css",
    }.items():
        reply = await http.get(path)
        assert (reply.status_code, reply.content) == (200, PAGE[file])
        assert reply.headers["etag"].startswith('"')
    assert (await http.get("/docs/docs.js")).headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/docs/nothing.js", "/docs/vendor/swagger-ui/NOTICE"])
async def test_what_is_no_part_of_it_does_not_exist(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/docs", "/docs/docs.js"])
async def test_it_may_load_nothing_from_elsewhere_nor_run_what_it_was_not_given(
    http: httpx.AsyncClient, path: str
) -> None:
    reply = await http.get(path)
    assert reply.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_the_document_of_the_streams_may_load_nothing_at_all(
    http: httpx.AsyncClient,
) -> None:
    reply = await http.get("/asyncapi.json")
    policy = reply.headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"


# What is in the folder


def test_it_is_found_wherever_the_product_is_installed() -> None:
    kept = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert read_page("docs_page").keys() == kept


def test_all_that_it_names_is_there() -> None:
    assets = {f"/docs/{path}" for path in assets_of(read_page("docs_page"))}
    index = (FOLDER / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="(/docs/.+?)"', index))
    assert len(named) == 4
    assert named <= assets


def test_nothing_runs_in_the_page_itself() -> None:
    """Its policy would not let it."""
    index = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", index) == []
