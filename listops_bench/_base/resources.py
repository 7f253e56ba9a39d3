"""Where the files that ship with the package lie."""

from __future__ import annotations

from pathlib import Path

from listops_bench.errors import InvalidInput, unknown


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


def named_page(name: str, kind: str, *parts: str) -> Path:
    """A YAML page that ships in a folder, by its name without suffix; any other by its path.

    Raises:
        InvalidInput: a name, and no such page ships; the nearest one is named.
    """
    shipped = {path.stem: path for path in resource_path(*parts).glob("*.yaml")}
    path = shipped.get(name, Path(name))
    if name not in shipped and path.name == name and not path.suffix and not path.exists():
        raise unknown(kind, name, shipped)
    return path
