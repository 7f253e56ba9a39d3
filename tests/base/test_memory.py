import platform
import resource

import numpy as np
import pytest

from listops_bench._base.memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_a_loop_uses_again_what_it_has_freed() -> None:
    keep_freed_memory()

    def use() -> int:
        """Pages that are new to the process when six blocks of 16 MiB are filled: 24,576 at most."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [np.ones(2 << 20) for _ in range(6)]
        del blocks
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert min(use(), use(), use()) < 24_576 / 4  # what tests before have left in between is no matter
