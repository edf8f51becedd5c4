"""Everything that the docstrings of ``ports.Storage`` promise, as tests."""

from __future__ import annotations

from conversation_kit.testing.storage.guarantees.answers import AnswersContract
from conversation_kit.testing.storage.guarantees.changes import ChangesContract
from conversation_kit.testing.storage.guarantees.concurrency import ConcurrencyContract
from conversation_kit.testing.storage.guarantees.crashes import CrashesContract
from conversation_kit.testing.storage.guarantees.decisions import DecisionsContract
from conversation_kit.testing.storage.guarantees.durability import DurabilityContract
from conversation_kit.testing.storage.guarantees.failures import FailuresContract
from conversation_kit.testing.storage.guarantees.isolation import IsolationContract
from conversation_kit.testing.storage.guarantees.races import RacesContract
from conversation_kit.testing.storage.guarantees.scenes import ScenesContract
from conversation_kit.testing.storage.guarantees.transactions import TransactionsContract
from conversation_kit.testing.storage.guarantees.user_changes import UserChangesContract
from conversation_kit.testing.storage.nouns.access import AccessContract
from conversation_kit.testing.storage.nouns.bodies import BodiesContract
from conversation_kit.testing.storage.nouns.conversations import ConversationsContract
from conversation_kit.testing.storage.nouns.events import EventsContract
from conversation_kit.testing.storage.nouns.legs import LegsContract
from conversation_kit.testing.storage.nouns.lists import ListsContract
from conversation_kit.testing.storage.nouns.members import MembersContract
from conversation_kit.testing.storage.nouns.paging import PagingContract
from conversation_kit.testing.storage.nouns.pointers import PointersContract
from conversation_kit.testing.storage.nouns.rights import RightsContract
from conversation_kit.testing.storage.nouns.sizes import SizesContract
from conversation_kit.testing.storage.nouns.spending import SpendingContract
from conversation_kit.testing.storage.nouns.users import UsersContract
from conversation_kit.testing.storage.nouns.values import ValuesContract


# pytest runs the tests of the last base first: what is simple comes before what needs it, so that ``pytest -x`` says what to write next.
class StorageContract(
    CrashesContract,
    TransactionsContract,
    FailuresContract,
    DurabilityContract,
    ListsContract,
    SizesContract,
    PagingContract,
    RacesContract,
    ConcurrencyContract,
    UserChangesContract,
    IsolationContract,
    DecisionsContract,
    AnswersContract,
    SpendingContract,
    BodiesContract,
    ValuesContract,
    LegsContract,
    AccessContract,
    EventsContract,
    PointersContract,
    ChangesContract,
    RightsContract,
    ScenesContract,
    MembersContract,
    ConversationsContract,
    UsersContract,
):
    """Inherit, override ``open_storage``, and pytest runs the suite on your storage; see ``bench.Contract`` for the knobs.

    The tests run on whatever event loops the ``anyio_backend`` fixture of your conftest names, a fresh folder for each.
    """
