"""What the vectors of the numbers look like: principal axes, order, residue classes, waves over Z_n.

Vectors in, dataclasses out. The numbers are the data points: modulo 10 there are ten, whatever the width, and ten
points in ten or more dimensions can be cut into any two halves by some plane. So no figure here is a fit to the points
it was fitted to, and none stands alone:

- cross-validation: each number is predicted from the others (ridge regression on the vectors);
- label permutations: the same with the numbers' names exchanged, all n! ways or 10,000 random ones; `Statistic.p` is
  the share of them that do at least as well;
- random vectors of the same dimension and covariance spectrum, with the right names.

Shapes: n numbers, D width, R = min(n - 1, D) dimensions, K axes, P permutations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from listops_bench._base.hashing import key64
from listops_bench.analysis.findings import Statistic

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_NUMBERS = 4
"""Fewer numbers have fewer than 24 orders: no order could be told from chance."""

NUM_AXES = 3
"""Principal axes that order is looked for on; the null hypothesis takes the best of as many."""

NUM_PERMUTATIONS, NUM_CONTROLS = 10_000, 1_000
_EXACT_UP_TO = 7  # 7! = 5,040 orders are counted, more are drawn
_CHUNK = 1_000  # permutations at a time: bounds memory at large moduli
_TIE = 1e-9


@dataclass(frozen=True)
class PermutationTest(Statistic):
    """A statistic with all its values under permuted labels.

    Attributes:
        null: float64 [P], the right labels first.
    """

    null: Floats = field(repr=False, compare=False)


@dataclass(frozen=True)
class Components:
    """Principal component analysis: ``coordinates`` float64 [n, K] and the share of the variance on each axis [K]."""

    coordinates: Floats
    shares: Floats


@dataclass(frozen=True)
class Order:
    """Whether the vectors follow the order of the numbers.

    Attributes:
        correlations: Spearman's rank correlation of the numbers with each of the first axes, [K].
        axis: the largest of them in size, which label permutations and controls choose as freely.
        predicted: float64 [n], each number as predicted from the vectors of the others.
        regression: Spearman's correlation of ``predicted`` with the numbers.
    """

    correlations: Floats
    axis: PermutationTest
    predicted: Floats
    regression: PermutationTest


@dataclass(frozen=True)
class Waves:
    """The share of the vectors' variance that each frequency over Z_n carries (a discrete Fourier transform).

    Attributes:
        frequencies: int64 [F], 1 .. n//2; frequency n/2 is parity.
        shares: float64 [F], they add up to 1.
        expected, spread: float64 [F], their means over label permutations (exact) and standard deviations.
        high: float64 [F], 95th percentiles over label permutations.
        line: float64 [F], the shares of points in a straight row: a circle is all frequency 1, and a row mostly.
        strongest: how far the largest is above ``expected``, in ``spread``; permutations and controls choose as freely.
    """

    frequencies: Ints
    shares: Floats
    expected: Floats
    spread: Floats
    high: Floats
    line: Floats
    strongest: PermutationTest

    @property
    def strongest_frequency(self) -> int:
        return int(self.frequencies[((self.shares - self.expected) / self.spread).argmax()])


@dataclass(frozen=True)
class Representation:
    """Everything about one set of vectors.

    Attributes:
        cosine: float64 [n, n], similarities of the vectors as they are (not centred).
        residues: leave-one-out accuracy of telling residue classes apart, by modulus; 2 is parity.
        parity_beyond_order: the share of parity that is predicted once the order of the numbers is taken out of it and
            of the vectors. On a line each number's neighbours have the other parity, so that the accuracy above tells
            nothing there.
    """

    components: Components
    cosine: Floats
    order: Order
    residues: Mapping[int, PermutationTest]
    parity_beyond_order: PermutationTest
    waves: Waves

    @property
    def parity(self) -> PermutationTest:
        return self.residues[2]


def represent(vectors: npt.ArrayLike, *, permutations: int = NUM_PERMUTATIONS, seed: int = 0) -> Representation:
    """Analyses the vectors of the numbers 0 .. n-1.

    Args:
        vectors: [n, D], one row for each number.
        permutations: label permutations to draw where n! are too many to count.
        seed: of permutations and controls.

    Raises:
        ValueError: not a table of at least `MIN_NUMBERS` rows of finite numbers.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if x.ndim != 2 or len(x) < MIN_NUMBERS or not np.isfinite(x).all():
        raise ValueError(f"vectors of shape {x.shape} are not a table of {MIN_NUMBERS} or more finite rows")
    n = len(x)
    points = _Points.of(x)
    chance = _Chance(points, label_permutations(n, permutations, seed), points.random_like(NUM_CONTROLS, seed))
    length = np.linalg.norm(x, axis=1, keepdims=True)
    unit = x / np.where(length > 0, length, 1.0)
    cosine = unit @ unit.T
    correlations = _axis_correlations(points.axes, np.arange(n))
    order = Order(
        correlations,
        chance.of(lambda p, labels: np.abs(_axis_correlations(p.axes, labels)).max(-1)),
        predictions(points.weights, np.arange(n)),
        chance.of(lambda p, labels: spearman(predictions(p.weights, labels), labels)),
    )
    return Representation(
        Components(points.axes, points.variances[:NUM_AXES] / (points.variances.sum() or 1.0)),
        cosine,
        order,
        {m: chance.of(partial(_residue_accuracy, m)) for m in residue_moduli(n)},
        _parity_beyond_order(chance, label_permutations(n - 2, permutations, seed)),
        _waves(chance),
    )


