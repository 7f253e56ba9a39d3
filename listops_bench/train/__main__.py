"""``accelerate launch -m listops_bench.train``."""

import signal
import sys

# Before seconds of imports: there is nothing to save yet, and no traceback to show.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from listops_bench.train.command import main

if __name__ == "__main__":
    sys.exit(main())
