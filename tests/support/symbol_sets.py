"""The tables of the symbol sets that ship, made from their definitions."""

import hashlib
import itertools
from collections.abc import Callable, Sequence

Permutation = tuple[int, ...]
Table = list[list[int]]


def group(points: int, *, even: bool) -> list[Permutation]:
    """All permutations of so many points, or the even ones, in the lexicographic order of their one-line notation."""
    every = itertools.permutations(range(points))
    return [p for p in every if not even or not is_odd(p)]


def is_odd(p: Permutation) -> bool:
    return sum(p[i] > p[j] for i, j in itertools.combinations(range(len(p)), 2)) % 2 == 1


def product(p: Permutation, q: Permutation) -> Permutation:
    """First p, then q."""
    return tuple(q[point] for point in p)


def tables(elements: Sequence[Permutation]) -> dict[str, Table]:
    """The product, and what its image is in each quotient: the first element of the coset it lies in."""
    four = [e for e in elements if product(e, e) == tuple(range(len(e))) and not is_odd(e) and all_or_none_move(e)]
    cosets: dict[str, Callable[[Permutation], object]] = {
        "perm": lambda p: p,
        "sign": is_odd,
        "quotient": lambda p: min(product(v, p) for v in four),
        "point": lambda p: p[0],
    }
    odd = any(map(is_odd, elements))
    names = ["perm", *(["sign"] if odd else []), *(["quotient"] if len(elements[0]) == 4 else []), "point"]
    return {name: _table(elements, cosets[name]) for name in names}


def all_or_none_move(p: Permutation) -> bool:
    return len({p[i] == i for i in range(len(p))}) == 1


def _table(elements: Sequence[Permutation], coset: Callable[[Permutation], object]) -> Table:
    first: dict[object, int] = {}
    for place, element in enumerate(elements):
        first.setdefault(coset(element), place)
    return [[first[coset(product(p, q))] for q in elements] for p in elements]


def random_symmetric(n: int = 10) -> Table:
    """Each value is a hash's, modulo n, of its two operands in ascending order."""
    return [[_hash(f"listops/rsum/{n}/{min(a, b)}/{max(a, b)}") % n for b in range(n)] for a in range(n)]


def random_latin(n: int = 10) -> Table:
    """Row by row and place by place the first symbol, in the order of hashes, with which the rest can be filled."""
    table: Table = [[]]

    def fill() -> bool:
        if len(table[-1]) == n:
            if len(table) == n:
                return True
            table.append([])
        row, place = len(table) - 1, len(table[-1])
        for value in sorted(range(n), key=lambda v: _hash(f"listops/lat/{n}/{row}/{place}/{v}")):
            if value not in table[-1] and all(above[place] != value for above in table[:-1]):
                table[-1].append(value)
                if fill():
                    return True
                table[-1].pop()
        if not table[-1] and len(table) > 1:
            table.pop()
        return False

    fill()
    return table


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
