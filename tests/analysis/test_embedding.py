"""Number embeddings: synthetic truths are recognised as what they are, and chance looks like chance."""

import math
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import linalg, stats

from listops_bench.analysis import embedding as module
from listops_bench.analysis.embedding import (
    Representation,
    compare,
    label_permutations,
    mean_over,
    represent,
    residue_moduli,
    spearman,
    wave_shares,
)
from listops_bench.analysis.probe import probe_states
from listops_bench.stats.intervals import holm

MODULI = (10, 11, 20)


def embed(shape: Any, *, seed: int = 0, width: int = 48, noise: float = 0.3) -> Any:
    """Points of a shape [n, k] turned into ``width`` dimensions at random, scaled to unit size, with noise."""
    draw = np.random.default_rng(seed)
    points = np.asarray(shape, float) @ draw.normal(size=(np.shape(shape)[1], width))
    return points / points.std() + noise * draw.normal(size=points.shape) + draw.normal(size=width)


def line(n: int) -> Any:
    return np.arange(n)[:, None] - (n - 1) / 2


def circle(n: int) -> Any:
    turn = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def parity(n: int) -> Any:
    return (-1.0) ** np.arange(n)[:, None]


def randomly(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, n - 1))


# --- synthetic truths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", MODULI)
def test_a_line_is_order_and_nothing_else(n: int) -> None:
    found = represent(embed(line(n)))
    assert min(found.order.regression.value, found.order.axis.value) > 0.95
    assert np.abs(found.order.correlations).argmax() == 0
    assert max(found.order.regression.p, found.order.axis.p) < 0.001
    assert found.parity.p > 0.05
    # A straight row has most of its variance in one wave, which alone would say little.
    assert found.waves.strongest_frequency == 1
    assert found.waves.shares[0] < 0.75
    assert_controls_are_near_chance(found)


@pytest.mark.parametrize("n", MODULI)
def test_a_circle_is_one_wave(n: int) -> None:
    found = represent(embed(circle(n)))
    assert found.waves.strongest_frequency == 1
    assert found.waves.shares[0] > 0.85
    assert found.waves.strongest.p < 0.001
    assert found.parity.p > 0.05
    assert found.order.regression.value < 0.8, "0 and the last number are neighbours"
    assert_controls_are_near_chance(found)


