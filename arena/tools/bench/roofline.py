"""The matrix limit: the time that a run's own matrix products take when nothing else is done.

A `Recorder` is entered while our side is built and run. It sees every operation, tracks which memory is computed from
weights and constants only (the base model, adapters, merged or packed weights), and records the products with such an
operand, with their shapes and strides: projections, LoRA products and merges, the head and, in training, the products
of their backward passes. `Replay` repeats them on its own tensors, one for each weight, so that caches are as cold as
in the run. The products of attention are left out, which makes the limit stricter: no engine reaches it, because
attention, norms, rotary positions, sampling and copies take time too. Operations are counted by torch's own counter.

Not guaranteed: that the same products would not be faster in another order or shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.flop_counter import flop_registry

WEIGHT, CONSTANT, ACTIVATION = "weight", "constant", "activation"
OUT: dict[str, Callable[..., Any]] = {"mm": torch.mm, "bmm": torch.bmm, "addmm": torch.addmm, "baddbmm": torch.baddbmm}
"""The matrix products, and how each is replayed into memory of its own."""
PRODUCT_WORDS, OTHER_WORDS = ("mm", "mv", "matmul", "linear", "einsum"), ("gamma", "backward", "upsample")


@dataclass(frozen=True)
class Spec:
    """A tensor operand of a recorded product. `weight` numbers the weights; -1 is an activation."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    weight: int = -1


@dataclass(frozen=True)
class Product:
    """One recorded product: the operation, its arguments with specs for tensors, and its result's spec."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    flops: int
    out: Spec


@dataclass
class _Weights:
    """Numbers of weights: the same memory has the same number; the number of freed memory can be used again."""

    numbers: dict[tuple[Any, ...], int] = field(default_factory=dict)
    owners: dict[int, StorageWeakRef] = field(default_factory=dict)
    by_spec: dict[Spec, list[int]] = field(default_factory=dict)

    def number(self, tensor: Tensor, spec: Spec) -> int:
        key = (tensor.untyped_storage()._cdata, tensor.storage_offset(), spec)
        if key not in self.numbers:
            old = self.by_spec.setdefault(spec, [])
            free = next((n for n in old if expired(self.owners[n])), None)
            if free is None:
                free = len(self.owners)
                old.append(free)
            self.numbers[key] = free
            self.owners[free] = reference(tensor)
        return self.numbers[key]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the products of this thread while it is entered; use it with one torch thread."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[Product] = []
        self.left_out = 0
        """Multiply-adds x 2 of products without a weight (attention written as products)."""
        self._kinds: dict[int, tuple[StorageWeakRef, str]] = {}  # by memory; everything else is an activation
        self._weight_shapes: set[tuple[int, ...]] = set()
        self._weights = _Weights()

    def weights(self, tensors: Iterable[Tensor], embedding: Tensor) -> None:
        """Mark tensors as weights, and with them everything computed from them alone; embedding rows are
        activations."""
        for tensor in tensors:
            self._mark(tensor, WEIGHT)
        self._kinds[embedding.untyped_storage()._cdata] = (reference(embedding), ACTIVATION)

    def start(self) -> None:
        """Forget the products so far (of a warm-up), but not the weights."""
        self.products, self.left_out = [], 0

    @property
    def flops(self) -> int:
        return sum(p.flops for p in self.products)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        inputs = [t for t in tree_flatten((args, options))[0] if isinstance(t, Tensor) and t.is_floating_point()]
        kinds = [self._kind(t) for t in inputs if t is not options.get("out")]
        kind = ACTIVATION if ACTIVATION in kinds else WEIGHT if WEIGHT in kinds else CONSTANT
        result = func(*args, **options)
        if (flops := product_flops(func, args, options, result)) is not None:
            self._record(func, args, options, result, flops, WEIGHT in kinds)
        for out in tree_flatten(result)[0]:
            if isinstance(out, Tensor) and out.is_floating_point():
                self._mark(out, kind)
        return result

    def _mark(self, tensor: Tensor, kind: str) -> None:
        key = tensor.untyped_storage()._cdata
        if kind != ACTIVATION:
            self._kinds[key] = (reference(tensor), kind)
        elif self._kind(tensor) == CONSTANT:  # written into: a cache; a weight that is trained stays one
            del self._kinds[key]

    def _kind(self, tensor: Tensor) -> str:
        return self._kinds.get(tensor.untyped_storage()._cdata, (None, ACTIVATION))[1]

    def _is_weight(self, tensor: Tensor) -> bool:
        return self._kind(tensor) == WEIGHT

    def _record(
        self, func: Any, args: tuple[Any, ...], options: dict[str, Any], result: Tensor, flops: int, weighted: bool
    ) -> None:
        shape = tuple(result.shape[-2:])
        # in training, the gradient of a weight is a product of two activations that has the weight's shape
        if not weighted and not (shape in self._weight_shapes or shape[::-1] in self._weight_shapes):
            self.left_out += flops
            return
        for operand in args:
            if isinstance(operand, Tensor) and operand.dim() >= 2 and self._is_weight(operand):
                self._weight_shapes.add(tuple(operand.shape[-2:]))
        kept = {k: v for k, v in options.items() if k != "out"}
        args, kept = tree_map(self._spec, (args, kept))
        call = OUT[func.overloadpacket.__name__]
        self.products.append(Product(call, args, kept, flops, self._spec(result)))

    def _spec(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if not value.is_floating_point():
            return value.clone()  # offsets and indices: their values matter
        spec = Spec(tuple(value.shape), tuple(value.stride()), value.dtype)
        if not self._is_weight(value):
            return spec
        return Spec(spec.shape, spec.stride, spec.dtype, self._weights.number(value, spec))


class Replay:
    """Recorded products, to be run again on their own memory."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._memory: dict[tuple[Any, ...], Tensor] = {}
        self._generator = torch.Generator().manual_seed(0)
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        for product in products:
            args, options = tree_map(self._tensor, (product.args, product.options))
            options["out"] = self._tensor(product.out, "out")
            self._calls.append((product.call, args, options))

    def run(self) -> None:
        with torch.inference_mode():
            for call, args, options in self._calls:
                call(*args, **options)

    def _tensor(self, value: Any, place: str = "in") -> Any:
        if not isinstance(value, Spec):
            return value
        if (value, place) not in self._memory:
            size = 1 + sum((n - 1) * s for n, s in zip(value.shape, value.stride, strict=True)) if value.shape else 1
            flat = torch.randn(max(size, 1), generator=self._generator).mul_(0.02).to(value.dtype)
            self._memory[value, place] = flat.as_strided(value.shape, value.stride)
        return self._memory[value, place]


def reference(tensor: Tensor) -> StorageWeakRef:
    """A weak reference to the tensor's memory, which keeps its address from being reused."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def expired(owner: StorageWeakRef) -> bool:
    return bool(owner.expired())  # type: ignore[no-untyped-call]


def product_flops(func: Any, args: tuple[Any, ...], options: dict[str, Any], result: Tensor) -> int | None:
    """What torch's counter gives for a product, two a multiply-add; None for another operation. Raises ValueError for
    an operation that looks like a product and cannot be replayed."""
    name = str(func.overloadpacket.__name__)
    if name in OUT:
        return int(flop_registry[func.overloadpacket](*args, **options, out_val=result))
    if any(word in name for word in PRODUCT_WORDS) and not any(word in name for word in OTHER_WORDS):
        raise ValueError(f"the matrix limit cannot replay the operation {name!r}: add it to OUT in {__name__}")
    return None
