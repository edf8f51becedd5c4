"""The command line, as processes of its own."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import pytest

from tests.support import brokers, databases
from tests.support.processes import INSTRUCTIONS, Command, Server, connections, keygen, run, serve, start


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("keys") / "app-1")


@pytest.fixture(scope="module")
def other_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("keys") / "app-2")


@pytest.fixture
def anyio_backend() -> str:
    """Of the tests' own clients; what is tested runs in other processes."""
    return "asyncio"


def token(keys: Path, *arguments: str, application: str = "app-1") -> str:
    made = run("token", "--private-key", keys / "private.pem", "--application", application, *arguments)
    assert (made.returncode, made.stderr) == (0, "")
    return made.stdout.strip()


def claims(keys: Path, token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, (keys / "public.pem").read_text(), algorithms=["RS256"])
    return decoded


def refusal(*arguments: str | Path) -> str:
    """The one sentence with which a command refuses to go on."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    start, colon, sentence = done.stderr.partition(": ")
    assert (start, colon) == ("conversation-kit", ": ")
    assert sentence.count("\n") == 1
    return sentence.strip()


def misuse(*arguments: str | Path) -> str:
    """What argparse says about the arguments."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()[-1]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def call(url: str, token: str, method: str = "GET", **options: Any) -> httpx2.Response:
    return httpx2.request(method, url, headers=bearer(token), trust_env=False, **options)


def test_without_a_command_it_says_which_there_are() -> None:
    assert "COMMAND" in misuse()
    shown = run("--help")
    assert shown.returncode == 0
    assert re.findall(r"^    (\w+) ", shown.stdout, re.MULTILINE) == ["serve", "demo", "migrate", "restored", "keygen", "token"]


# keygen


