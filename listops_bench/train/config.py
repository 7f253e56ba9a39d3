"""What a training run is told: a frozen, strict configuration, from Python, flags or a YAML file.

    TrainRecipe   what decides the weights; the identity of a run hashes exactly this
    RunOptions    where files go, and how often something is logged or kept
    TrainConfig   both in one, as flags and YAML have them

Names are those of `transformers.TrainingArguments` wherever it has the thing. The defaults are the recipe of the
reference figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from listops_bench._base.command import Parser
from listops_bench._base.files import read_yaml
from listops_bench._base.options import Between, add_flags, check, from_mapping
from listops_bench._base.records import Count, Positive, Range, Share
from listops_bench._base.resources import named_page
from listops_bench.errors import InvalidInput
from listops_bench.runs.store import run_folder
from listops_bench.tasks.curriculum import Curriculum, parse_curriculum
from listops_bench.tasks.task import DATASET_VERSION

DEFAULT_MODEL, DEFAULT_STEPS = "looped_d048", 3000

WINDOW = 128
"""Tokens of a window that are read; as many are predicted, so one more is cut."""

_Many = Annotated[int, Range(1, 2**20)]
_Seed = Annotated[int, Range(0, 2**63 - 1)]
_Decay = Annotated[float, Between(0, 1)]
_NotNegative = Annotated[float, Range(0)]

_ADAM, _MOMENTUM = ("adam_beta1", "adam_beta2", "adam_epsilon"), ("momentum",)
_NOT_OF: dict[str, tuple[str, ...]] = {
    "adamw_torch": _MOMENTUM,
    "adafactor": (*_ADAM, *_MOMENTUM),
    "adagrad": (*_ADAM, *_MOMENTUM),
    "rmsprop": _ADAM,
    "sgd": _ADAM,
}
"""Options that an optimizer does not have."""


@dataclass(frozen=True)
class TrainRecipe:
    """What decides the weights: two runs with equal recipes end with equal weights on one machine.

    Attributes:
        task: the task to train on, such as sum_max_med.
        curriculum: stages instead of a task: max_med:1200,sum:1800, or a YAML file.
        max_steps: optimizer steps on the task (default: 3000).
        model: a rung of the ladder (default: looped_d048), or a config of your own.
        init_from: a checkpoint to start from, instead of a fresh model: a folder, or ``RECIPE#SEED`` of a store.
        init_parts: what to take of it, by comma: embeddings, attention, feed_forward, or patterns of parameter names;
            the rest is fresh (default: all).
        freeze: what is not trained, by comma, in the same terms (default: nothing).
        trace: style of the completions (default: that of the tasks).
        loss_on: tokens that bear loss.
        batching: what a step trains on; windows of 128 tokens are cut at random places from a stream of rows that lie
            end to end, and every token of theirs bears loss.
        per_device_train_batch_size: rows, or windows, per process and backward pass.
        gradient_accumulation_steps: backward passes per step.
        optim: optimizer, each of them torch's.
        learning_rate: peak learning rate.
        warmup_steps: linear warm-up, in steps, at the beginning of every schedule.
        lr_scheduler_type: after the warm-up.
        min_lr_ratio: where the schedule ends, as a share of the learning rate.
        weight_decay: weight decay, on all parameters.
        adam_beta1: AdamW's first decay rate.
        adam_beta2: AdamW's second decay rate.
        adam_epsilon: AdamW's epsilon.
        momentum: momentum of sgd and rmsprop.
        max_grad_norm: gradient norm to clip to; 0 switches it off.
        precision: of matrix products: fp32, or on a GPU tf32, or bf16. The rest is float32 in each of them.
        seed: of the initial weights, and of the order of the rows unless data_seed is given.
        data_seed: of the order of the rows.
        dataset_seed: of the train rows themselves; 0 are the published ones.
        eval_steps: steps between validations; 0 for none.
        eval_rows: validation rows per task.
        early_stop: stop in the last stage once the trace accuracy on the validation rows of its tasks and of each of
            their operations is at least this.
        early_stop_patience: validations in a row that must reach it, or a stage's own /until=.

    Raises:
        InvalidInput: a value out of its range, an unknown task, or a choice that does not exist.
    """

    task: str | None = None
    curriculum: str | None = None
    max_steps: Positive | None = None
    model: str | None = None
    init_from: str | None = None
    init_parts: str | None = None
    freeze: str | None = None
    trace: Literal["parallel", "single", "none"] = None  # type: ignore[assignment]
    loss_on: Literal["completion", "all"] = "completion"
    batching: Literal["rows", "windows"] = "rows"
    per_device_train_batch_size: _Many = 128
    gradient_accumulation_steps: _Many = 1
    optim: Literal["adamw_torch", "adafactor", "adagrad", "rmsprop", "sgd"] = "adamw_torch"
    learning_rate: Annotated[float, Between(0)] = 2e-3
    warmup_steps: Count = 100
    lr_scheduler_type: Literal["cosine", "exponential", "constant"] = "cosine"
    min_lr_ratio: Share = 0.1
    weight_decay: _NotNegative = 0.01
    adam_beta1: _Decay = 0.9
    adam_beta2: _Decay = 0.98
    adam_epsilon: _Decay = 1e-8
    momentum: Share = 0.9
    max_grad_norm: _NotNegative = 1.0
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    seed: _Seed = 0
    data_seed: _Seed | None = None
    dataset_seed: _Seed = 0
    eval_steps: Count = 250
    eval_rows: Annotated[int, Range(1, 2**31 - 1)] = 256
    early_stop: Share | None = None
    early_stop_patience: Positive = 1

    def __post_init__(self) -> None:
        style: str | None = self.trace  # None in what was asked for, never in a recipe
        object.__setattr__(self, "trace", style or "parallel")
        check(self, TrainRecipe)
        if (self.task is None) == (self.curriculum is None):
            raise InvalidInput("give either a task (--task sum) or a curriculum (--curriculum max_med:1200,sum:1800)")
        if self.curriculum is not None and self.max_steps is not None:
            raise InvalidInput("a curriculum has its own steps; leave --steps out")
        for option, value in (("init-parts", self.init_parts), ("freeze", self.freeze)):
            if self.curriculum is not None and value is not None:
                raise InvalidInput(f"a stage says so itself, as in sum:1800/{option}={value}; leave --{option} out")
        if self.init_from is None and self.plan().stages[0].init_parts:
            raise InvalidInput("init-parts are those of a stage before, or of a checkpoint; give --init-from")
        if self.model is not None and self.init_from is not None and not self.plan().stages[0].init_parts:
            raise InvalidInput("init_from brings its own model; leave --model out, or say which --init-parts to take")
        if self.batching == "windows" and self.loss_on != "all":
            raise InvalidInput(f"batching windows bears loss on all tokens; loss_on is {self.loss_on}, and must be all")
        if self.lr_scheduler_type == "exponential" and not self.min_lr_ratio:
            raise InvalidInput("an exponential schedule never ends at 0; min_lr_ratio must be above 0")
        if self.goes_by_validation and not self.eval_steps:
            raise InvalidInput("stopping at an accuracy needs validation; eval_steps is 0")
        object.__setattr__(self, "trace", style or self.plan().trace)

    @property
    def goes_by_validation(self) -> bool:
        """Whether an accuracy decides how long the run is. Otherwise validation only watches."""
        return self.early_stop is not None or any(stage.until is not None for stage in self.plan().stages)

    def plan(self) -> Curriculum:
        """The curriculum, however it was given."""
        if self.curriculum is not None:
            return parse_curriculum(self.curriculum)
        assert self.task is not None
        return Curriculum.from_task(
            self.task,
            DEFAULT_STEPS if self.max_steps is None else self.max_steps,
            init_parts=_by_comma(self.init_parts),
            freeze=_by_comma(self.freeze),
        )

    @property
    def order_seed(self) -> int:
        """The seed of the order of the rows."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def fresh_model(self) -> str:
        """What fresh weights are made for: a rung, a config of the user's own, or the checkpoint to start from."""
        if self.model is not None:
            return self.model
        return DEFAULT_MODEL if self.init_from is None else self.init_from

    @property
    def model_name(self) -> str:
        """What people call the model: the rung, or the folder that it comes from."""
        path = Path(os.path.abspath(self.fresh_model))
        return path.parent.name if path.name == "config.json" else path.name

    def identity(self, *, num_processes: int = 1, mixed_precision: str = "no") -> dict[str, Any]:
        """What tells a run from others: everything that decides its end weights, up to rounding.

        Raises:
            InvalidInput: as `resolved`.
        """
        return {
            "dataset_version": DATASET_VERSION,
            "num_processes": num_processes,
            "mixed_precision": mixed_precision,
            **self.resolved(),
        }

    def resolved(self) -> dict[str, Any]:
        """What decides the end weights (the process count apart), in one spelling: it identifies a run.

        No path is in it: a config or checkpoint of the user's own is what its files say, wherever they lie.

        Raises:
            InvalidInput: an unknown or unusable model, or a checkpoint to start from that has no weights.
        """
        unused = ("eval_steps", "eval_rows", "early_stop_patience") if not self.goes_by_validation else ()
        said_by_curriculum = ("task", "max_steps", "init_parts", "freeze")
        usual = {"precision": "fp32", "batching": "rows"}
        plain = (name for name, value in usual.items() if getattr(self, name) == value)
        left_out = {*unused, *said_by_curriculum, *plain, *_NOT_OF[self.optim]}
        names = [field.name for field in dataclasses.fields(TrainRecipe)]
        values = {name: getattr(self, name) for name in names if name not in left_out}
        values["curriculum"] = str(self.plan())
        if self.init_from is None or self.plan().stages[0].init_parts:
            from listops_bench.model.ladder import model_identity

            values["model"] = model_identity(self.fresh_model)
        if self.init_from is not None:
            from listops_bench.model.checkpoint import weights_sha256

            del values["init_from"]
            values["initial_weights_sha256"] = weights_sha256(run_folder(self.init_from))
        values["data_seed"] = self.order_seed
        return values