@pytest.mark.parametrize("n", MODULI)
def test_parity_is_parity_and_no_order(n: int) -> None:
    found = represent(embed(parity(n)))
    assert found.parity.value == 1
    # Ten numbers have but 126 ways of being halved.
    assert found.parity.p < 2.5 / math.comb(n, n // 2) * 2 + 2e-4
    assert found.waves.strongest_frequency == n // 2
    assert min(found.order.regression.p, found.order.axis.p) > 0.05
    assert_controls_are_near_chance(found)


def assert_controls_are_near_chance(found: Representation) -> None:
    for statistic in (found.order.regression, found.parity, found.waves.strongest):
        if not math.isclose(statistic.chance, 0, abs_tol=1e-9):
            assert abs(statistic.control - statistic.chance) < 0.2 * max(1, abs(statistic.chance))
        assert statistic.control <= statistic.control_high


def p_values(width: int, strength: float, length: float, times: int, plain: bool = False) -> Any:
    """Of parity beyond order (or as it is) for random vectors on a line, with some parity."""
    draw, numbers = np.random.default_rng(0), np.arange(10)
    line, parity = (numbers - 4.5) / numbers.std(), np.where(numbers % 2, 1.0, -1.0)
    all_orders, orders, found = label_permutations(10, 300), label_permutations(8, 400), []
    for _ in range(times):
        one, two = (axis / np.linalg.norm(axis) * width**0.5 for axis in draw.normal(size=(2, width)))
        x = draw.normal(size=(10, width)) + length * np.outer(line, one) + strength * np.outer(parity, two)
        points = module._Points.of(x)
        chance = module._Chance(points, all_orders, points.random_like(1, 0))
        beyond = module._parity_beyond_order(chance, orders)
        found.append((chance.of(partial(module._residue_accuracy, 2)) if plain else beyond).p)
    return np.array(found)


@pytest.mark.parametrize(("width", "power"), [(32, (0.68, 0.80)), (48, (0.82, 0.92))])
def test_parity_beyond_order_is_found_as_often_as_it_should_be(width: int, power: tuple[float, float]) -> None:
    """Where there is none in 5%, and at .3 of the noise in 74% (width 32) and 88% (48) of 1,500 draws; here of 300."""
    assert 0.03 <= np.mean(p_values(width, 0.0, 0.0, 300) <= 0.05) <= 0.075
    assert power[0] <= np.mean(p_values(width, 0.3, 0.0, 300) <= 0.05) <= power[1]


def test_a_line_hides_parity_but_not_parity_beyond_order() -> None:
    for strength in (0.0, 0.3):
        short, long = (p_values(48, strength, length, 30) for length in (0.0, 2.0))
        assert long == pytest.approx(short)
    assert np.mean(p_values(48, 0.3, 2.0, 30, plain=True) <= 0.05) <= 0.1


def test_residue_classes_are_told_apart() -> None:
    classes = np.eye(3)[np.arange(12) % 3]
    found = represent(embed(classes, noise=0.1))
    assert list(found.residues) == list(residue_moduli(12)) == [2, 3, 4, 5, 6]
    assert found.residues[3].value == 1
    assert found.residues[3].p < 0.001
    assert found.residues[2].p > 0.05


def test_random_vectors_pass_each_test_as_often_as_chance_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUM_CONTROLS", 5)
    found = [represent(randomly(10, seed) @ randomly(10, 99)[:9], permutations=400) for seed in range(60)]
    for statistic in ("order.regression", "order.axis", "parity", "waves.strongest"):
        p_values = [attrgetter(f"{statistic}.p")(one) for one in found]
        # Of 60 at a level of 5%: more than 8 in one of 200 such tests.
        assert sum(p < 0.05 for p in p_values) <= 8, statistic
        assert 0.3 < float(np.mean(p_values)) < 0.75, statistic


# --- against other implementations ------------------------------------------------------------------------------------


def ridge_without_each(x: Any, y: Any, penalty: float) -> Any:
    """Each label as ridge regression on the other rows predicts it; the intercept bears no penalty."""
    found = []
    for left_out in range(len(x)):
        others = np.delete(np.arange(len(x)), left_out)
        centre, level = x[others].mean(0), y[others].mean()
        rooted = np.vstack([x[others] - centre, np.sqrt(penalty) * np.eye(x.shape[1])])
        slopes = linalg.lstsq(rooted, np.concatenate([y[others] - level, np.zeros(x.shape[1])]))[0]
        found.append(level + (x[left_out] - centre) @ slopes)
    return np.array(found)


@pytest.mark.parametrize(("n", "width"), [(10, 3), (10, 9), (10, 48), (11, 5), (20, 64)])
def test_each_number_is_predicted_as_by_a_regression_without_it(n: int, width: int) -> None:
    x, truth = np.random.default_rng(n * width).normal(size=(n, width)), np.arange(n)
    penalty = ((x - x.mean(0)) ** 2).sum() / (n - 1)
    expected = ridge_without_each(x, truth, penalty)
    found = represent(x, permutations=10)
    np.testing.assert_allclose(found.order.predicted, expected, rtol=1e-8)
    assert found.order.regression.value == pytest.approx(stats.spearmanr(expected, truth).statistic)
    odd = ridge_without_each(x, truth % 2, penalty) > 0.5
    assert found.parity.value == pytest.approx(float(np.mean(odd == truth % 2)))


@pytest.mark.parametrize(("n", "width"), [(10, 3), (10, 48), (20, 64)])
def test_principal_axes_are_eigenvectors_of_the_covariance(n: int, width: int) -> None:
    x = np.random.default_rng(n * width).normal(size=(n, width))
    centred = x - x.mean(0)
    variances, axes = linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :3]
    axes *= np.sign(axes[np.abs(axes).argmax(0), range(3)])  # the largest component of each is positive
    found = represent(x, permutations=10).components
    np.testing.assert_allclose(found.coordinates, centred @ axes, atol=1e-9)
    np.testing.assert_allclose(found.shares, variances[::-1][:3] / variances.sum())


