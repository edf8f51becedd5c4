"""A revision after the newest one, for tests of what will happen with the next."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from conversation_kit_sql import SCHEMA_VERSION
from conversation_kit_sql.schema import migrations, upgrade

NEXT = "conversation_kit_9999"
NEXT_REVISION = f"""
import sqlalchemy as sa
from alembic import op
from conversation_kit_sql.schema.migrations.revising import downgrading, upgrading

revision = "{NEXT}"
down_revision = "{SCHEMA_VERSION}"

def _add(prefix, schema):
    op.add_column(f"{{prefix}}user", sa.Column("mood", sa.String(10), server_default="fine", nullable=False), schema=schema)

def _drop(prefix, schema):
    op.drop_column(f"{{prefix}}user", "mood", schema=schema)

upgrade = upgrading(down_revision, revision, _add)
downgrade = downgrading(down_revision, revision, _drop)
"""


@dataclass(frozen=True)
class NextRelease:
    """The adapter's migrations with one more."""

    scripts: Path

    @property
    def code(self) -> str:
        """Makes a process of its own one of the next release."""
        scripts = f"pathlib.Path({str(self.scripts)!r})"
        begin = "import pathlib; from conversation_kit_sql.schema import upgrade"
        return f"{begin}; upgrade.SCHEMA_VERSION = {NEXT!r}; upgrade.SCRIPTS = {scripts}"

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this process one of the next release."""
        monkeypatch.setattr(upgrade, "SCHEMA_VERSION", NEXT)
        monkeypatch.setattr(upgrade, "SCRIPTS", self.scripts)


def next_release(folder: Path) -> NextRelease:
    """Written to ``folder``."""
    (source,) = migrations.__path__
    scripts = folder / "migrations"
    shutil.copytree(source, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / f"{NEXT}.py").write_text(NEXT_REVISION)
    return NextRelease(scripts)
