"""The site of ``make docs`` builds strictly, has all pages and all public names, and takes nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree
from urllib.parse import unquote, urlsplit

import pytest

import conversation_kit
import conversation_kit.testing
import conversation_kit_nats
import conversation_kit_redis
import conversation_kit_sql
from conversation_kit import auth
from tests.integration.docs.repository import DOCUMENTED, ROOT

CONFIG = (ROOT / "mkdocs.yml").read_text()
PAGES = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
NAVIGATION = re.findall(r"([\w/-]+\.md)$", CONFIG, re.M)
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


def test_the_navigation_has_every_page_once() -> None:
    assert sorted(NAVIGATION) == sorted(PAGES)


@pytest.mark.parametrize(
    "package", [conversation_kit, conversation_kit.testing, conversation_kit_sql, conversation_kit_redis, conversation_kit_nats]
)
def test_the_reference_has_every_public_name_once(package: object) -> None:
    name, public = getattr(package, "__name__"), getattr(package, "__all__")  # noqa: B009
    assert sorted(one for one in DOCUMENTED if re.fullmatch(rf"{name}\.\w+", one)) == sorted(f"{name}.{one}" for one in public)


def test_the_reference_has_the_names_of_auth() -> None:
    names = {name.rpartition(".")[2] for name in DOCUMENTED}
    assert names >= set(auth.__all__) - {"Identify", "Identity"}  # types of arguments, shown where they are used


class Links(HTMLParser):
    """What a page links to, what it loads, and the names of its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value for key, value in attrs if value}
        self.places |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values and values.get("rel") not in ("canonical", "edit", "next", "prev", "alternate"):
            self.loads.append(values[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with the project's own settings, but for where it lies."""
    if find_spec("zensical") is None:
        pytest.skip("zensical is not installed: `make docs` installs it")
    folder = tmp_path_factory.mktemp("site")
    copytree(ROOT / "docs", folder / "docs")
    (folder / "mkdocs.yml").write_text(CONFIG.replace("paths: [., adapters]", f"paths: [{ROOT}, {ROOT / 'adapters'}]"))
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_what_pages_link_to_and_load_is_in_the_site(site: Path) -> None:
    parsed = {page: Links(page.read_text()) for page in site.rglob("*.html")}
    assert len(parsed) > len(PAGES)
    wrong = []
    for page, found in parsed.items():
        base = site if page.name == "404.html" else page.parent
        for link in (*found.links, *found.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                page if not parts.path else (site / parts.path[1:] if parts.path.startswith("/") else base / unquote(parts.path)).resolve()
            )
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (parts.fragment and target in parsed and unquote(parts.fragment) not in parsed[target].places):
                wrong.append(f"{page.relative_to(site)}: {link}")
    assert wrong == []


def test_pages_load_nothing_from_other_servers(site: Path) -> None:
    elsewhere = {load for page in site.rglob("*.html") for load in Links(page.read_text()).loads if urlsplit(load).netloc}
    assert elsewhere == set()
    # With `repo_url` in the settings a script asks GitHub for the repository's stars.
    assert not [page for page in site.rglob("*.html") if 'data-md-component="source"' in page.read_text()]
