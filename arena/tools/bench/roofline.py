"""The matrix limit: the time that a run's own matrix products take when nothing else is done.

A `Recorder` is held around the building and the running of our side. It sees every operation, follows which memory is
made of weights and constants alone (the base model, adapters, what is merged or packed from them), and keeps the
products that have such an operand, at their shapes and strides: projections, LoRA products and merges, the head, and
in training the products of their backward passes. `Replay` repeats the list on tensors of its own, one for each
weight, so that the caches are as cold as in the run. Attention's products are left out, which makes the limit
stricter: no engine reaches it, since attention, norms, rotation, sampling and copies all cost it nothing.

Not guaranteed: that another order or shape of the same products would not be faster still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "addmv", "mv")
WEIGHT, CONSTANT, ACTIVATION = "weight", "constant", "activation"
OUT: dict[str, Callable[..., Any]] = {"mm": torch.mm, "bmm": torch.bmm, "addmm": torch.addmm, "baddbmm": torch.baddbmm}


@dataclass(frozen=True)
class Spec:
    """A tensor operand of a recorded product. `weight` numbers the weights; -1 is an activation."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    weight: int = -1


@dataclass(frozen=True)
class Product:
    """One recorded product: the operation, and its arguments with tensors replaced by their specs."""

    name: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    flops: int
    out: Spec | None


@dataclass
class _Weights:
    """Numbers for weights: the same memory has the same number; a freed one's number may be used again."""

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
    """Records products while it is entered, on this thread: hold it with one torch thread."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[Product] = []
        self.left_out = 0
        """Multiply-adds x 2 of products without a weight (attention written as products)."""
        self._kinds: dict[int, tuple[StorageWeakRef, str]] = {}  # of memory; what is not here is an activation
        self._weight_shapes: set[tuple[int, ...]] = set()
        self._weights = _Weights()

    def weights(self, tensors: Iterable[Tensor], embedding: Tensor) -> None:
        """These are weights, and so is what is made of them alone; rows of the embedding are activations."""
        for tensor in tensors:
            self._mark(tensor, WEIGHT)
        self._kinds[embedding.untyped_storage()._cdata] = (reference(embedding), ACTIVATION)

    def start(self) -> None:
        """Forget the products so far (of a warm-up), not the weights."""
        self.products, self.left_out = [], 0

    @property
    def flops(self) -> int:
        return sum(p.flops for p in self.products)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        name = str(func.overloadpacket.__name__)
        inputs = [t for t in tree_flatten((args, options))[0] if isinstance(t, Tensor) and t.is_floating_point()]
        kinds = [self._kind(t) for t in inputs if t is not options.get("out")]
        kind = ACTIVATION if ACTIVATION in kinds else WEIGHT if WEIGHT in kinds else CONSTANT
        result = func(*args, **options)
        if is_product(name):
            self._record(name, func, args, options, result, WEIGHT in kinds)
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
        self, name: str, func: Any, args: tuple[Any, ...], options: dict[str, Any], result: Tensor, weighted: bool
    ) -> None:
        flops = product_flops(name, args)
        shape = tuple(result.shape[-2:])
        # in training, the gradient of a weight is a product of two activations that has the weight's shape
        if not weighted and not (shape in self._weight_shapes or shape[::-1] in self._weight_shapes):
            self.left_out += flops
            return
        for operand in args:
            if isinstance(operand, Tensor) and operand.dim() >= 2 and self._is_weight(operand):
                self._weight_shapes.add(tuple(operand.shape[-2:]))
        out = options.get("out")
        kept = {k: v for k, v in options.items() if k != "out"}
        args, kept = tree_map(self._spec, (args, kept))
        spec = self._spec(result) if isinstance(out, Tensor) or name in OUT else None
        self.products.append(Product(name, func, args, kept, flops, spec))

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
    """Recorded products, ready to be run again on memory of their own."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._memory: dict[tuple[Any, ...], Tensor] = {}
        self._generator = torch.Generator().manual_seed(0)
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        for product in products:
            args, options = tree_map(self._tensor, (product.args, product.options))
            call: Callable[..., Any] = product.call
            if product.out is not None:
                options["out"] = self._tensor(product.out, "out")
                call = OUT.get(product.name, call)
            self._calls.append((call, args, options))

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
    """Keeps the address of the tensor's memory from being given to another, not the memory."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def expired(owner: StorageWeakRef) -> bool:
    return bool(owner.expired())  # type: ignore[no-untyped-call]


def is_product(name: str) -> bool:
    """Is it a matrix product? Raises ValueError for an operation that looks like one and is not known."""
    bare = name.strip("_")
    if bare in PRODUCTS:
        return True
    if any(word in bare for word in ("mm", "matmul", "linear", "einsum", "gemm")):
        if "gamma" in bare or "backward" in bare or "upsample" in bare:
            return False
        raise ValueError(
            f"the matrix limit does not know the operation {name!r}: add it to arena/tools/bench/roofline.py"
        )
    return False


def product_flops(name: str, args: tuple[Any, ...]) -> int:
    """Two for each multiply-add."""
    bare = name.strip("_")
    left, right = args[1:3] if bare in ("addmm", "baddbmm", "addmv") else args[:2]
    if bare == "linear":
        right = right.transpose(-1, -2) if right.dim() > 1 else right
    rows = math.prod(left.shape[:-1])
    columns = right.shape[-1] if right.dim() > 1 else 1
    return 2 * int(rows * left.shape[-1] * columns)