def test_keygen_writes_a_pair_of_which_only_the_owner_may_read_the_private_one(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "deep"
    done = run("keygen", directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(file.name for file in directory.iterdir()) == ["private.pem", "public.pem"]
    assert stat.S_IMODE((directory / "private.pem").stat().st_mode) == 0o600
    assert (directory / "private.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert (directory / "public.pem").read_text().startswith("-----BEGIN PUBLIC KEY-----\n")
    assert str(directory / "public.pem") in done.stdout
    assert claims(directory, token(directory))["application_id"] == "app-1"


@pytest.mark.parametrize("name", ["private.pem", "public.pem"])
def test_keygen_never_writes_over_a_key(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    assert refusal("keygen", tmp_path) == f"{tmp_path / name} exists: choose another directory, or move it away first."
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "precious")]


def test_keygen_says_when_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refusal("keygen", tmp_path / "file")


# token


def test_a_token_is_an_admins_for_a_quarter_of_an_hour(keys: Path) -> None:
    found = claims(keys, token(keys))
    assert sorted(found) == ["application_id", "exp", "iat", "jti"]
    assert found["application_id"] == "app-1"
    assert found["exp"] - found["iat"] == 900


def test_a_token_for_a_user(keys: Path) -> None:
    acl = {"paths": {"/*/conversations/**": {"methods": ["GET"]}}}
    found = claims(keys, token(keys, "--sub", "Ana María", "--ttl", "60", "--acl", json.dumps(acl)))
    assert found["sub"] == "Ana María"
    assert found["exp"] - found["iat"] == 60
    assert found["acl"] == acl


def test_a_token_is_made_with_a_private_key_only(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.pem").write_bytes(bytes(range(128, 256)))
    for_app = ("--application", "app-1")
    assert "is a public one" in refusal("token", "--private-key", keys / "public.pem", *for_app)
    assert "PEM" in refusal("token", "--private-key", tmp_path / "noise.pem", *for_app)
    missing = tmp_path / "missing.pem"
    assert str(missing) in refusal("token", "--private-key", missing, *for_app)


@pytest.mark.parametrize("ttl", ["0", "-5"])
def test_a_token_lives_for_a_while(keys: Path, ttl: str) -> None:
    told = refusal("token", "--private-key", keys / "private.pem", "--application", "app-1", "--ttl", ttl)
    assert told == "--ttl takes a number of seconds of more than 0."


def test_an_acl_is_json(keys: Path) -> None:
    told = misuse("token", "--private-key", keys / "private.pem", "--application", "app-1", "--acl", "{paths}")
    assert "argument --acl: is not JSON: " in told


# serve


def options(keys: Path, storage: str, *more: str | Path) -> tuple[str | Path, ...]:
    return ("--application", f"app-1={keys / 'public.pem'}", "--storage", storage, *more)


@pytest.mark.parametrize("storage", ["memory://", "sqlite:///chat.db"])
def test_serve(keys: Path, other_keys: Path, tmp_path: Path, storage: str) -> None:
    """Two applications are served, each its own, until SIGTERM; a file lies in the working directory and is left whole."""
    second = ("--application", f"app-2={other_keys / 'public.pem'}")
    admin, other = token(keys), token(other_keys, application="app-2")
    with serve(tmp_path, *options(keys, storage, *second)) as server:
        users = f"{server.url}/beta/users"
        made = call(users, admin, "POST", json={"name": "ana"})
        assert made.status_code == 200
        id = made.json()["id"]
        assert made.json()["href"] == f"{users}/{id}"
        assert call(users, other, "POST", json={"name": "ana"}).status_code == 200
        assert [row["id"] for row in call(users, admin).json()] == [id]
        assert call(f"{users}/{id}", token(keys, "--sub", "ana")).json()["name"] == "ana"
        assert call(f"{users}/{id}", other).status_code == 404
        assert call(users, token(other_keys)).status_code == 401
        assert_ends_well(server)
    if storage.startswith("memory"):
        assert not list(tmp_path.glob("*.db*"))
        return
    # The log is moved into the file; beside it stays only what tells the processes that share the file from each other.
    assert sorted(file.name for file in tmp_path.glob("*.db*")) == ["chat.db", "chat.db-users"]
    with serve(tmp_path, *options(keys, storage)) as server:
        assert [row["id"] for row in call(f"{server.url}/beta/users", admin).json()] == [id]


def assert_ends_well(server: Server) -> None:
    # uvicorn ends by the signal that it got once everything is shut down; its supervisor of several workers just returns.
    assert server.terminate() in (0, -signal.SIGTERM)
    output = server.text()
    assert output.count("Application shutdown complete.") == len(server.workers)
    assert "Traceback" not in output
    assert "ERROR" not in output


@pytest.mark.parametrize(("path", "at"), [("/", ""), ("chat/api/", "/chat/api"), ("/beta", "/beta")])
def test_serve_mounts_the_api_at_a_path(keys: Path, tmp_path: Path, path: str, at: str) -> None:
    with serve(tmp_path, *options(keys, "memory://"), path=path) as server:
        made = call(f"{server.url}{at}/users", token(keys), "POST", json={"name": "ana"})
        assert made.json()["href"] == f"{server.url}{at}/users/{made.json()['id']}"
        assert call(f"{server.url}/elsewhere/users", token(keys)).status_code == 404


def test_serve_for_the_invited_only(keys: Path, tmp_path: Path) -> None:
    with serve(tmp_path, *options(keys, "memory://"), "--join", "invited") as server:
        admin, api = token(keys), f"{server.url}/beta"
        call(f"{api}/users", admin, "POST", json={"name": "ana"})
        room = call(f"{api}/conversations", admin, "POST", json={}).json()["id"]
        body = {"action": "join", "user_name": "ana", "channel": {"type": "app"}}
        assert call(f"{api}/conversations/{room}/members", token(keys, "--sub", "ana"), "POST", json=body).status_code == 404
        assert call(f"{api}/conversations/{room}/members", admin, "POST", json=body).status_code == 201


def test_serve_behind_a_public_url(keys: Path, tmp_path: Path) -> None:
    with serve(tmp_path, *options(keys, "memory://", "--public-url", "https://chat.example/api/beta/")) as server:
        made = call(f"{server.url}/beta/users", token(keys), "POST", json={"name": "ana"}).json()
        assert made["href"] == f"https://chat.example/api/beta/users/{made['id']}"


@pytest.mark.anyio
async def test_two_workers_number_the_events_of_one_conversation_without_gaps(keys: Path, tmp_path: Path) -> None:
    each, posts = 8, 10
    headers = bearer(token(keys))
    ids: list[int] = []
    with serve(tmp_path, *options(keys, "sqlite:///chat.db"), workers=2) as server:
        assert len(server.workers) == 2
        async with connections(server, each) as clients:
            made = await clients[0].post("/beta/conversations", headers=headers, json={"name": "room"})
            events = f"/beta/conversations/{made.json()['id']}/events"

            async def post(client: httpx2.AsyncClient) -> None:
                for _ in range(posts):
                    answer = await client.post(events, headers=headers, json={"type": "text", "body": {"text": "hello"}})
                    assert answer.status_code == 201, answer.text
                    ids.append(int(answer.json()["id"]))

            async with anyio.create_task_group() as group:
                for client in clients:
                    group.start_soon(post, client)
            assert sorted(ids) == list(range(1, 2 * each * posts + 1))
            for client in clients:
                listed = (await client.get(events, headers=headers, params={"page_size": 100, "start_id": 61})).json()
                assert [int(event["id"]) for event in listed] == list(range(61, 2 * each * posts + 1))
        assert_ends_well(server)


@pytest.mark.parametrize("storage", ["memory://", "sqlite://", "sqlite:///:memory:"])
def test_workers_need_a_storage_that_they_share(keys: Path, storage: str) -> None:
    told = refusal("serve", *options(keys, storage, "--workers", "2"))
    assert told == f"{storage} is each worker's own: use a database, such as sqlite:///file.db, with more than one worker."


@pytest.mark.anyio
@pytest.mark.parametrize("kind", brokers.KINDS)
async def test_who_listens_to_one_worker_sees_somebody_type_who_is_at_the_other(keys: Path, tmp_path: Path, kind: str) -> None:
    headers = {"Authorization": f"Bearer {token(keys)}"}
    with databases.fresh("postgresql" if kind == "postgresql" else "sqlite", tmp_path) as storage:
        broker = "postgres" if kind == "postgresql" else brokers.url_of(kind)
        with serve(tmp_path, *options(keys, storage, "--broker", broker), workers=2) as server:
            async with connections(server, 1) as (here, there):
                room = (await here.post("/beta/conversations", headers=headers)).json()["href"]
                heard = anyio.Event()

                async def listen() -> None:
                    async with here.stream("GET", f"{room}/events", headers={**headers, "Accept": "text/event-stream"}) as answer:
                        async for line in answer.aiter_lines():
                            if line.startswith("data:"):
                                assert json.loads(line.removeprefix("data:"))["type"] == "text:typing:on"
                                heard.set()
                                return

                # What is in no log can only come through the broker, as soon as both workers are connected with it.
                with anyio.fail_after(60):
                    async with anyio.create_task_group() as group:
                        group.start_soon(listen)
                        while not heard.is_set():
                            assert (await there.post(f"{room}/events", headers=headers, json={"type": "text:typing:on"})).status_code == 201
                            with anyio.move_on_after(0.1):
                                await heard.wait()
            assert "no --broker" not in server.text()
            assert_ends_well(server)


def test_workers_without_a_broker_are_told_what_that_means(keys: Path, tmp_path: Path) -> None:
    with serve(tmp_path, *options(keys, "sqlite:///chat.db"), workers=2) as server:
        assert "there are 2 workers and no --broker" in server.text()
        assert_ends_well(server)


def test_a_broker_that_is_not_there_is_no_obstacle_and_told(keys: Path, tmp_path: Path) -> None:
    with serve(tmp_path, *options(keys, "sqlite:///chat.db", "--broker", "redis://127.0.0.1:9")) as server:
        server.wait_for("The broker cannot be sent to .* Is its server running")
        assert_ends_well(server)


def test_brokers_that_cannot_be_are_refused(keys: Path) -> None:
    told = refusal("serve", *options(keys, "memory://", "--broker", "gopher://there"))
    assert told == "No installed broker serves 'gopher': use postgres, redis://host or nats://host, or install its adapter."
    told = refusal("serve", *options(keys, "memory://", "--broker", "redis"))
    assert told == "broker= takes a URL, such as redis://localhost or nats://localhost, or postgres, and not 'redis'."
    told = refusal("serve", *options(keys, "sqlite://", "--broker", "postgres"))
    assert told == "The broker 'postgres' is the storage's PostgreSQL, and the storage has none: give it a URL postgresql://..."
    for url in ("redis://127.0.0.1:no", "postgresql://127.0.0.1:no/test"):
        assert "URL" in refusal("serve", *options(keys, "memory://", "--broker", url))


def test_serve_says_what_to_change(keys: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    assert str(missing) in refusal("serve", "--application", f"app-1={missing}", "--storage", "memory://")
    assert "is a private key" in refusal("serve", "--application", f"app-1={keys / 'private.pem'}", "--storage", "memory://")
    for bad in ("app-1", "app-1=", f"={keys / 'public.pem'}"):
        told = refusal("serve", "--application", bad)
        assert told == f"--application takes ID=KEY, a file or the URL of a JSON Web Key Set, not {bad!r}."
    assert "--application" in misuse("serve")
    told = refusal("serve", *options(keys, "gopher://there"))
    assert told == "No installed storage serves 'gopher': use memory:// or sqlite:///file.db, or install its adapter."
    assert refusal("serve", *options(keys, "memory://", "--workers", "0")) == "--workers takes a number of at least 1."
    for age in ("0", "-1", "nan", "inf"):
        told = refusal("serve", *options(keys, "memory://", "--max-token-age", age))
        assert told == "--max-token-age takes a number of seconds of more than 0."


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_storage_that_cannot_be_opened_is_told_at_once(keys: Path, tmp_path: Path, workers: str) -> None:
    storage = f"sqlite:///{tmp_path / 'nowhere' / 'chat.db'}"
    told = refusal("serve", *options(keys, storage, "--workers", workers))
    assert told.startswith(f"The folder {tmp_path / 'nowhere'} of the SQLite file does not exist: create it")


# demo


@contextmanager
def demo(directory: Path, *arguments: str) -> Iterator[tuple[Command, str]]:
    """The demo and the instructions that it prints."""
    with start(directory, "demo", "--directory", directory / "demo", *arguments) as command:
        (instructions,) = command.wait_for(INSTRUCTIONS)
        yield command, instructions


def follow(instructions: str) -> list[httpx2.Response]:
    """Send what the instructions tell to send by curl."""
    (file,) = re.findall(r"^\. (\S+)$", instructions, re.MULTILINE)
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    variables = dict(re.findall(r"^export (\w+)=(\S+)$", Path(file).read_text(), re.MULTILINE))
    assert not [value for value in variables.values() if value in instructions]
    answers = []
    for line in re.findall(r"^curl (?:.*\\\n)*.*$", instructions, re.MULTILINE):
        words = iter(shlex.split(re.sub(r"\$(\w+)", lambda match: variables[match[1]], line.replace("\\\n", " ")))[1:])
        headers, body, url = {}, None, ""
        for word in words:
            if word == "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = next(words)
            else:
                assert not url
                url = word
        answers.append(httpx2.request("POST" if body else "GET", url, headers=headers, content=body, trust_env=False))
    return answers


def test_the_demo_does_what_it_prints_and_goes_on_with_it_in_the_same_directory(tmp_path: Path) -> None:
    for last in (3, 5):  # the third event is the first word; a run says one more and sees it once
        with demo(tmp_path, "--port", "0") as (command, instructions):
            said, read, seen, listed = follow(instructions)
            assert (said.status_code, said.json()["id"]) == (201, str(last + 1))
            assert read.status_code == 200
            assert [(event["id"], event["type"]) for event in read.json()][:2] == [
                (str(last + 1), "text"),
                (str(last), "text" if last == 3 else "text:seen"),
            ]
            assert read.json()[0]["body"] == {"text": "Hello Bo"}
            assert (seen.status_code, seen.json()["id"]) == (201, "5")
            assert listed.status_code == 200
            assert listed.json()["count"] == 1
            command.wait_for(rf"event {last + 1}: text Hello Bo\n")
            (url,) = re.findall(r"A host application runs at (\S+),", instructions)
            pages = re.findall(rf"^    (?:\w[\w ]*)?({url}/\S*#\S+)$", instructions, re.MULTILINE)
            assert len(pages) == 5
            assert instructions.splitlines()[-1].strip() == next(page for page in pages if page.startswith(f"{url}/#"))
            for page in pages:
                assert httpx2.get(page, trust_env=False).headers["content-type"].startswith("text/html")
            assert httpx2.get(f"{url}/beta/docs", trust_env=False).status_code == 200
            assert command.terminate() in (0, -signal.SIGTERM)
            assert "Traceback" not in command.text()
    assert sorted(file.name for file in (tmp_path / "demo").iterdir()) == [
        "chat.db",
        "chat.db-users",
        "private.pem",
        "public.pem",
        "tokens.sh",
    ]


def test_ctrl_c_ends_the_demo_quietly(tmp_path: Path) -> None:
    with demo(tmp_path, "--port", "0") as (command, instructions):
        assert follow(instructions)
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(30) in (0, -signal.SIGINT)
        assert "Traceback" not in command.text()


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_a_port_that_is_taken_is_told_in_one_line(command: str, keys: Path, tmp_path: Path) -> None:
    options = ["--directory", tmp_path] if command == "demo" else ["--application", f"app-1={keys}/public.pem", "--storage", "memory://"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = refusal(command, *options, "--port", str(taken.getsockname()[1]))
        port = taken.getsockname()[1]
        assert told == f"Port {port} is taken by another program: give another one, such as --port {port + 1}."


@pytest.mark.parametrize("command", ["demo", "serve"])
@pytest.mark.parametrize("port", ["70000", "-1", "http", "٣"])
def test_a_port_that_is_none_is_told_in_one_line(command: str, port: str) -> None:
    told = refusal(command, f"--port={port}", *(["--application", "app-1=public.pem"] if command == "serve" else []))
    assert told == f"--port takes a number from 1 to 65535, or 0 for any port that is free, not {port!r}."


def test_the_demo_says_when_the_machine_does_not_have_the_address(tmp_path: Path) -> None:
    told = refusal("demo", "--directory", tmp_path / "demo", "--host", "192.0.2.1", "--port", "0")
    assert told.startswith("Nothing can listen at 192.0.2.1, port 0: ")


def test_it_says_which_version_it_is_and_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "conversation_kit", "--version"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (run("--version").stdout, "", 0)
    assert re.fullmatch(r"conversation-kit \d+\.\d+\.\d+\n", done.stdout)
