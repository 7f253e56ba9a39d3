"""Where the files that ship with the package lie."""

from __future__ import annotations

from pathlib import Path

from listops_bench.errors import InvalidInput


def resource_path(*parts: str) -> Path:
    """A file or folder that ships with the package (``tasks``, ``model_configs``, ``leaderboard/schema.json``).

    In a wheel these lie inside the package, in a checkout beside it. Inside comes first: what lies beside an installed
    package belongs to others.
    """
    package = Path(__file__).resolve().parent.parent
    inside = package / "_resources"
    path = (inside if inside.is_dir() else package.parent).joinpath(*parts)
    if path.exists():
        return path
    raise InvalidInput(f"resource {'/'.join(parts)!r} is missing from this installation; install listops-bench again")
