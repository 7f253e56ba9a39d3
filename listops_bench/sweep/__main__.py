"""``accelerate launch -m listops_bench.sweep``."""

import sys

from listops_bench.sweep.command import main

if __name__ == "__main__":
    sys.exit(main())
