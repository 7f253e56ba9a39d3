"""The grammar of the tasks, under its public name; see `tasks.expression`."""

from listops_bench.tasks.expression import *  # noqa: F403
