import os

from tests.support.runs import cached_rows

__all__ = ["cached_rows"]

collect_ignore = [] if os.environ.get("LISTOPS_CHECK_ALL") == "1" else ["test_signals.py"]
"""What `make check-all` runs beside the suite."""
