"""The TRL side: one GRPOTrainer for each agent, each with its own adapter.

A trainer runs in its own thread, which is paused at the end of every optimiser step, so that one turn is one step in
the middle of its training: start-up and first steps are not counted. A step generates six times four proposals and 24
times four attempts in one batch and learns from all of them. The only file that imports trl. Left out: TRL's vLLM mode,
which needs a GPU."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from arena.tools.bench import workload
from arena.tools.bench.hf_peers import StepGate, fresh_adapter, load_tokenizer
from arena.tools.bench.timing import Work
from arena.tools.bench.workload import LEARNING_RATE, Size

SECONDS = 600  # timeout of one step


class Agent:
    """One trainer that takes one optimiser step at a call."""

    def __init__(self, model: Path, name: str, size: Size, folder: Path, turns: int) -> None:
        self.completion_tokens = self.prompt_tokens = 0
        self._go, self._arrived, self._end = threading.Semaphore(0), threading.Semaphore(0), False
        self._error: BaseException | None = None
        self._count = load_tokenizer(model)
        drawn = [workload.generation(name, turn, size) for turn in range(turns)]
        rows = size.proposals + size.problems
        config = GRPOConfig(
            output_dir=str(folder / name),
            per_device_train_batch_size=rows * size.attempts,
            gradient_accumulation_steps=1,
            steps_per_generation=1,
            num_generations=size.attempts,
            max_completion_length=64,
            temperature=0.8,
            beta=0.0,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            max_steps=turns,
            shuffle_dataset=False,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        self.trainer = GRPOTrainer(
            model=fresh_adapter(model),
            reward_funcs=self._reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": [p for d in drawn for p in (*d.propose, *d.solve)]}),
            processing_class=load_tokenizer(model),
            callbacks=[StepGate(self._arrive)],
        )
        self._thread = threading.Thread(target=self._train, args=(torch.get_num_threads(),), daemon=True)

    def step(self) -> tuple[int, int]:
        """Completion and prompt tokens of one step. Raises RuntimeError if the trainer failed."""
        self.completion_tokens = self.prompt_tokens = 0
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        if not self._arrived.acquire(timeout=SECONDS):
            raise RuntimeError(f"TRL's trainer took more than {SECONDS} s for a step")
        if self._error is not None:
            raise RuntimeError(f"TRL's trainer failed: {self._error}") from self._error
        return self.completion_tokens, self.prompt_tokens

    def close(self) -> None:
        """End the training after the current step."""
        self._end = True
        if self._thread.ident is not None:
            self._go.release()
            self._thread.join(timeout=SECONDS)

    def _train(self, threads: int) -> None:
        torch.set_num_threads(threads)
        try:
            self._go.acquire()
            self.trainer.train()
        except _Ended:
            pass
        except Exception as error:  # reported by the waiting thread
            self._error = error
            self._arrived.release()

    def _arrive(self) -> None:
        self._arrived.release()
        self._go.acquire()
        if self._end:
            raise _Ended

    def _reward(self, prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        """A cheap reward that varies within a group; also counts tokens."""
        self.completion_tokens += sum(map(len, completion_ids))
        self.prompt_tokens += sum(map(len, self._count(prompts)["input_ids"]))
        return [float(sum(ids) % 7) for ids in completion_ids]


class _Ended(Exception):
    """Ends the trainer's loop when the benchmark ends."""


class Generations:
    """The agents of a population, one after another."""

    def __init__(self, model: Path, names: Sequence[str], size: Size, turns: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-trl-")
        self.agents = [Agent(model, name, size, Path(self._folder.name), turns + 1) for name in names]

    def run(self, turn: int) -> Work:
        """Counts generated and trained tokens, the latter in prompts and completions."""
        done = [agent.step() for agent in self.agents]
        completions, prompts = sum(c for c, _ in done), sum(p for _, p in done)
        return Work(2 * completions + prompts, prompts)

    def close(self) -> None:
        for agent in self.agents:
            agent.close()
        self._folder.cleanup()