@dataclass(frozen=True)
class RunOptions:
    """Where the files of a run go, and how often something is logged or kept: nothing that decides the weights.

    Attributes:
        output_dir: the checkpoint folder to make, such as runs/first.
        logging_steps: steps between lines of train_log.jsonl.
        save_steps: steps between states to resume from; 0 for none.
        checkpoint_steps: steps between checkpoints to keep, in OUTPUT_DIR/checkpoints, the initial weights first; 0
            for none.
        report_to: trackers, by comma; none; auto is tensorboard where it is installed.
        num_processes: processes that must take part; fewer are an error.
    """

    output_dir: str
    logging_steps: Positive = 50
    save_steps: Count = 500
    checkpoint_steps: Count = 0
    report_to: str = "auto"
    num_processes: _Many | None = None

    def __post_init__(self) -> None:
        check(self, RunOptions)
        if not self.output_dir.strip():
            raise InvalidInput("output_dir is empty")


@dataclass(frozen=True)
class TrainConfig(TrainRecipe, RunOptions):
    """A training run: its recipe and its options in one. See `TrainRecipe` and `RunOptions`."""

    def __post_init__(self) -> None:
        RunOptions.__post_init__(self)
        TrainRecipe.__post_init__(self)


# --- flags and files --------------------------------------------------------------------------------------------------

