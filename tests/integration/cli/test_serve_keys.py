"""``conversation-kit serve`` with keys that change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx2
import pytest

from conversation_kit.auth import make_key_pair, make_token
from tests.support.keys import jwk
from tests.support.processes import Server, poll, run, serve

APP = "app-1"
PAIRS = {kid: make_key_pair() for kid in ("old", "new", "other")}
MEMORY = ("--storage", "memory://")


def status(server: Server, pair: str, *, kid: str | None = None, ttl: int = 600) -> int:
    token = make_token(PAIRS[pair][0], APP, kid=kid, ttl=ttl)
    return httpx2.get(f"{server.url}/beta/users", headers={"Authorization": f"Bearer {token}"}, trust_env=False).status_code


def pem(folder: Path, pair: str) -> str:
    (folder / f"{pair}.pem").write_text(PAIRS[pair][1])
    return f"{APP}={folder / pair}.pem"


def write_set(file: Path, *pairs: str) -> Path:
    """Put another key set in the place of the old one at once."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"keys": [jwk(pair, PAIRS[pair][0]) for pair in pairs]}))
    return new.replace(file)


def refusal(*arguments: str) -> str:
    done = run("serve", *MEMORY, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    return re.sub(r"^conversation-kit: (error: )?", "", done.stderr.strip().splitlines()[-1])


def test_tokens_of_each_of_an_applications_keys_are_good(tmp_path: Path) -> None:
    arguments = [part for pair in ("old", "new") for part in ("--application", pem(tmp_path, pair))]
    with serve(tmp_path, *MEMORY, *arguments) as server:
        assert [status(server, pair) for pair in PAIRS] == [200, 200, 401]
        assert status(server, "new", kid="whatever") == 200


def test_tokens_that_live_too_long_are_refused(tmp_path: Path) -> None:
    with serve(tmp_path, *MEMORY, "--application", pem(tmp_path, "old"), "--max-token-age", "3600") as server:
        assert [status(server, "old", ttl=ttl) for ttl in (600, 3600, 3700)] == [200, 200, 401]


@pytest.mark.slow
def test_a_key_that_a_file_gets_while_the_server_runs_is_trusted_soon(tmp_path: Path) -> None:
    file = write_set(tmp_path / "jwks.json", "old")
    with serve(tmp_path, *MEMORY, "--application", f"{APP}={file}") as server:
        assert status(server, "old", kid="old") == 200
        assert status(server, "new", kid="new") == 401
        write_set(file, "old", "new")
        poll(lambda: status(server, "new", kid="new") == 200 or None)
        assert status(server, "old", kid="old") == 200
        write_set(file, "new", "other")
        poll(lambda: status(server, "other", kid="other") == 200 or None)
        assert status(server, "old", kid="old") == 401, "what is no longer in the file is no longer trusted"


def test_keys_that_cannot_be_are_refused_at_the_start(tmp_path: Path) -> None:
    file, one = write_set(tmp_path / "jwks.json", "old"), pem(tmp_path, "new")
    told = refusal("--application", f"{APP}={file}", "--application", one)
    assert told == f"--application {APP}={file} is a set of all its keys: give no other one beside it."
    for text, reason in (
        ('{"keys"', "is no JSON"),
        ('{"old": "pem"}', "no list of keys"),
        ('{"keys": []}', "from 1 to 16 RSA public keys"),
    ):
        file.write_text(text)
        assert reason in refusal("--application", f"{APP}={file}")
    assert "https://" in refusal("--application", f"{APP}=http://keys.example/jwks.json")
    assert str(tmp_path / "none.json") in refusal("--application", f"{APP}={tmp_path / 'none.json'}")
