"""How much is tested: what every commit is, or all that a release is."""

import os

CHECK_ALL = os.environ.get("LISTOPS_CHECK_ALL") == "1"
"""Set by `make check-all`, which runs what is too long for every commit."""