def residue_moduli(n: int) -> range:
    """Moduli up to 10 whose residue classes have two numbers at the least: one to learn from, one to ask about."""
    return range(2, min(n // 2, 10) + 1)


# --- points -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Points:
    """Centred vectors, turned onto their principal axes: nothing else about them enters any figure.

    Attributes:
        directions: float64 [..., n, R], orthonormal columns.
        variances: float64 [R], squared singular values, largest first.
    """

    directions: Floats
    variances: Floats

    @staticmethod
    def of(x: Floats) -> _Points:
        rank = min(len(x) - 1, x.shape[1])
        centred = x - x.mean(0)
        _, scale, axes = np.linalg.svd(centred, full_matrices=False)
        scale, axes = scale[:rank], axes[:rank]
        # The sign of an axis is arbitrary: its largest component is made positive.
        axes *= np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], axis=1))
        # Where there is no variance there is no direction: rounding must not invent one.
        real = scale > 1e-7 * max(scale.max(initial=0.0), np.abs(x).max(), 1e-30)
        directions = np.where(real, centred @ axes.T / np.where(real, scale, 1.0), 0.0)
        return _Points(directions, np.where(real, scale, 0.0) ** 2)

    def random_like(self, count: int, seed: int) -> _Points:
        """Random points of the same spectrum: [count, n, R] directions, uniform among the centred orthonormal ones."""
        n, rank = self.directions.shape[-2:]
        draw = np.random.default_rng([key64("listops/analysis/controls") >> 1, seed])
        gauss = draw.normal(size=(count, n, rank))
        directions, _ = np.linalg.qr(gauss - gauss.mean(axis=1, keepdims=True))
        return _Points(np.where(self.variances > 0, directions, 0.0), self.variances)

    @property
    def coordinates(self) -> Floats:
        """float64 [..., n, R]."""
        return self.directions * np.sqrt(self.variances)

    @property
    def axes(self) -> Floats:
        """float64 [..., n, K]: coordinates on the first axes."""
        return self.coordinates[..., :NUM_AXES]

    @cached_property
    def weights(self) -> Floats:
        """float64 [..., n, n]: row i predicts i's label from those of the others, by ridge regression without i.

        The penalty is the mean variance of an axis, so all axes of the vectors' spectrum count, the strong ones more.
        With H the regression's hat matrix, intercept included, leaving i out gives (H y - H_ii y)_i / (1 - H_ii)
        (Golub, Heath and Wahba 1979, doi:10.1080/00401706.1979.10489751).
        """
        n = self.directions.shape[-2]
        penalty = self.variances.sum() / max(n - 1, 1) or 1.0
        hat = (self.directions * (self.variances / (self.variances + penalty))) @ np.swapaxes(self.directions, -1, -2)
        hat = hat + 1 / n
        own = np.diagonal(hat, axis1=-2, axis2=-1)
        weights: Floats = hat * (1 - np.eye(n)) / (1 - own)[..., None]
        return weights


