"""Applications are apart: with the same ids and the same names in two of them, nothing of the one shows or changes in the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit.domain.values.ids import new_id
from conversation_kit.memory import MemoryStorage
from conversation_kit.ports import Storage
from conversation_kit.testing.harness.concurrency import during
from conversation_kit.testing.harness.differential import DOINGS, Doing, everything, populate
from conversation_kit.testing.harness.harness import APP, OTHER, Contract, assert_same

FEW = settings(
    max_examples=3,
    deadline=None,
    # The folder is that of all examples; each has applications of its own in it.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)
PROGRAMS = st.lists(
    st.tuples(
        st.sampled_from((APP, OTHER)),
        st.builds(Doing, st.sampled_from(sorted(DOINGS)), st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)),
    ),
    min_size=10,
    max_size=30,
)
EACH = (
    Doing("create_user", choice=0),
    Doing("update_user", user=1, choice=1, at=101),
    Doing("create_user", choice=1, at=102),
    Doing("delete_user", user=2),
    Doing("create_conversation", choice=2),
    Doing("say", choice=2),
    Doing("rename", choice=0),
    Doing("rename", room=1, choice=1),
    Doing("rename", room=0, choice=3),
    Doing("member", user=0, choice=2),
    Doing("receive", choice=1, at=101),
    Doing("see", choice=0),
    Doing("rewrite", choice=0),
    Doing("leg", choice=0, at=103),
    Doing("remove_leg", choice=1),
    Doing("destroy", room=1),
)
"""Each kind of write, so that it does something to what ``populate`` has made."""


class IsolationContract(Contract):
    """Two applications are two worlds, whatever is equal in them."""

    async def test_equal_ids_and_names_in_two_applications_are_two_things_in_every_read(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            model = MemoryStorage()
            for application_id in (APP, OTHER):
                await populate(bench.storage, application_id)
                await populate(model, application_id)
            for application_id in (APP, OTHER, "app-3"):
                await _assert_alike(bench.storage, model, application_id, "after both were filled")

    async def test_no_write_in_one_application_changes_what_is_read_in_another(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            model = MemoryStorage()
            for application_id in (APP, OTHER):
                await populate(bench.storage, application_id)
                await populate(model, application_id)
            for doing in EACH:
                await doing.on(bench.storage, OTHER)
                await doing.on(model, OTHER)
                await _assert_alike(bench.storage, model, APP, f"after {doing.kind} in {OTHER!r}")
            await _assert_alike(bench.storage, model, OTHER, "after all writes")

    @FEW
    @given(program=PROGRAMS)
    async def test_whatever_is_done_in_two_applications_shows_as_in_memory(self, tmp_path: Path, program: list[tuple[str, Doing]]) -> None:
        async with self.bench(tmp_path) as bench:
            model, mark = MemoryStorage(), new_id("app")
            for application_id in (APP, OTHER):
                await populate(bench.storage, f"{mark} {application_id}")
                await populate(model, f"{mark} {application_id}")
            for number, (application_id, drawn) in enumerate(program):
                doing = replace(drawn, at=100 + number)
                of = f"{mark} {application_id}"
                assert_same((doing, await doing.on(bench.storage, of)), (doing, await doing.on(model, of)))
            for application_id in (APP, OTHER):
                await _assert_alike(bench.storage, model, f"{mark} {application_id}", "at the end")


async def _assert_alike(storage: Storage, model: Storage, application_id: str, when: str) -> None:
    found, expected = await everything(storage, application_id), await everything(model, application_id)
    for question, answer in expected.items():
        with during(f"{question!r} in {application_id!r} {when}"):
            assert_same(found[question], answer)
