"""``accelerate launch -m listops_bench.train``."""

import sys

from listops_bench.train.command import main

if __name__ == "__main__":
    sys.exit(main())
