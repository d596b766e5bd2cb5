"""The setup of the benchmark of real model sizes: published shapes, a tokenizer of bare numbers, and the device.

Nothing is downloaded: the weights are random.
"""

from __future__ import annotations

import gc
import platform
import sys
import time
from collections.abc import Callable, Sequence

import torch

from agents.architectures import ModelConfig
from agents.checkpoint import EMBEDDING, HEAD, BaseModel
from agents.tokenizer import Tokenizer


def qwen3(
    vocabulary: int,
    width: int,
    inner: int,
    layers: int,
    heads: int,
    shared: int,
    head_dim: int,
    positions: int,
    tied: bool = True,
) -> ModelConfig:
    """The config of a dense Qwen3, with `shared` heads of keys and values. Large models are not `tied`."""
    return ModelConfig(
        vocabulary,
        width,
        inner,
        layers,
        heads,
        shared,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=positions,
        tie_word_embeddings=tied,
        model_type="qwen3",
        head_dim=head_dim,
        qk_norm=True,
    )


SHAPES = {
    "qwen3-0.6b": qwen3(151936, 1024, 3072, 28, 16, 8, 128, 40960),
    "qwen3-4b": qwen3(151936, 2560, 9728, 36, 32, 8, 128, 40960),
    "qwen3-8b": qwen3(151936, 4096, 12288, 36, 32, 8, 128, 40960, tied=False),
    "miniature": qwen3(512, 64, 128, 2, 4, 2, 32, 1024),
}


class NumberTokenizer(Tokenizer):
    """Reads "17 4 99" as these ids; the largest id ends a text. For weights without a tokenizer."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.eos, self.pad, self._gap = vocabulary - 1, 0, ""
        self.stops = frozenset((self.eos,))

    def __len__(self) -> int:
        return self.vocabulary

    @property
    def largest(self) -> int:
        return self.vocabulary - 1

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[int(word) for word in text.split()] for text in texts]

    def count(self, text: str) -> int:
        return len(text.split())

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [" ".join(str(i) for i in row if i != self.eos) for row in rows]


class Device:
    """The device, and the rates that it reaches in a copy and in a product of large matrices."""

    def __init__(self) -> None:
        self.gpu = torch.cuda.is_available()
        self.at = torch.device("cuda" if self.gpu else "cpu")
        self.dtype = torch.bfloat16 if self.gpu else torch.float32
        self.name = torch.cuda.get_device_name() if self.gpu else platform.processor() or platform.machine()

    def sync(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()

    def measure(self) -> None:
        """Set `bandwidth`, the bytes that a copy reads and writes a second, and `matrix`, operations a second."""
        count, side = (1 << 29, 8192) if self.gpu else (1 << 24, 1024)
        a, b = (torch.ones(count, dtype=self.dtype, device=self.at) for _ in range(2))
        self.bandwidth = 2 * count * self.dtype.itemsize / self.fastest(lambda: b.copy_(a))
        a, b = (torch.randn(side, side, device=self.at).to(self.dtype) for _ in range(2))
        out = torch.empty_like(a)
        self.matrix = 2 * side**3 / self.fastest(lambda: torch.mm(a, b, out=out))

    def fastest(self, run: Callable[[], object], tries: int = 5, times: int = 5) -> float:
        """Seconds of one call: the least of `tries`, each the mean of `times` calls."""
        run()
        return min(self.seconds(lambda: [run() for _ in range(times)]) for _ in range(tries)) / times

    def seconds(self, run: Callable[[], object]) -> float:
        self.sync()
        started = time.perf_counter()
        run()
        self.sync()
        return time.perf_counter() - started

    def clear(self) -> None:
        """Free unused memory, and reset the record of the peak."""
        gc.collect()
        if self.gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        """Peak bytes: on a GPU those allocated since `clear`, on the CPU those of the whole process."""
        if self.gpu:
            return torch.cuda.max_memory_allocated()
        import resource  # not on every system

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def base(self, config: ModelConfig) -> BaseModel:
        """A model of this shape with random weights."""
        generator, weights = torch.Generator(self.at).manual_seed(0), {}
        for name, shape in config.shapes().items():
            made = torch.ones(shape, dtype=self.dtype, device=self.at)
            weights[name] = made if len(shape) == 1 else made.normal_(0, shape[-1] ** -0.5, generator=generator)
        weights.setdefault(HEAD, weights[EMBEDDING])
        return BaseModel(config, weights)
