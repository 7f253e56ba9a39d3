"""``accelerate launch -m listops_bench.sweep``."""

import os
import sys

from listops_bench._base.stopping import die_quietly, end_with_parent, end_with_stdin


def main() -> int:
    """Has this process end with the one that started it, before it imports what takes seconds."""
    die_quietly()
    if "--worker" in sys.argv:
        end_with_stdin()
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:
        end_with_parent()
    from listops_bench.sweep.command import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
