"""JSON schemas of what commands print with ``--json``, one file each."""
