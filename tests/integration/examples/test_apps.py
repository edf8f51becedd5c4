"""The examples of hosts do what they show."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from conversation_kit.http.beta.api import OPERATIONS
from examples import fastapi_app, quart_app, starlette_app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples put their databases."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_starlette(folder: Path) -> None:
    with TestClient(starlette_app.app) as client:
        for _ in range(2):
            answer = client.post("/login?name=ana")
            assert answer.status_code == 200
        headers = {"Authorization": f"Bearer {answer.text}"}
        made = client.post("/beta/conversations", headers=headers)
        assert made.status_code == 200, made.text
        assert client.get(made.json()["href"], headers=headers).status_code == 200
        assert client.get("/beta/conversations", headers=headers).status_code == 403
        assert client.post("/beta/conversations").status_code == 401
        assert client.get("/beta/docs").status_code == 200
    assert (folder / "starlette.db").exists()


def test_fastapi(folder: Path) -> None:
    ana, bo = {"X-Key": "key-of-ana"}, {"X-Key": "key-of-bo"}
    with TestClient(fastapi_app.app) as client:
        assert client.get("/me", headers=ana).json() == {"name": "ana"}
        assert client.get("/me").json() == {"detail": "Send your key as X-Key."}
        assert client.post("/chat/conversations", headers={"X-Key": "x"}).json()["code"] == "system:error:invalid-token"
        room = client.post("/rooms/tea", headers=ana)
        assert room.status_code == 200, room.text
        events = f"/chat/conversations/{room.json()['conversation_id']}/events"
        said = client.post(events, headers=ana, json={"type": "text", "body": {"text": "hello"}})
        assert said.status_code == 201, said.text
        assert client.get(said.json()["href"], headers=bo).json()["body"] == {"text": "hello"}
    assert (folder / "fastapi.db").exists()


def test_fastapis_documentation_has_the_operations_of_both() -> None:
    for _ in range(2):
        document = fastapi_app.app.openapi()
        assert "/me" in document["paths"]
        shown = {
            operation["operationId"] for path in document["paths"].values() for operation in path.values() if "operationId" in operation
        }
        assert shown >= {operation.id for operation in OPERATIONS}
        assert all(path in document["paths"] for path in (f"/chat{operation.path}" for operation in OPERATIONS))
    with TestClient(fastapi_app.app) as client:
        assert client.get("/openapi.json").json() == document
        assert client.get("/docs").status_code == 200


def test_quart(folder: Path) -> None:
    with TestClient(quart_app.app) as client:
        assert "Its conversations are at /beta" in client.get("/").text
        assert client.get("/nothing").headers["content-type"].startswith("text/html")
        made = client.post("/beta/conversations", auth=("ana", "secret"))
        assert made.status_code == 200, made.text
        users = client.get("/beta/users", auth=("root", "secret")).json()
        assert [user["name"] for user in users] == ["ana"]
        for header in ("", "Basic", "Basic !", "Basic /////w==", "Bearer x", "Basic YW5h"):
            assert client.get("/beta/users", headers={"Authorization": header}).status_code == 401
        assert client.get("/beta/users", auth=("ana", "wrong")).status_code == 401
    assert (folder / "quart.db").exists()