PROGRAM = "accelerate launch -m listops_bench.train"


_EXAMPLE = f"{PROGRAM} --task sum_max_med --model looped_d048 --output-dir runs/sum_max_med"


_INSTEAD: dict[str, tuple[str, ...]] = {
    "task": ("curriculum",),
    "curriculum": ("task", "max_steps", "init_parts", "freeze"),
    "init_from": ("model",),
}
"""What a flag takes the place of in a file."""


def read_config(argv: Sequence[str]) -> TrainConfig:
    """The configuration that flags ask for; ``--config FILE`` gives values that flags override.

    ``--output-dir`` and ``--output_dir`` are the same.

    Raises:
        InvalidInput: an unknown flag or key (the nearest known one is named), or a value that does not fit.
        SystemExit: after ``--help``.
    """
    given = vars(build_parser().parse_args(list(argv)))
    file = given.pop("config")
    page = read_recipe(file) if file else {}
    flags = set(given) - ({"init_from"} if "init_parts" in given else set())  # parts are taken into the file's model
    for key in {key for flag in flags for key in _INSTEAD.get(flag, ())} - set(given):
        page.pop(key, None)
    return make_config({**page, **given})


def build_parser() -> Parser:
    """The flags of training."""
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s --task TASK --output-dir DIR [options]",
        description="Trains one model. Started again, it goes on where it was stopped.",
        epilog=f"example: {_EXAMPLE}",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="a YAML file of the values below, or a recipe such as nrgpt; flags override it"
    )
    add_flags(parser.add_argument_group("the run"), RunOptions)
    recipe = parser.add_argument_group("what decides the weights")
    add_flags(recipe, TrainRecipe, max_steps="--steps")
    recipe.add_argument(
        *("--no-early-stop", "--no_early_stop"),
        action="store_const", const=None, dest="early_stop", default=argparse.SUPPRESS, help="train to the last step",
    )  # fmt: skip
    return parser


def make_config(values: Mapping[str, Any]) -> TrainConfig:
    """A configuration from a mapping such as a YAML page; the error for an unknown key names the nearest known one."""
    return from_mapping(TrainConfig, values, what="training option")


def recipe_in(values: Mapping[str, Any]) -> TrainRecipe:
    """The recipe in a mapping of options, the rest of them left out."""
    own = {field.name for field in dataclasses.fields(TrainRecipe)}
    return from_mapping(TrainRecipe, {key: value for key, value in values.items() if key in own})


def read_recipe(name: str) -> dict[str, Any]:
    """The options in a YAML file, or in a recipe that ships, by its name.

    Raises:
        InvalidInput: no such file or recipe (the nearest one is named), or it holds no options.
    """
    path = named_page(name, "recipe", "recipes")
    page = read_yaml(path, kind="config file")
    if not isinstance(page, dict):
        raise InvalidInput(f"config file {str(path)!r} is not a mapping of options to values")
    return page


def _by_comma(patterns: str | None) -> list[str]:
    return [] if patterns is None else [pattern.strip() for pattern in patterns.split(",")]


def rows_per_step(config: TrainRecipe, num_processes: int = 1) -> int:
    """Rows of one optimizer step, over all processes."""
    return config.per_device_train_batch_size * config.gradient_accumulation_steps * num_processes
