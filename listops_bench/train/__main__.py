"""``accelerate launch -m listops_bench.train``."""

import sys

from listops_bench._base.stopping import die_quietly

if __name__ == "__main__":
    die_quietly()
    from listops_bench.train.command import main

    sys.exit(main())
