"""What a training run is told: a frozen, strict configuration, from Python, flags or a YAML file.

Names are those of `transformers.TrainingArguments` wherever it has the thing. The defaults are the recipe of the
reference figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from listops_bench._base.command import Parser
from listops_bench._base.files import read_yaml
from listops_bench.errors import InvalidInput, unknown
from listops_bench.tasks.curriculum import Curriculum, parse_curriculum

DEFAULT_MODEL = "looped_d048"


DEFAULT_STEPS = 3000


_RANGES: dict[str, tuple[float, float]] = {
    "max_steps": (1, math.inf),
    "per_device_train_batch_size": (1, 2**20),
    "gradient_accumulation_steps": (1, 2**20),
    "learning_rate": (0, math.inf),
    "warmup_steps": (0, math.inf),
    "min_lr_ratio": (0, 1),
    "weight_decay": (0, math.inf),
    "adam_beta1": (0, 1),
    "adam_beta2": (0, 1),
    "adam_epsilon": (0, 1),
    "momentum": (0, 1),
    "max_grad_norm": (0, math.inf),
    "seed": (0, 2**63 - 1),
    "data_seed": (0, 2**63 - 1),
    "dataset_seed": (0, 2**63 - 1),
    "logging_steps": (1, math.inf),
    "eval_steps": (0, math.inf),
    "eval_rows": (1, 2**31 - 1),
    "save_steps": (0, math.inf),
    "checkpoint_steps": (0, math.inf),
    "early_stop": (0, 1),
    "early_stop_patience": (1, math.inf),
    "num_processes": (1, 2**20),
}


_OPEN = ("learning_rate", "adam_beta1", "adam_beta2", "adam_epsilon")
"""Values at the ends of their range are out of it: a learning rate of 0, a beta of 1."""


_ADAM, _MOMENTUM = ("adam_beta1", "adam_beta2", "adam_epsilon"), ("momentum",)


_NOT_OF: dict[str, tuple[str, ...]] = {
    "adamw_torch": _MOMENTUM,
    "adafactor": (*_ADAM, *_MOMENTUM),
    "adagrad": (*_ADAM, *_MOMENTUM),
    "rmsprop": _ADAM,
    "sgd": _ADAM,
}
"""Options that an optimizer does not have."""


_DECIDES_NOTHING = (
    "output_dir", "task", "max_steps", "logging_steps", "save_steps", "checkpoint_steps", "report_to", "num_processes",
)  # fmt: skip
"""Options that leave the end weights as they are, or that the curriculum's text says already."""


