"""Install the wheel with the extra ``cli`` on each Python that is here: ``python tests/integration/packaging/pythons.py 3.11 3.12``.

Exits with 1 if one of them fails or none is here. uv is used where it is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def main(versions: list[str]) -> int:
    """Try them in turn; say how it went."""
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory(prefix="conversation-kit-") as folder:
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = Path(folder).glob("*.whl")
        for version in versions:
            python = find(version)
            if python is None:
                print(f"The wheel on Python {version}: skipped, there is none on the path or known to pyenv or uv.", flush=True)
            elif works(wheel, python, Path(folder) / version):
                passed += 1
                print(f"The wheel on Python {version}: works.", flush=True)
            else:
                failed += 1
                print(f"The wheel on Python {version}: FAILED.", flush=True)
    return 0 if passed and not failed else 1


def find(version: str) -> str | None:
    """The interpreter of this version, if there is one."""
    python = shutil.which(f"python{version}")
    # A shim of pyenv's is there for versions that are not switched on, too, and does not run.
    if python is not None and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
        return python
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}")):
        return python
    if shutil.which("uv") is not None:
        found = subprocess.run(
            ["uv", "python", "find", "--no-project", "--no-python-downloads", version], capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return None


def works(wheel: Path, python: str, folder: Path) -> bool:
    """Whether it can be installed into an environment of its own, and be used there."""
    inside = str(folder / "bin" / "python")
    if shutil.which("uv") is not None:
        steps = [
            ["uv", "venv", "--quiet", "--python", python, str(folder)],
            ["uv", "pip", "install", "--quiet", "--python", inside, f"{wheel}[cli]"],
        ]
    else:
        steps = [
            [python, "-m", "venv", str(folder)],
            [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[cli]"],
        ]
    steps.append([inside, "-W", "error", str(ROOT / "tests" / "integration" / "packaging" / "installed.py")])
    return all(subprocess.run(step, cwd=wheel.parent, check=False).returncode == 0 for step in steps)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
