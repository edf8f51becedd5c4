"""A package index shows README.md alone, so its links are absolute, and they lead to files of this repository."""

from __future__ import annotations

import re

import pytest

from tests.integration.docs.repository import ADDRESS, PROJECT, RAW, ROOT, file_of

README = (ROOT / "README.md").read_text()
DEFINED = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", README, re.M))
LINKS = [*re.findall(r"\]\(([^)\s]+)\)", README), *DEFINED.values()]
PICTURES = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", README)


def test_the_readme_defines_the_links_that_it_uses() -> None:
    assert set(re.findall(r"\]\[([\w-]+)\]", README)) == DEFINED.keys()
    assert PICTURES


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_a_link_of_the_readme_is_absolute(link: str) -> None:
    assert link.startswith("https://")


@pytest.mark.parametrize("link", sorted({link for link in LINKS if ADDRESS.split("://")[1].split("/", 1)[1] in link}))
def test_a_link_to_the_repository_leads_to_a_file(link: str) -> None:
    file = file_of(link.partition("#")[0])
    assert file is not None
    assert file.exists()


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_the_file_itself_and_not_a_page_about_it(picture: str) -> None:
    assert picture.startswith(RAW)


@pytest.mark.parametrize("name", PROJECT["urls"])
def test_an_address_of_the_project_is_in_the_repository(name: str) -> None:
    url = PROJECT["urls"][name]
    assert url.startswith(ADDRESS)
    file = file_of(url)
    assert file is None or file.exists()