@lru_cache(maxsize=8)
def label_permutations(n: int, count: int, seed: int = 0) -> Ints:
    """int64 [P, n], the identity first: all orders where they are few, else ``count`` random ones beside it."""
    if n <= _EXACT_UP_TO:
        return np.array(list(itertools.permutations(range(n))))
    draw = np.random.default_rng([key64("listops/analysis/permutations") >> 1, n, seed])
    drawn = draw.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    return np.concatenate([np.arange(n)[None], drawn])


class _Chance(NamedTuple):
    """One set of points, and what every statistic of it is compared with."""

    points: _Points
    permutations: Ints
    controls: _Points

    def of(self, statistic: Callable[[_Points, Ints], Any]) -> PermutationTest:
        """``statistic(points, labels)`` broadcasts over leading dimensions of either."""
        null = in_chunks(lambda labels: statistic(self.points, labels), self.permutations)
        controls = statistic(self.controls, self.permutations[0])
        return compare(null, controls)


def in_chunks(statistic: Callable[[Ints], Floats], permutations: Ints) -> Floats:
    """float64 [P, ...]: the statistic under every labelling."""
    parts = [statistic(permutations[i : i + _CHUNK]) for i in range(0, len(permutations), _CHUNK)]
    return np.concatenate(parts)


def compare(null: Floats, controls: Sequence[float] | Floats = ()) -> PermutationTest:
    """The statistic whose values under label permutations these are, the right labels first."""
    drawn = np.asarray(controls, dtype=np.float64)
    return PermutationTest(
        value=float(null[0]),
        chance=float(null.mean()),
        p=float((null >= null[0] - _TIE).mean()),
        control=float(drawn.mean()) if drawn.size else None,
        control_high=float(np.quantile(drawn, 0.95)) if drawn.size else None,
        null=null,
    )


def mean_over(statistics: Sequence[PermutationTest]) -> PermutationTest:
    """The mean of one statistic over several models, such as seeds; each was permuted by itself.

    The permuted values are paired in orders of their own: the models share their permutations, and must not vary alike.
    """
    count = max(len(statistic.null) for statistic in statistics)
    total = np.zeros(count)
    for place, statistic in enumerate(statistics):
        draw = np.random.default_rng([key64("listops/analysis/pairing") >> 1, place])
        total += np.concatenate([statistic.null[:1], draw.choice(statistic.null[1:], count - 1)])
    controls = [statistic.control for statistic in statistics if statistic.control is not None]
    return replace(compare(total / len(statistics)), control=float(np.mean(controls)) if controls else None)


# --- statistics: all broadcast over leading dimensions ----------------------------------------------------------------


def spearman(a: Floats, b: npt.ArrayLike) -> Floats:
    """Spearman's rank correlation along the last axis; 0 where one side does not vary."""
    from scipy.stats import rankdata

    # Rounding would rank what is equal.
    x, y = (rankdata(np.round(np.asarray(v, dtype=np.float64), 9), axis=-1) for v in (a, b))
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    size = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.where(size > 0, (x * y).sum(-1) / np.where(size > 0, size, 1.0), 0.0)


def _axis_correlations(axes: Floats, labels: Ints) -> Floats:
    """[..., K]: of the labels with each axis."""
    return spearman(np.swapaxes(axes, -1, -2), labels[..., None, :])


def predictions(weights: Floats, labels: Ints | Floats) -> Floats:
    """[..., n]: each number's label as predicted from those of the others."""
    return (weights @ labels[..., None].astype(np.float64))[..., 0]