def _option(default: Any, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Two runs with equal configurations end with equal weights on one machine.

    Raises:
        InvalidInput: a value out of its range, an unknown task, or a choice that does not exist.
    """

    output_dir: str = dataclasses.field(metadata={"help": "the checkpoint folder to make"})
    task: str | None = _option(None, "the task to train on, such as sum_max_med")
    curriculum: str | None = _option(None, "stages instead of a task: max_med:1200,sum:1800, or a YAML file")
    max_steps: int | None = _option(None, "optimizer steps on the task (default: 3000)")
    model: str | None = _option(None, "a rung of the ladder (default: looped_d048), or a config of your own")
    init_from: str | None = _option(None, "a checkpoint folder to start from, instead of a fresh model")
    trace: Literal["parallel", "single", "none"] = _option(
        "parallel", "style of the completions: parallel, single or none"
    )
    loss_on: Literal["completion", "all"] = _option("completion", "tokens that bear loss: completion or all")
    per_device_train_batch_size: int = _option(128, "rows per process and backward pass")
    gradient_accumulation_steps: int = _option(1, "backward passes per step")
    optim: Literal["adamw_torch", "adafactor", "adagrad", "rmsprop", "sgd"] = _option(
        "adamw_torch", "optimizer: adamw_torch, adafactor, adagrad, rmsprop or sgd, all of them torch's"
    )
    learning_rate: float = _option(2e-3, "peak learning rate")
    warmup_steps: int = _option(100, "linear warm-up, in steps, at the beginning of every schedule")
    lr_scheduler_type: Literal["cosine", "constant"] = _option("cosine", "after the warm-up: cosine or constant")
    min_lr_ratio: float = _option(0.1, "where the cosine ends, as a share of the learning rate")
    weight_decay: float = _option(0.01, "weight decay, on all parameters")
    adam_beta1: float = _option(0.9, "AdamW's first decay rate")
    adam_beta2: float = _option(0.98, "AdamW's second decay rate")
    adam_epsilon: float = _option(1e-8, "AdamW's epsilon")
    momentum: float = _option(0.9, "momentum of sgd and rmsprop")
    max_grad_norm: float = _option(1.0, "gradient norm to clip to; 0 switches it off")
    seed: int = _option(0, "of the initial weights, and of the order of the rows unless data_seed is given")
    data_seed: int | None = _option(None, "of the order of the rows")
    dataset_seed: int = _option(0, "of the train rows themselves; 0 are the published ones")
    logging_steps: int = _option(50, "steps between lines of train_log.jsonl")
    eval_steps: int = _option(250, "steps between validations; 0 for none")
    eval_rows: int = _option(256, "validation rows per task")
    save_steps: int = _option(500, "steps between states to resume from; 0 for none")
    checkpoint_steps: int = _option(
        0, "steps between checkpoints to keep, in OUTPUT_DIR/checkpoints, the initial weights first; 0 for none"
    )
    early_stop: float | None = _option(
        None,
        "stop in the last stage once the trace accuracy on the validation rows of its tasks and of each of their "
        "operations is at least this",
    )
    early_stop_patience: int = _option(1, "validations in a row that must reach it, or a stage's own /until=")
    report_to: str = _option("auto", "trackers, by comma; none; auto is tensorboard where it is installed")
    num_processes: int | None = _option(None, "processes that must take part; fewer are an error")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), _TYPES[field.name])
        if not self.output_dir.strip():
            raise InvalidInput("output_dir is empty")
        if (self.task is None) == (self.curriculum is None):
            raise InvalidInput("give either a task (--task sum) or a curriculum (--curriculum max_med:1200,sum:1800)")
        if self.curriculum is not None and self.max_steps is not None:
            raise InvalidInput("a curriculum has its own steps; leave --steps out")
        if self.model is not None and self.init_from is not None:
            raise InvalidInput("init_from brings its own model; leave --model out")
        if self.goes_by_validation and not self.eval_steps:
            raise InvalidInput("stopping at an accuracy needs validation; eval_steps is 0")

    @property
    def goes_by_validation(self) -> bool:
        """Whether an accuracy decides how long the run is. Otherwise validation only watches."""
        return self.early_stop is not None or any(stage.until is not None for stage in self.plan().stages)

    def plan(self) -> Curriculum:
        """The curriculum, however it was given."""
        if self.curriculum is not None:
            return parse_curriculum(self.curriculum)
        assert self.task is not None
        return Curriculum.from_task(self.task, DEFAULT_STEPS if self.max_steps is None else self.max_steps)

    @property
    def fresh_model(self) -> str:
        """The rung, or the config of the user's own, that a model with fresh weights is built from."""
        return DEFAULT_MODEL if self.model is None else self.model

    @property
    def model_name(self) -> str:
        """What people call the model: the rung, or the folder that it comes from."""
        path = Path(os.path.abspath(self.init_from or self.fresh_model))
        return path.parent.name if path.name == "config.json" else path.name

    def resolved(self) -> dict[str, Any]:
        """What decides the end weights (the process count apart), in one spelling: it identifies a run.

        No path is in it: a config or checkpoint of the user's own is what its files say, wherever they lie.

        Raises:
            InvalidInput: an unknown or unusable model, or a checkpoint to start from that has no weights.
        """
        values = dataclasses.asdict(self)
        for key in _DECIDES_NOTHING:
            del values[key]
        unused = () if self.goes_by_validation else ("eval_steps", "eval_rows", "early_stop_patience")
        for key in (*unused, *_NOT_OF[self.optim]):
            del values[key]
        values["curriculum"] = str(self.plan())
        if self.init_from is None:
            values["model"] = _model_identity(self.fresh_model)
        else:
            del values["init_from"]
            values["initial_weights_sha256"] = _weights_sha256(self.init_from)
        if self.data_seed is None:
            values["data_seed"] = self.seed
        return values


def _model_identity(model: str) -> str:
    from listops_bench.model.ladder import model_identity

    return model_identity(model)


def _weights_sha256(checkpoint: str) -> str:
    from listops_bench.model.checkpoint import weights_sha256

    try:
        return weights_sha256(checkpoint)
    except OSError:
        raise InvalidInput(f"checkpoint {checkpoint!r} has no model.safetensors") from None


_TYPES: dict[str, Any] = typing.get_type_hints(TrainConfig)


def _check(name: str, value: Any, annotation: Any) -> None:
    allowed = [t for t in _members(annotation) if t is not types.NoneType]
    if value is None and len(allowed) < len(_members(annotation)):
        return
    if typing.get_origin(allowed[0]) is Literal:
        choices = typing.get_args(allowed[0])
        if value not in choices:
            raise unknown(name, value, choices)
        return
    kind = allowed[0]
    fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    if not fits:
        raise InvalidInput(f"{name} {value!r} is not {_KINDS[kind]}")
    if name in _RANGES:
        low, high = _RANGES[name]
        inside = low < value < high if name in _OPEN else low <= value <= high
        if not inside or not math.isfinite(value):
            raise InvalidInput(f"{name} {value!r} is not {_span(name, low, high)}")


def _span(name: str, low: float, high: float) -> str:
    if name in _OPEN:
        return f"above {low}" if math.isinf(high) else f"between {low} and {high}"
    return f"at least {low}" if math.isinf(high) else f"in {low}..{high}"


def _members(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)


_KINDS: dict[type, str] = {int: "a whole number", float: "a number", str: "text"}


# --- flags and files --------------------------------------------------------------------------------------------------

_ALIASES = {"max_steps": ("--steps",)}


PROGRAM = "accelerate launch -m listops_bench.train"


_EXAMPLE = f"{PROGRAM} --task sum_max_med --model looped_d048 --output-dir runs/sum_max_med"


def read_config(argv: Sequence[str]) -> TrainConfig:
    """The configuration that flags ask for; ``--config FILE`` gives values that flags override.

    ``--output-dir`` and ``--output_dir`` are the same.

    Raises:
        InvalidInput: an unknown flag or key (the nearest known one is named), or a value that does not fit.
        SystemExit: after ``--help``.
    """
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s --task TASK --output-dir DIR [options]",
        description="Trains one model. Started again, it goes on where it was stopped.",
        epilog=f"example: {_EXAMPLE}",
    )
    parser.add_argument("--config", metavar="FILE", help="a YAML file of the values below; flags override it")
    parser.add_argument(
        *("--no-early-stop", "--no_early_stop"),
        action="store_const", const=None, dest="early_stop", default=argparse.SUPPRESS, help="train to the last step",
    )  # fmt: skip
    for field in dataclasses.fields(TrainConfig):
        kind = next(t for t in _members(_TYPES[field.name]) if t is not types.NoneType)
        read = kind if kind in (int, float) else str
        dashed, plain = "--" + field.name.replace("_", "-"), "--" + field.name
        shown = "" if field.default in (None, dataclasses.MISSING) else f" (default: {field.default})"
        parser.add_argument(
            *dict.fromkeys([dashed, plain, *_ALIASES.get(field.name, ())]),
            dest=field.name,
            type=read,
            metavar=read.__name__.upper(),
            default=argparse.SUPPRESS,
            help=field.metadata["help"] + shown,
        )
    given = vars(parser.parse_args(argv))
    file = given.pop("config")
    return make_config({**(_read_yaml(Path(file)) if file else {}), **given})


def make_config(values: Mapping[str, Any]) -> TrainConfig:
    """A configuration from a mapping such as a YAML page; the error for an unknown key names the nearest known one."""
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    for key in values:
        if key not in names:
            raise unknown("training option", key, names)
    if "output_dir" not in values:
        raise InvalidInput("no output_dir: say where the checkpoint goes, as in --output-dir runs/first")
    # YAML 1.1 reads 2e-3, without a dot, as text.
    fixed: dict[str, Any] = {}
    for key, value in values.items():
        reads = _TYPES[key] is float and isinstance(value, str) and _is_number(value)
        fixed[key] = float(value) if reads else value
    return TrainConfig(**fixed)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_yaml(path: Path) -> dict[str, Any]:
    page = read_yaml(path, kind="config file")
    if not isinstance(page, dict):
        raise InvalidInput(f"config file {str(path)!r} is not a mapping of options to values")
    return page


def rows_per_step(config: TrainConfig, num_processes: int = 1) -> int:
    """Rows of one optimizer step, over all processes."""
    return config.per_device_train_batch_size * config.gradient_accumulation_steps * num_processes