@pytest.mark.parametrize("n", MODULI)
def test_waves_are_the_discrete_fourier_transform(n: int) -> None:
    x = randomly(n)
    centred = x - x.mean(0)
    power = (np.abs(np.fft.fft(centred, axis=0)) ** 2).sum(1)
    folded = np.array([power[k] + (power[n - k] if 2 * k != n else 0) for k in range(1, n // 2 + 1)])
    found = represent(x, permutations=2000).waves
    np.testing.assert_allclose(found.shares, folded / folded.sum(), rtol=1e-9)
    assert found.shares.sum() == pytest.approx(1)
    assert found.expected.sum() == pytest.approx(1)
    shuffled = wave_shares(centred, label_permutations(n, 2000))
    np.testing.assert_allclose(shuffled.mean(0), found.expected, atol=0.01)


@settings(max_examples=25)
@given(st.integers(4, 12), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_turning_moving_and_scaling_vectors_changes_no_figure(n: int, width: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, width))
    turned = 3.7 * x @ np.linalg.qr(draw.normal(size=(width, width)))[0] + draw.normal(size=width)
    a, b = (represent(v, permutations=20) for v in (x, turned))
    assert a.parity.value == b.parity.value
    for figure in map(attrgetter, ("order.regression.value", "order.axis.value")):
        assert figure(a) == pytest.approx(figure(b))
    for figure in map(attrgetter, ("waves.shares", "components.shares")):
        np.testing.assert_allclose(figure(a), figure(b), atol=1e-9)


@settings(max_examples=50)
@given(st.lists(st.integers(-3, 3), min_size=3, max_size=9), st.integers(0, 99))
def test_rank_correlation_is_scipys(values: list[int], seed: int) -> None:
    other = np.random.default_rng(seed).permutation(len(values))
    expected = stats.spearmanr(values, other).statistic if len(set(values)) > 1 else 0
    assert float(spearman(np.array(values, float), other)) == pytest.approx(expected)


def test_few_numbers_are_permuted_in_every_way() -> None:
    assert len(label_permutations(5, 10_000)) == 120
    drawn = label_permutations(10, 300)
    assert drawn.shape == (301, 10)
    assert (drawn[0] == np.arange(10)).all()
    assert (np.sort(drawn, axis=1) == np.arange(10)).all()
    # As good as the order are the order and its reverse, on any of three axes.
    found = represent(embed(line(5), noise=0.01))
    assert found.order.axis.p == pytest.approx(6 / 120)
    assert found.order.regression.p == pytest.approx(2 / 120)


def test_vectors_that_are_all_alike_have_no_structure() -> None:
    found = represent(np.ones((10, 4)))
    assert found.order.axis.value == 0
    # The mean of the others falls as a number rises: under every naming alike.
    assert found.order.regression.value == found.order.regression.chance == -1
    assert found.order.regression.p == found.waves.strongest.p == 1
    assert np.isfinite(found.waves.shares).all()


@pytest.mark.parametrize("vectors", [np.ones(10), np.ones((3, 8)), np.full((10, 8), np.nan)])
def test_what_is_no_table_of_vectors_is_refused(vectors: Any) -> None:
    with pytest.raises(ValueError, match="not a table"):
        represent(vectors)


# --- several models, several tests ------------------------------------------------------------------------------------


def test_seeds_together_can_show_what_one_cannot() -> None:
    found = [represent(embed(parity(10), seed=seed)).parity for seed in range(3)]
    assert min(statistic.p for statistic in found) > 0.005
    together = mean_over(found)
    assert together.value == 1
    assert together.p < 0.001
    noise = mean_over([represent(randomly(10, seed)).parity for seed in range(3)])
    assert noise.p > 0.05
    assert noise.chance == pytest.approx(np.mean([0.4]), abs=0.1)


def test_adjusted_p_values_are_holms() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_p_counts_the_right_names_too() -> None:
    assert compare(np.array([3.0, 1.0, 3.0, 2.0])).p == 0.5
    assert compare(np.array([3.0, 1.0, 2.0, 2.0])).p == 0.25


# --- probes of single states ------------------------------------------------------------------------------------------


def states(codes: Any, *, per_number: int = 40, noise: float = 0.3) -> tuple[Any, Any, Any]:
    """States of numbers with noise, the numbers they are of, and the prompts they stand in."""
    numbers = np.tile(np.arange(len(codes)), per_number)
    drawn = np.random.default_rng(7).normal(size=(len(numbers), codes.shape[1]))
    return codes[numbers] + noise * drawn, numbers, np.arange(len(numbers)) // len(codes)


def test_a_shared_direction_carries_over_to_numbers_never_probed() -> None:
    found = probe_states(*states(embed(parity(10), noise=0.1)), 10, permutations=500)
    assert found.parity_of_numbers.value > 0.95
    assert found.parity_of_numbers.p < 0.05
    ordered = probe_states(*states(embed(line(10), noise=0.1)), 10, permutations=500)
    assert ordered.order_of_numbers.value > 0.95
    assert ordered.order_of_numbers.p < 0.01


def test_a_probe_that_looks_numbers_up_is_no_better_than_on_shuffled_labels() -> None:
    found = probe_states(*states(randomly(10) * 2), 10, permutations=500)
    assert found.parity_in_contexts.value > 0.95
    assert found.parity_in_contexts.chance > 0.95
    assert found.parity_in_contexts.p > 0.05
    assert found.parity_of_numbers.p > 0.05
    assert found.num_states == 400
