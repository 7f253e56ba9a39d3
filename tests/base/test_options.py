"""Options as dataclasses: flags, keys of a file, and checks from one declaration."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from listops_bench._base.command import Parser
from listops_bench._base.options import Between, add_flags, attribute_help, check, from_mapping
from listops_bench._base.records import Range
from listops_bench.errors import InvalidInput


@dataclass(frozen=True)
class Place:
    """Where.

    Attributes:
        output_dir: the folder
            to make.
    """

    output_dir: str


@dataclass(frozen=True)
class Options(Place):
    """What.

    Attributes:
        steps, warmup: how many of them.
        optim: the optimizer.
        seeds: of the runs.

    Raises:
        InvalidInput: no option.
    """

    steps: Annotated[int, Range(1, 9)] = 3
    warmup: int | None = None
    rate: Annotated[float, Between(0)] | None = 0.5
    optim: Literal["adam", "sgd"] = "adam"
    seeds: tuple[int, ...] = (0, 1)
    fresh: bool = False

    def __post_init__(self) -> None:
        check(self)


def test_help_comes_from_docstrings() -> None:
    words = {"output_dir": "the folder to make", "steps": "how many of them", "optim": "the optimizer"}
    assert attribute_help(Options) == {**words, "warmup": "how many of them", "seeds": "of the runs"}
    parser = Parser()
    add_flags(parser, Options)
    shown = " ".join(parser.format_help().split())
    assert "the optimizer: adam or sgd (default: adam)" in shown
    assert "of the runs (default: 0 1)" in shown


def test_flags_that_are_not_given_are_not_there() -> None:
    parser = Parser()
    add_flags(parser, Options, steps="--n")
    assert vars(parser.parse_args([])) == {}
    given = vars(parser.parse_args(["--output_dir", "x", "--n", "2", "--rate", "1", "--seeds", "4", "5", "--fresh"]))
    assert from_mapping(Options, given) == Options("x", 2, None, 1.0, seeds=(4, 5), fresh=True)
    with pytest.raises(InvalidInput, match="did you mean '--warmup'"):
        parser.parse_args(["--wormup", "1"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps 0 is not in 1..9"),
        ({"steps": 2.0}, "steps 2.0 is not a whole number"),
        ({"steps": True}, "steps True is not a whole number"),
        ({"steps": None}, "steps None is not a whole number"),
        ({"rate": "fast"}, "rate 'fast' is not a number"),
        ({"rate": 0}, "rate 0 is not above 0"),
        ({"rate": "inf"}, "rate inf is not above 0"),
        ({"optim": "adan"}, "unknown optim 'adan'; did you mean 'adam'"),
        ({"seeds": ("x",)}, "seeds 'x' is not a whole number"),
        ({"fresh": 1}, "fresh 1 is not true or false"),
        ({"stepz": 1}, "unknown option 'stepz'; did you mean 'steps'"),
        ({"output_dir": 5}, "output_dir 5 is not text"),
    ],
)
def test_what_does_not_fit_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        from_mapping(Options, {"output_dir": "x", **values})
    assert str(error.value).startswith(message)


def test_keys_of_a_file() -> None:
    assert from_mapping(Options, {"output_dir": "x", "rate": "2e-3", "warmup": 7}) == Options("x", rate=2e-3, warmup=7)
    assert from_mapping(Options, {"output_dir": "x", "rate": None}).rate is None
    with pytest.raises(InvalidInput, match="no output_dir: the folder to make"):
        from_mapping(Options, {})