def indicators(classes: Ints, count: int) -> Floats:
    """[..., count]: 1 for the class, 0 for the others."""
    return (classes[..., None] == np.arange(count)).astype(np.float64)


def _residue_accuracy(modulus: int, points: _Points, labels: Ints) -> Floats:
    """[...]: the share of numbers whose residue class is told right from the others.

    Regression on an indicator for each class; the class with the largest prediction is the answer.
    """
    classes = labels % modulus
    return ((points.weights @ indicators(classes, modulus)).argmax(-1) == classes).mean(-1)


def _parity_beyond_order(chance: _Chance, orders: Ints) -> PermutationTest:
    """Parity in the n - 2 directions that are orthogonal to a constant and to the order of the numbers.

    There vectors and parity have n - 2 coordinates each, every one of which is predicted from the others by ridge
    regression; those of parity are exchanged for chance. The mean size of a test at 5% is .05, and its power does not
    fall with the length of a line that the vectors also lie on (tests/analysis/test_embedding.py).
    """
    n = chance.points.directions.shape[-2]
    numbers = np.stack([np.ones(n), np.arange(n)], 1)
    beyond = np.linalg.svd(numbers, full_matrices=True)[0][:, 2:]
    parity = beyond.T @ np.where(np.arange(n) % 2, 1.0, -1.0)
    null = in_chunks(lambda order: _share_predicted(chance.points.coordinates, beyond, parity[order]), orders)
    return compare(null, _share_predicted(chance.controls.coordinates, beyond, parity))


def _share_predicted(coordinates: Floats, beyond: Floats, targets: Floats) -> Floats:
    """[...]: how much of targets [..., n - 2] is predicted by the others, in the directions ``beyond`` [n, n - 2]."""
    x = beyond.T @ coordinates
    products = x @ np.swapaxes(x, -1, -2)
    size = products.shape[-1]
    penalty = np.trace(products, axis1=-2, axis2=-1)[..., None, None] / size
    ridge = np.where(penalty > 0, penalty, 1.0) * np.eye(size)
    hat = products @ np.linalg.inv(products + ridge)
    own = np.diagonal(hat, axis1=-2, axis2=-1)
    predicted = predictions(hat * (1 - np.eye(size)) / (1 - own)[..., None], targets)
    found: Floats = (predicted * targets).sum(-1) / (targets * targets).sum(-1)
    return found


def _waves(chance: _Chance) -> Waves:
    n = chance.points.directions.shape[-2]
    frequencies = np.arange(1, n // 2 + 1)
    ways = np.where(2 * frequencies == n, 1, 2)  # cosine and sine; the last frequency of an even n has no sine
    expected = ways / (n - 1)
    null = in_chunks(lambda labels: wave_shares(chance.points.coordinates, labels), chance.permutations)
    controls = wave_shares(chance.controls.coordinates, np.arange(n))
    spread = np.maximum(null.std(axis=0), 1e-9)
    line = np.arange(n, dtype=np.float64)[:, None] - (n - 1) / 2
    return Waves(
        frequencies,
        null[0],
        expected,
        spread,
        np.quantile(null, 0.95, axis=0),
        wave_shares(line, np.arange(n)),
        compare(((null - expected) / spread).max(-1), ((controls - expected) / spread).max(-1)),
    )


def wave_shares(coordinates: Floats, labels: Ints) -> Floats:
    """[..., F]: the share of the variance of centred coordinates [..., n, R] at each frequency over Z_n."""
    n = coordinates.shape[-2]
    frequencies = np.arange(1, n // 2 + 1)
    angles = 2 * np.pi * labels[..., None, :] * frequencies[:, None] / n
    ways = np.where(2 * frequencies == n, 1, 2)
    power = ((np.cos(angles) @ coordinates) ** 2).sum(-1) + ((np.sin(angles) @ coordinates) ** 2).sum(-1)
    total = (coordinates**2).sum((-1, -2))[..., None]
    return np.where(total > 0, ways * power / (n * np.where(total > 0, total, 1.0)), 0.0)
