"""Everything that the docstrings of ``ports.Storage`` promise, as tests."""

from __future__ import annotations

from conversation_kit.testing.contract_access import AccessContract
from conversation_kit.testing.contract_bodies import BodiesContract
from conversation_kit.testing.contract_changes import ChangesContract
from conversation_kit.testing.contract_concurrency import ConcurrencyContract
from conversation_kit.testing.contract_conversations import ConversationsContract
from conversation_kit.testing.contract_crashes import CrashesContract
from conversation_kit.testing.contract_durability import DurabilityContract
from conversation_kit.testing.contract_events import EventsContract
from conversation_kit.testing.contract_isolation import IsolationContract
from conversation_kit.testing.contract_legs import LegsContract
from conversation_kit.testing.contract_members import MembersContract
from conversation_kit.testing.contract_paging import PagingContract
from conversation_kit.testing.contract_pointers import PointersContract
from conversation_kit.testing.contract_races import RacesContract
from conversation_kit.testing.contract_scenes import ScenesContract
from conversation_kit.testing.contract_transactions import TransactionsContract
from conversation_kit.testing.contract_users import UsersContract
from conversation_kit.testing.contract_values import ValuesContract


# pytest runs the tests of the last base first: what is simple comes before what needs it, so that ``pytest -x`` says what to write next.
class StorageContract(
    CrashesContract,
    TransactionsContract,
    DurabilityContract,
    PagingContract,
    RacesContract,
    ConcurrencyContract,
    IsolationContract,
    BodiesContract,
    ValuesContract,
    LegsContract,
    AccessContract,
    EventsContract,
    PointersContract,
    ChangesContract,
    ScenesContract,
    MembersContract,
    ConversationsContract,
    UsersContract,
):
    """Inherit, override ``open_storage``, and pytest runs the suite on your storage; see ``bench.Contract`` for the knobs.

    The tests run on whatever event loops the ``anyio_backend`` fixture of your conftest names, a fresh folder for each.
    """
