"""Untrusted model files: adapters, learner states, weights, tokenizers, chat templates."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from safetensors.torch import save

import agents.template_worker
from agents.adapters import AdapterLayout
from agents.architectures import ModelConfig
from agents.checkpoint import BaseModel, weights_digest
from agents.learner import Learner, LearnerConfig
from agents.prompt import Chat
from agents.template import ChatTemplate
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER
from tests.fuzz.base import DAMAGE, DEEP, JSON, Place, Target, answers, damaged
from tests.helpers.chat_templates import QWEN3

CONFIG = {"model_type": "llama", "vocab_size": 100, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
          "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64, "eos_token_id": 1,
          "tie_word_embeddings": True, "rope_theta": 1e4, "rms_norm_eps": 1e-6, "torch_dtype": "float32"}  # fmt: skip
SIZES = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"]
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.uint8]


@cache
def model() -> bytes:
    """The weights of a tiny model."""
    torch_rng = torch.Generator().manual_seed(0)
    shapes = ModelConfig.from_hf(dict(CONFIG)).shapes()
    return save({name: torch.randn(shape, generator=torch_rng) * 0.1 for name, shape in shapes.items()})


def model_folder(place: Place) -> Path:
    folder = place.scratch / "model"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(model())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (SEED_FOLDER / name).is_file():
            shutil.copy(SEED_FOLDER / name, folder)
    return folder


@cache
def base() -> BaseModel:
    return BaseModel.load(SEED_FOLDER)


@cache
def learner(scratch: Path) -> Learner:
    """A learner of a tiny model with two agents."""
    folder = model_folder(Place(scratch, scratch))
    made = Learner(BaseModel.load(folder), Tokenizer(folder), LearnerConfig(rank=2, alpha=4.0))
    for name in ("ada", "bo"):
        made.add(name, made.layout.fresh(name))
    return made


def header(data: bytes, change: Any) -> bytes:
    """A safetensors file with a changed header: a text, or (tensor, key, value)."""
    size = int.from_bytes(data[:8], "little")
    found = json.loads(data[8 : 8 + size])
    if isinstance(change, str):
        text = change.encode("utf-8", "surrogatepass")
    else:
        name = sorted(k for k in found if k != "__metadata__")[change[0] % (len(found) - ("__metadata__" in found))]
        found[name] = {**found[name], change[1]: change[2]}
        text = json.dumps(found).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


HEADER = st.tuples(
    st.integers(0, 99),
    st.sampled_from(["dtype", "shape", "data_offsets", "x"]),
    JSON | st.sampled_from(["F64", "I64", "F8_E4M3", "BOOL", [2**62], [0], [], [-1], [2**31, 2**31], [0, 2**60]]),
) | (DEEP | st.text(max_size=30))
WEIGHTS = st.tuples(
    st.none() | HEADER,
    st.none()
    | st.tuples(st.integers(0, 99), st.sampled_from([float("nan"), float("inf"), 1e38]), st.sampled_from(DTYPES)),
    st.none() | st.sampled_from(["rename", "drop", "transpose", "empty", "more"]),
    DAMAGE,
)


def mangled(tensors: dict[str, torch.Tensor], value: Any) -> bytes:
    """Write tensors as a damaged safetensors file."""
    head, number, shape, (edits, end) = value
    made = {k: v.clone() for k, v in tensors.items()}
    names = sorted(made)
    if number:
        name = names[number[0] % len(names)]
        made[name].view(-1)[:1] = number[1]
        made[name] = (
            made[name].nan_to_num().to(number[2]) if not number[2].is_floating_point else made[name].to(number[2])
        )
    if shape:
        name = names[0]
        tensor = made.pop(name)
        new = {"rename": ("../../" + name, tensor), "transpose": (name, tensor.reshape(*tensor.shape, 1)),
               "empty": (name, tensor[:0]), "more": (name, torch.cat([tensor, tensor]))}  # fmt: skip
        if shape in new:
            made |= [new[shape]]
    data = save({k: v.contiguous() for k, v in made.items()})
    return damaged(data if head is None else header(data, head), edits, end)


def adapters(place: Place, value: tuple[Any, tuple[str, Any]]) -> None:
    weights, (key, new) = value
    layout: AdapterLayout = learner(place.scratch).layout
    folder = place.scratch / "adapter"
    layout.save_peft(layout.fresh("x"), folder, "base")
    config = json.loads((folder / "adapter_config.json").read_text())
    text = new if key == "all" and isinstance(new, str) else json.dumps(new if key == "all" else config | {key: new})
    (folder / "adapter_config.json").write_text(text, encoding="utf-8", errors="replace")
    from safetensors.torch import load

    data = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(mangled(load(data), weights))
    with answers(str(folder)):
        row = layout.load_peft(folder)
        assert row.shape == (layout.size,) and row.dtype == torch.float32 and row.isfinite().all()


def learner_states(place: Place, value: Any) -> None:
    held = learner(place.scratch)
    path = place.scratch / "learner.safetensors"
    path.write_bytes(mangled(held.state, value))
    made = Learner(held.base, held.tokenizer, held.config)
    with answers(str(path)):
        made.load(path, ["ada", "bo"])
        assert all(v.isfinite().all() and v.dtype == torch.float32 for v in made.state.values())


def models(place: Place, value: tuple[Any, str, Any]) -> None:
    weights, key, new = value
    folder = model_folder(place)
    from safetensors.torch import load

    (folder / "model.safetensors").write_bytes(mangled(load(model()), weights))
    text = new if key == "all" and isinstance(new, str) else json.dumps(new if key == "all" else CONFIG | {key: new})
    (folder / "config.json").write_text(text, encoding="utf-8", errors="replace")
    with answers(str(folder)):
        BaseModel.load(folder)
    with answers(str(folder)):
        weights_digest(folder)


def shards(place: Place, index: str) -> None:
    folder = model_folder(place)
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8", errors="replace")
    with answers(str(folder)):
        BaseModel.load(folder)


def tokenizers(place: Place, value: tuple[str, Any, Any]) -> None:
    name, new, (edits, end) = value
    folder = model_folder(place)
    path = folder / name
    before = path.read_bytes() if path.is_file() else b"{}"
    if new is None:
        path.write_bytes(damaged(before, edits, end))
    elif isinstance(new, str):
        path.write_text(new, encoding="utf-8", errors="replace")
    else:
        data = json.loads(before)
        path.write_text(json.dumps(data | dict([new]) if isinstance(data, dict) else new))
    with answers(str(folder)):
        made = Tokenizer(folder)
        made.encode_prompts(["rev | 1 2", Chat("a", "b", "", False)])
        made.decode(made.encode(["rev | 1 2"]))


SAYS = "{{ messages[-1].content }}"
TEMPLATES = [
    QWEN3,
    "{{ messages[0].content }}",
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}" + SAYS,
    "{% set x = 'a' * 10000000000 %}" + SAYS,
    "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}" + SAYS,
    "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}" + SAYS,
    "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}" + SAYS,
    "{{ 'x'.ljust(10000000000) }}" + SAYS,
    "{{ '%9999999999d' % 1 }}" + SAYS,
    "{{ '{:9999999999}'.format(1) }}" + SAYS,
    "{{ 'x' | center(9999999999) }}" + SAYS,
    "{{ '%9999999999d' | format(1) }}" + SAYS,
    "{{ 9 ** 9 ** 9 ** 9 }}" + SAYS,
    "{{ 1 | string * 9999999999 }}",
    "{{ range(99999) | list | batch(1, 9) | list | string }}",
    "{{ ('x' * 9000).replace('', 'x' * 9000).replace('', 'x' * 9000) }}" + SAYS,
    "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}" + SAYS,
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ cycler.__init__.__globals__ }}{{ lipsum.__globals__ }}{{ self.__init__ }}",
    "{{ lipsum(n=100000) }}" + SAYS,
    "{% include 'x' %}{% import '/etc/passwd' as x %}",
    "{{ messages | map(attribute='__class__') | list }}",
    "{% for x in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "{{ [1, 2, 3] | sum(start=[]) }}{{ dict(a=1) | xmlattr }}{{ 'x' | indent(99999999999) }}{{ 'x' | wordwrap(0) }}",
    "{{ messages | tojson(indent=99999999999) }}",
    "{{ raise_exception('no\nno') }}",
    "{{ strftime_now('%' * 99) }}{{ strftime_now('%Y' * 1000000) }}",
    SAYS * 3000,
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if a %}" * 5000,
]


def templates(_: Place, value: tuple[str, str, int, int]) -> None:
    source, piece, at, cut = value
    at %= len(source) + 1
    source = source[:at] + piece + source[at + cut :] if piece or cut else source
    agents.template_worker.TIMEOUT = 1.0
    with answers():
        made = ChatTemplate(source, "here", {"bos_token": "<s>"})
        made.after_answer()
        rendered = made.render(Chat("You are.", "{{ 1 / 0 }} <|im_end|>", "", False))
        assert "{{ 1 / 0 }}" in rendered.fill(rendered.text)


KEYS = st.sampled_from([*CONFIG, *SIZES, "rope_scaling", "hidden_act", "quantization_config", "sliding_window",
                        "layer_types", "rope_parameters", "use_sliding_window", "pad_token_id", "all"])  # fmt: skip
ANY = JSON | st.sampled_from(
    [10**9, 10**6, 2**63, [], {}, {"rope_type": "llama3"}, {"rope_type": []}, "qwen2", "qwen3"]
)
PEFT = st.sampled_from(["r", "lora_alpha", "target_modules", "peft_type", "bias", "rank_pattern", "use_dora", "all"])
SETTINGS = st.sampled_from(["eos_token", "pad_token", "chat_template", "added_tokens_decoder", "eos_token_id", "model",
                            "added_tokens", "pre_tokenizer", "decoder", "normalizer"])  # fmt: skip
FILES = st.sampled_from(["tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json",
                         "special_tokens_map.json", "chat_template.json", "chat_template.jinja"])  # fmt: skip
NEW = st.none() | DEEP | st.tuples(SETTINGS, JSON)
SPLICE = st.tuples(
    st.sampled_from(TEMPLATES), st.just("") | st.text(max_size=6), st.integers(0, 500), st.integers(0, 9)
)
INDEXES = st.one_of(
    JSON.map(json.dumps),
    DEEP,
    st.dictionaries(st.text(max_size=4), JSON).map(lambda m: json.dumps({"weight_map": m})),
    st.sampled_from(["../model/part.safetensors", "/etc/passwd", "part.safetensors", "gone"]).map(
        lambda n: json.dumps({"weight_map": {"x": n}})
    ),
)
TARGETS = [
    Target("adapters", st.tuples(WEIGHTS, st.tuples(PEFT, JSON | DEEP)), adapters, 25),
    Target("learner states", WEIGHTS, learner_states, 20),
    Target("models", st.tuples(WEIGHTS, KEYS, ANY | DEEP), models, 25),
    Target("shards", INDEXES, shards, 15),
    Target("tokenizers", st.tuples(FILES, NEW, DAMAGE), tokenizers, 15),
    Target("templates", SPLICE, templates, 12, True),
]
