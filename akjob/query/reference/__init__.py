"""The reference: what each key, setting, variable, column, problem code, event and metric means.

``akjob help`` prints these entries, and the pages of docs/reference/ are made of them. What a table of the program
knows (names, types, defaults, first sentences) is taken from there; what else there is to say is in
``akjob/data/reference``.
"""

from functools import cache

from akjob.query.reference.answers import answer_entries
from akjob.query.reference.entry import KINDS, Entry
from akjob.query.reference.keys import key_entries, type_words
from akjob.query.reference.ledger import ledger_entries
from akjob.query.reference.log import event_entries, metric_entries
from akjob.query.reference.problems import problem_entries
from akjob.query.reference.settings import setting_entries
from akjob.query.reference.variables import variable_entries

__all__ = ["KINDS", "Entry", "entries", "type_words"]


@cache
def entries() -> tuple[Entry, ...]:
    """Return all entries, kind by kind. Names are not unique: ``run.missed`` is a key and an event."""
    return (
        *key_entries(),
        *setting_entries(),
        *variable_entries(),
        *problem_entries(),
        *event_entries(),
        *metric_entries(),
        *answer_entries(),
        *ledger_entries(),
    )
