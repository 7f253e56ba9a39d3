"""``python -m listops_bench`` is the command ``listops-bench``."""

from __future__ import annotations

import sys

from listops_bench.cli.command import main

sys.exit(main())
