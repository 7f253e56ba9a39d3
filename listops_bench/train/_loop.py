"""The training loop. What every process can work out alike (rows, learning rate, tokens) needs no communication."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from listops_bench._base.hashing import key64
from listops_bench._base.stopping import Stopped, never
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.threads import limit_threads
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.runs.provenance import environment
from listops_bench.runs.record import RunRecord, read_run
from listops_bench.train._batches import Pool, Pools
from listops_bench.train._linear import fast_linear
from listops_bench.train._log import Meter, Progress, TrainingFailed, numbers_in
from listops_bench.train._optimizer import frozen_parameters, has_dropout, learning_rate, make_optimizer
from listops_bench.train._precision import autocast
from listops_bench.train._processes import agreed, begin_trackers, on_main
from listops_bench.train._rows import attention_by_rows, using_attention, using_rows
from listops_bench.train._run_state import RunState, Stopwatch, check_context, initial_model, renew
from listops_bench.train._state import RunFolder
from listops_bench.train._validation import TeacherForced
from listops_bench.train._windows import draw_step, longest_of
from listops_bench.train.config import TrainConfig, rows_per_step
from listops_bench.train.packed.alone import CapturedRun, can_be_captured

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
        stop: Callable[[], int] = never,
    ) -> None:
        self.config, self.accelerator, self.folder = config, accelerator, folder
        self.state = RunState(config, folder.identity)
        self.curriculum = self.state.curriculum
        self.rows_per_step = rows_per_step(config, accelerator.num_processes)
        self.model = initial_model(config).to(accelerator.device)
        limit_threads(self.model)
        self.pools = Pools()
        stages = range(len(self.curriculum.stages))
        longest = max(longest_of(self.pools.of_stage(config, i, self.rows_per_step), config) for i in stages)
        check_context(self.model.config, config.model_name, longest - 1)
        self.frozen = [frozen_parameters(self.model, stage.freeze) for stage in self.curriculum.stages]
        self.by_rows = attention_by_rows(self.model)
        self.attention = self.model.config._attn_implementation
        self.stochastic = has_dropout(self.model)
        self.validate, self.on_step, self.stop = validate or self._teacher_forced(), on_step, stop
        self.pool: Pool  # of the stage
        self.wrapped: Any = None
        self.optimizer: Any = None
        self.captured: CapturedRun | None = None
        if can_be_captured(config, self.model, accelerator):
            self.captured = CapturedRun(config, self.pools, self.model, accelerator)
        self.meter = Meter()
        self.resumed_at = 0
        self.environment = environment(accelerator.device)
        self.state.environments.append(self.environment)
        self.stopwatch = Stopwatch()

    def _teacher_forced(self) -> Validate | None:
        config = self.config
        if not config.eval_steps or not self.accelerator.is_main_process:
            return None
        figures = TeacherForced(self.curriculum, num_rows=config.eval_rows, trace=config.trace, padded=not self.by_rows)
        return lambda model, step: figures(model, self.state.position.stage)

    def run(self) -> RunRecord:
        """Trains to the end and returns the record of the run."""
        state = on_main(self.accelerator, self.folder.open)
        if state is None:
            self._begin_stage()
            self._keep_checkpoint()
        else:
            self._restore(state)
        with self.folder.writing():
            begin_trackers(self.accelerator, self.folder.files.trackers, self.state.step, asdict(self.config))
        self.meter.restart(() if state is None else state.get("losses", ()))
        with fast_linear(self.model), using_rows(self.model) if self.by_rows else nullcontext():
            self._train()
        return self._finish()

    # --- steps --------------------------------------------------------------------------------------------------------

    def _train(self) -> None:
        state, config = self.state, self.config
        while not state.is_over:
            self._end_if_asked()
            if state.stage_is_over:
                state.begin_stage()
                renew(config, state.position.index, self.model)
                self._begin_stage()
            self._train_step()
            state.step += 1
            if state.line_is_due:
                self._log()
            keeps = config.checkpoint_steps > 0 and state.step % config.checkpoint_steps == 0
            saves = state.due(config.save_steps)
            if keeps and self.meter.pending:
                self._log()
            if keeps:
                self._keep_checkpoint()
            if saves:
                self._save()
            if self.on_step is not None and self.accelerator.is_main_process:
                self.on_step(self._progress())

    def _end_if_asked(self) -> None:
        code = agreed(self.accelerator, self.stop(), self.state.step)
        if code:
            self._save()
            raise Stopped(code, f"saved after step {self.state.step} of {self.state.position.end}")

    def _begin_stage(self) -> None:
        """Rows, trained parameters and optimizer of a stage."""
        config, stage, index = self.config, self.state.position.stage, self.state.position.index
        self.pool = self.pools.of_stage(config, index, self.rows_per_step)
        if stage.reset_optimizer or self.optimizer is None:
            optimizer = make_optimizer(config, self.model.parameters(), self.accelerator.device)
            self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name not in self.frozen[index])
            parameter.grad = None  # the optimizer passes by what has no gradient
        changed = index > 0 and self.frozen[index] != self.frozen[index - 1]
        if self.wrapped is None or (changed and self.wrapped is not self.model):
            # DistributedDataParallel fixes the set of trained parameters when it wraps the model.
            self.wrapped = self.accelerator.prepare_model(self.model)

    def _captured_step(self, captured: CapturedRun) -> None:
        taken = captured(self.state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = taken.learning_rate
        self.state.seen.add(taken.tokens, taken.loss_tokens, taken.reductions)
        self.meter.add(taken.loss, taken.norm if self.config.max_grad_norm else None, taken.tokens)

    def _give_back(self) -> None:
        """The model and the optimizer hold what has been trained so far."""
        if self.captured is not None:
            first, _ = self.state.position.schedule
            self.captured.give(self.model, self.optimizer, self.state.step - first)

    def _train_step(self) -> None:
        if self.captured is not None:
            self._captured_step(self.captured)
            return
        config, pool, accelerator, state = self.config, self.pool, self.accelerator, self.state
        drawn = draw_step(pool, config, state.step - state.position.starts[-1])
        parts = np.array_split(drawn.items, config.gradient_accumulation_steps * accelerator.num_processes)
        mine = parts[accelerator.process_index :: accelerator.num_processes]
        if self.stochastic:  # dropout too is a function of the step, so a resumed run draws what it would have drawn
            torch.manual_seed(key64(f"listops/dropout/{config.seed}/{state.step}/{accelerator.process_index}") >> 1)
        losses = []
        for i, part in enumerate(mine):
            batch = drawn.lay_out(part, padded=not self.by_rows).to(accelerator.device)
            with accelerator.no_sync(self.wrapped) if i < len(mine) - 1 else nullcontext():
                # Gradients are averaged over the processes; the loss is the mean over the tokens of all of them.
                with autocast(config.precision, accelerator.device):
                    loss = batch.loss(self.wrapped) * (accelerator.num_processes / drawn.loss_tokens)
                accelerator.backward(loss)
            losses.append(loss.detach())
        norm = None
        if config.max_grad_norm:
            norm = accelerator.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step, *state.position.schedule)
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.seen.add(drawn.tokens, drawn.loss_tokens, drawn.reductions)
        self.meter.add(torch.stack(losses).sum(), norm, drawn.tokens)

    # --- log, validation ----------------------------------------------------------------------------------------------

    def _progress(self) -> Progress:
        state, speed = self.state, self.meter.steps_per_second
        return Progress(
            step=state.step,
            total_steps=state.position.end,
            stage=str(state.position.stage),
            loss=state.loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            tokens=state.seen.tokens,
            tokens_per_second=self.meter.tokens_per_second,
            seconds_left=(state.position.end - state.step) / speed if speed else None,
            validation=state.validation,
        )

    def _log(self) -> None:
        """Writes a line of the log, with validation figures when they are due. Waits for the device."""
        loss, norm = self.meter.read(self.accelerator, self.state.step)
        line = self.state.log_line(loss, self.optimizer.param_groups[0]["lr"], norm, self.meter.tokens_per_second)
        if self.state.validation_is_due:
            self.state.add_validation(on_main(self.accelerator, self._validate))
            line["validation"] = self.state.validation

        def write() -> None:
            self.folder.append_log(line)
            with self.folder.writing():
                shown = {name: value for name, value in line.items() if name != "step"}  # trackio keeps that name
                self.accelerator.log(numbers_in(shown), step=self.state.step)

        on_main(self.accelerator, write)
        self.meter.restart()

    def _validate(self) -> dict[str, float]:
        assert self.validate
        self._give_back()
        with _for_validation(self.model, self.attention):
            return {key: float(value) for key, value in self.validate(self.model, self.state.step).items()}

    # --- state --------------------------------------------------------------------------------------------------------

    def _keep_checkpoint(self) -> None:
        """Keeps the weights as they are now. Before the state of the same step, so that a state vouches for them."""
        if not self.config.checkpoint_steps or self.state.step == self.state.position.end:
            return
        self._give_back()

        def write() -> None:
            target = self.folder.files.step_checkpoint(self.state.step)
            with _for_validation(self.model, self.attention):
                self._write(target, self.folder.copy_log, along_the_way=True)

        on_main(self.accelerator, write)

    def _save(self) -> None:
        self._give_back()
        scaler = self.accelerator.scaler
        # What a bad loss has spoilt must not become a state to go on from.
        losses = self.meter.settle(self.accelerator, self.state.step)

        def write() -> None:
            state = {
                "step": self.state.step,
                "starts": self.state.position.starts,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                **self.state.state(),
                "losses": losses,
                "seconds": self.stopwatch.seconds,
            }
            self.folder.save_state(state)

        on_main(self.accelerator, write)

    def _restore(self, state: dict[str, Any]) -> None:
        self.resumed_at = state["step"]
        # The stage of the last step done: at a boundary the next stage then begins as it would have.
        self.state.restore(state, state["starts"], state["step"])
        self.model.load_state_dict(state["model"])
        self._begin_stage()
        self.optimizer.load_state_dict(state["optimizer"])
        if self.captured is not None:
            self.captured.take(self.model, self.optimizer)
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.stopwatch.before = state["seconds"]

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> RunRecord:
        self._give_back()
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            raise TrainingFailed(self.state.step, self.state.loss)
        with self.folder.writing():
            for tracker in self.accelerator.trackers:
                tracker.finish()

        def write() -> RunRecord:
            target = self.folder.output_dir
            self.model.requires_grad_(True).eval()
            run = self._write(target, self.folder.copy_into)
            self.folder.remove()
            return read_run(target) or run

        run: RunRecord = on_main(self.accelerator, write)
        return run

    def _write(self, target: Path, finish: Callable[[Path], None], *, along_the_way: bool = False) -> RunRecord:
        """Writes a checkpoint folder and returns its record."""
        layout = "rows" if self.by_rows else "padded"
        run = self.state.record(self.environment, self.stopwatch.seconds, layout, along_the_way=along_the_way)
        save_checkpoint(target, self.model, build_tokenizer(self.curriculum.symbol_set), run, finish=finish)
        return run

    def release(self) -> None:
        """Lets go of the wrapped model: its threads must have ended before the process group does, or the process may
        abort when it exits."""
        self.wrapped = self.captured = None
        self.accelerator.free_memory()


@contextmanager
def _for_validation(model: PreTrainedModel, attention: str) -> Iterator[None]:
    """Inside, the model is as anyone else would use it: in evaluation mode, with its ordinary attention."""
    with using_attention(model, attention):
        model.eval()
        try:
            yield
        finally:
            model.train()
