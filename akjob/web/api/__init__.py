"""The HTTP API, ``/api/v1``: what the commands print with ``--json``, as typed answers."""
