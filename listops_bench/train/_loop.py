"""The training loop. What every process can work out alike (rows, learning rate, tokens) needs no communication."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from listops_bench._base.hashing import key64
from listops_bench.errors import InvalidInput
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.runs.provenance import environment
from listops_bench.runs.record import RunRecord, read_run
from listops_bench.tasks.generator import Rows
from listops_bench.train._batches import Pool, lay_out, loss_tokens, make_pool
from listops_bench.train._linear import fast_linear
from listops_bench.train._log import Meter, Progress, numbers_in
from listops_bench.train._optimizer import frozen_parameters, has_dropout, learning_rate, make_optimizer
from listops_bench.train._processes import on_main
from listops_bench.train._record import run_record
from listops_bench.train._rows import attention_by_rows, using_rows
from listops_bench.train._start import initial_model
from listops_bench.train._state import RunFolder
from listops_bench.train._validation import TeacherForced
from listops_bench.train.config import TrainConfig, rows_per_step
from listops_bench.train.course import Course, Seen

Validate = Callable[[PreTrainedModel, int], dict[str, float]]
OnStep = Callable[[Progress], None]


class Trainer:
    """One run, from its first step or its last saved state to its checkpoint folder."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        folder: RunFolder,
        validate: Validate | None,
        on_step: OnStep | None,
    ) -> None:
        self.config, self.accelerator, self.folder = config, accelerator, folder
        self.curriculum = config.plan()
        self.course = Course(self.curriculum)
        self.rows_per_step = rows_per_step(config, accelerator.num_processes)
        self.model = initial_model(config).to(accelerator.device)
        self.frozen = [frozen_parameters(self.model, stage.freeze) for stage in self.curriculum.stages]
        self.by_rows = attention_by_rows(self.model)
        self.attention = self.model.config._attn_implementation
        self.stochastic = has_dropout(self.model)
        self.validate, self.on_step = validate or self._teacher_forced(), on_step
        self.wrapped: Any = None
        self.optimizer: Any = None
        self.pool: Pool | None = None
        self.rows: dict[str, Rows] = {}
        self.meter = Meter()
        self.step = self.resumed_at = self.streak = 0
        self.seen = Seen()
        self.environment = environment(accelerator.device)
        self.loss: float | None = None
        self.validation: dict[str, float] = {}
        self.seconds_before, self.started = 0.0, time.monotonic()

    def _teacher_forced(self) -> Validate:
        config = self.config
        if not config.eval_steps or not self.accelerator.is_main_process:
            return lambda model, step: {}
        figures = TeacherForced(self.curriculum, num_rows=config.eval_rows, trace=config.trace, padded=not self.by_rows)

        def validate(model: PreTrainedModel, step: int) -> dict[str, float]:
            with using_rows(model) if self.by_rows else nullcontext():
                return figures(model, step, self.course.index)

        return validate

    def run(self) -> RunRecord:
        """Trains to the end and returns the record of the run."""
        state = on_main(self.accelerator, self.folder.open)
        if state is None:
            self._begin_stage()
            self._keep_checkpoint()
        else:
            self._restore(state)
        with self.folder.writing():
            self.accelerator.init_trackers("listops_bench", config=_plain(self.config))
        self.meter.restart()
        with ExitStack() as stack:
            stack.enter_context(fast_linear(self.model))
            if self.by_rows:
                stack.enter_context(using_rows(self.model))
            self._train()
        return self._finish()

    # --- steps --------------------------------------------------------------------------------------------------------

    def _train(self) -> None:
        while True:
            if self.step == self.course.stage_end or self._has_learned():
                if self.course.in_last_stage:
                    return
                self.course.turn(self.step)
                self.streak = 0
                self._begin_stage()
            self._train_step()
            self.step += 1
            if self._due(self.config.logging_steps) or self._due(self.config.eval_steps):
                self._log()
            if self.config.checkpoint_steps and self.step % self.config.checkpoint_steps == 0:
                self._finish_line()
                self._keep_checkpoint()
            if self._due(self.config.save_steps):
                self._finish_line()
                self._save()
            self._report()

    def _due(self, every: int) -> bool:
        """After every so many steps, and at the end; never where that is 0."""
        return every > 0 and (self.step % every == 0 or self.step == self.course.end)

    def _begin_stage(self) -> None:
        """Rows, trained parameters and optimizer of a stage."""
        config, stage, index = self.config, self.course.stage, self.course.index
        self.pool = make_pool(
            stage,
            index,
            data_seed=config.seed if config.data_seed is None else config.data_seed,
            dataset_seed=config.dataset_seed,
            trace=config.trace,
            batch_size=self.rows_per_step,
            cache=self.rows,
        )
        if stage.reset_optimizer or self.optimizer is None:
            optimizer = make_optimizer(config, self.model.parameters(), self.accelerator.device)
            self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        trained = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name not in self.frozen[index])
            parameter.grad = None  # the optimizer passes by what has no gradient
        changed = trained != {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        if self.wrapped is None or (changed and self.wrapped is not self.model):
            # DistributedDataParallel fixes the set of trained parameters when it wraps the model.
            self.wrapped = self.accelerator.prepare_model(self.model)

    def _train_step(self) -> None:
        config, pool, accelerator = self.config, self.pool, self.accelerator
        assert pool is not None
        rows = pool.rows_of_step(self.step - self.course.starts[-1])
        total = int(loss_tokens(pool.lengths[rows], pool.prompt_lengths[rows], config.loss_on))
        parts = np.array_split(rows, config.gradient_accumulation_steps * accelerator.num_processes)
        mine = parts[accelerator.process_index :: accelerator.num_processes]
        if self.stochastic:  # dropout too is a function of the step, so a resumed run draws what it would have drawn
            torch.manual_seed(key64(f"listops/dropout/{config.seed}/{self.step}/{accelerator.process_index}") >> 1)
        losses = []
        for i, part in enumerate(mine):
            batch = lay_out(pool, part, config.loss_on, padded=not self.by_rows).to(accelerator.device)
            with accelerator.no_sync(self.wrapped) if i < len(mine) - 1 else nullcontext():
                # Gradients are averaged over the processes; the loss is the mean over the tokens of all of them.
                loss = batch.loss(self.wrapped) * (accelerator.num_processes / total)
                accelerator.backward(loss)
            losses.append(loss.detach())
        norm = None
        if config.max_grad_norm:
            norm = accelerator.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.step, *self.course.schedule)
        self.optimizer.step()
        self.optimizer.zero_grad()
        tokens = int(pool.lengths[rows].sum()) - len(rows)
        self.seen.add(tokens, total, pool.reductions[rows].sum(0, dtype=np.int64))
        self.meter.add(torch.stack(losses).sum(), norm, tokens)

    # --- log, validation, early stop ----------------------------------------------------------------------------------

    def _report(self) -> None:
        if self.on_step is None or not self.accelerator.is_main_process:
            return
        speed = self.meter.steps_per_second
        self.on_step(
            Progress(
                step=self.step,
                total_steps=self.course.end,
                stage=str(self.course.stage),
                loss=self.loss,
                learning_rate=self.optimizer.param_groups[0]["lr"],
                tokens=self.seen.tokens,
                tokens_per_second=self.meter.tokens_per_second,
                seconds_left=(self.course.end - self.step) / speed if speed else None,
                validation=self.validation,
            )
        )

    def _log(self) -> None:
        """Writes a line of the log, with validation figures when they are due. Waits for the device."""
        self.loss, norm = self.meter.read(self.accelerator, self.step)
        line: dict[str, Any] = {
            "step": self.step,
            "stage": self.course.index,
            "loss": self.loss,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "grad_norm": norm,
            **self.seen.record(),
            "tokens_per_second": round(self.meter.tokens_per_second),
        }
        if self._due(self.config.eval_steps):
            line["validation"] = self.validation = self._validate()
            self._count_streak()

        def write() -> None:
            self.folder.append_log(line)
            with self.folder.writing():
                self.accelerator.log(numbers_in(line), step=self.step)

        on_main(self.accelerator, write)
        self.meter.restart()

    def _validate(self) -> dict[str, float]:
        def figures() -> dict[str, float]:
            with _for_validation(self.model, self.attention):
                return {key: float(value) for key, value in self.validate(self.model, self.step).items()}

        result: dict[str, float] = on_main(self.accelerator, figures)
        return result

    @property
    def _goal(self) -> float | None:
        """The accuracy at which the stage ends before its steps are used up."""
        if self.course.stage.until is None and self.course.in_last_stage:
            return self.config.early_stop
        return self.course.stage.until

    def _count_streak(self) -> None:
        if self._goal is None:
            return
        if "trace_accuracy" not in self.validation:
            raise InvalidInput("stopping at an accuracy needs validation figures with a trace_accuracy")
        self.streak = self.streak + 1 if self.validation["trace_accuracy"] >= self._goal else 0

    def _has_learned(self) -> bool:
        return self._goal is not None and self.streak >= self.config.early_stop_patience

    # --- state --------------------------------------------------------------------------------------------------------

    def _finish_line(self) -> None:
        """Before weights are written: what a bad loss has spoilt must not become a state to go on from."""
        if self.meter.pending:
            self._log()

    def _keep_checkpoint(self) -> None:
        """Keeps the weights as they are now. Before the state of the same step, so that a state vouches for them."""
        if not self.config.checkpoint_steps or self.step == self.course.end:
            return

        def write() -> None:
            run = self._run_record(after_steps=self.step)
            target, tokenizer = self.folder.files.step_checkpoint(self.step), build_tokenizer(self.curriculum.modulus)
            with _for_validation(self.model, self.attention):
                save_checkpoint(target, self.model, tokenizer, run, finish=self.folder.copy_log)

        on_main(self.accelerator, write)

    def _save(self) -> None:
        scaler = self.accelerator.scaler

        def write() -> None:
            state = {
                "step": self.step,
                "starts": self.course.starts,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                **self.seen.state(),
                "loss": self.loss,
                "validation": self.validation,
                "streak": self.streak,
                "seconds": self._seconds(),
            }
            self.folder.save_state(state)

        on_main(self.accelerator, write)

    def _restore(self, state: dict[str, Any]) -> None:
        self.step = self.resumed_at = state["step"]
        self.model.load_state_dict(state["model"])
        # The stage of the last step done: at a boundary the next stage then begins as it would have.
        self.course = Course(self.curriculum, state["starts"])
        self._begin_stage()
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.seen = Seen.from_state(state)
        self.loss, self.validation, self.streak = state["loss"], state["validation"], state["streak"]
        self.seconds_before = state["seconds"]

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> RunRecord:
        with self.folder.writing():
            for tracker in self.accelerator.trackers:
                tracker.finish()

        def write() -> RunRecord:
            run = self._run_record()
            self.model.requires_grad_(True)
            tokenizer = build_tokenizer(self.curriculum.modulus)
            target = save_checkpoint(
                self.folder.output_dir, self.model.eval(), tokenizer, run, finish=self.folder.copy_into
            )
            self.folder.remove()
            return read_run(target) or run

        run: RunRecord = on_main(self.accelerator, write)
        return run

    def release(self) -> None:
        """Lets go of the wrapped model: its threads must have ended before the process group does, or the process may
        abort when it exits."""
        self.wrapped = None
        self.accelerator.free_memory()

    def _run_record(self, **along_the_way: int) -> RunRecord:
        """The record of the finished run, or of a checkpoint along the way, which is a recipe of its own."""
        return run_record(
            self.config,
            {**self.folder.identity, **along_the_way},
            self.seen,
            steps=self.step,
            environment=self.environment,
            seconds=self._seconds(),
            loss=self.loss,
            validation=self.validation,
            stopped_early=not along_the_way and self.step < self.course.end,
            layout="rows" if self.by_rows else "padded",
            course=self.course,
        )


@contextmanager
def _for_validation(model: PreTrainedModel, attention: str) -> Iterator[None]:
    """Inside, the model is as anyone else would use it: in evaluation mode, with its ordinary attention."""
    while_training = model.config._attn_implementation
    model.set_attn_implementation(attention)
    model.eval()
    try:
        yield
    finally:
        model.train()
        model.set_attn_implementation(while_training)


def _plain(config: TrainConfig) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(config).items() if value is not None}
