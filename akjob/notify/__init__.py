"""Messages and pings: what became of jobs, sent to the people and services that a ``[notify]`` table names.

akjob-notify reads the ledger's transitions by number. :mod:`~akjob.notify.policy` decides what is worth a message,
:mod:`~akjob.notify.gathering` when it goes out, :mod:`~akjob.notify.outbox` keeps both over any crash, and
:mod:`~akjob.notify.transports` deliver. akjobd has no part in it and never waits for it.
"""
