"""For tests of what you plug into the kit: the contracts of a storage, a broker and a meter, a clock and ids that do as told.

Needs pytest and Hypothesis: the extra ``testing``.

A custom adapter's whole test file, beside the ``anyio_backend`` fixture of its conftest:

    class TestMine(StorageContract):
        @asynccontextmanager
        async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
            yield MyStorage(folder)
"""

import pytest

# Before they are imported, or their asserts would fail without showing the values.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("brokers", "harness", "meters", "storage")))

from conversation_kit.testing.brokers import BrokerContract  # noqa: E402
from conversation_kit.testing.clock import FakeClock  # noqa: E402
from conversation_kit.testing.ids import SequentialIds  # noqa: E402
from conversation_kit.testing.meters import MeterContract  # noqa: E402
from conversation_kit.testing.storage.contract import StorageContract  # noqa: E402

__all__ = ["BrokerContract", "FakeClock", "MeterContract", "SequentialIds", "StorageContract"]
