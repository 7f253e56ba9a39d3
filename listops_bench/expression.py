"""The grammar of the tasks, under its public name; see `tasks.expression`."""

from listops_bench.tasks.expression import *  # noqa: F403
from listops_bench.tasks.operations import *  # noqa: F403
from listops_bench.tasks.symbols import *  # noqa: F403
