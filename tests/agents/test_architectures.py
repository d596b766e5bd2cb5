"""Llama, Qwen2 and Qwen3: tiny models with random weights, made with transformers and run by our forward pass.

The plain forward pass in this file is a second implementation from the config's fields, independent of the one in use.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.adapters import AdapterLayout
from agents.architectures import PROJECTIONS, ModelConfig, inverse_frequencies
from agents.checkpoint import BaseModel, weights_digest
from arena.config.shipped import SEED_FOLDER

transformers = pytest.importorskip("transformers")

TINY = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 128, "eos_token_id": 2, "pad_token_id": 0,
        "bos_token_id": None}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}  # fmt: skip
MINIATURES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama_scaled": {"model_type": "llama", "rope_parameters": LLAMA3, "eos_token_id": [2, 5]},
    "llama_tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama_biased": {"model_type": "llama", "attention_bias": True, "head_dim": 8},
    "qwen2": {"model_type": "qwen2", "rms_norm_eps": 1e-6, "rope_parameters": {"rope_theta": 1e6}},
    "qwen3": {"model_type": "qwen3", "head_dim": 20, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
              "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    "qwen3_sharded": {"model_type": "qwen3", "head_dim": 16},
}  # fmt: skip
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12], [3], [90, 1, 2, 44, 17], [(7 * i) % 97 for i in range(100)]]


def make(name: str, folder: Path) -> Path:
    """Make a tiny model with noise in every weight, including biases and norms, so that an omitted one is detected."""
    settings = TINY | MINIATURES[name]
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**settings), dtype=torch.float32
    )
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * (0.2 if parameter.dim() == 1 else 0.05))
            if key.endswith("o_proj.bias"):
                parameter.zero_()  # transformers has a bias on o_proj too, which we do not support
    model.save_pretrained(folder, **({"max_shard_size": "60KB"} if "sharded" in name else {}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make(name, tmp_path_factory.mktemp(name)) for name in MINIATURES}


@pytest.fixture(params=MINIATURES)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


def theirs(folder: Path, rows: list[list[int]], model: Any = None) -> list[Tensor]:
    model = model or transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return [model.eval()(torch.tensor([row])).logits[0] for row in rows]


def reference_logits(base: BaseModel, ids: list[int]) -> Tensor:
    """Logits [len(ids), V] of one row, by a plain forward pass for all three architectures."""
    c, n = base.config, len(ids)
    h, g, e = c.num_attention_heads, c.num_key_value_heads, c.head_dim
    angle = torch.arange(n, dtype=torch.float32)[:, None] * inverse_frequencies(c).repeat(2)[None]  # (S, E)

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + c.rms_norm_eps)

    def turn(x: Tensor) -> Tensor:
        return x * angle.cos()[:, None] + torch.cat([-x[..., e // 2 :], x[..., : e // 2]], -1) * angle.sin()[:, None]

    def project(layer: int, name: str, x: Tensor) -> Tensor:
        return F.linear(x, base.linear(layer, name), base.bias(layer, name))

    x = base.weights["model.embed_tokens.weight"][torch.tensor(ids)]
    hidden = torch.ones(n, n).triu(1).bool()
    for layer in range(c.num_hidden_layers):
        before, between = base.norms(layer)
        y = norm(x, before)
        q, k, v = (project(layer, p, y).view(n, -1, e) for p in ("q_proj", "k_proj", "v_proj"))
        norms = base.qk_norms(layer)
        if norms:
            q, k = norm(q, norms[0]), norm(k, norms[1])
        q, k = turn(q), turn(k)
        seen = []
        for head in range(h):
            scores = q[:, head] @ k[:, head * g // h].T / e**0.5
            seen.append(scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v[:, head * g // h])
        x = x + project(layer, "o_proj", torch.cat(seen, -1))
        y = norm(x, between)
        x = x + project(layer, "down_proj", F.silu(project(layer, "gate_proj", y)) * project(layer, "up_proj", y))
    return norm(x, base.weights["model.norm.weight"]) @ base.weights["lm_head.weight"].T


def test_config_suffices_for_logits(folder: Path) -> None:
    """A plain forward pass from the fields of the config gives the logits of transformers."""
    base = BaseModel.load(folder)
    for ours, other in zip([reference_logits(base, row) for row in ROWS], theirs(folder, ROWS), strict=True):
        assert torch.allclose(ours, other, atol=1e-4), (ours - other).abs().max()


def test_forward_pass_equals_transformers(folder: Path) -> None:
    from agents.model import StackedWeights
    from tests.helpers.logits import full_logits

    ours = full_logits(StackedWeights.of_base(BaseModel.load(folder)), ROWS)
    for mine, other in zip(ours, theirs(folder, ROWS), strict=True):
        assert mine.shape == other.shape
        assert torch.allclose(mine, other, atol=1e-4), (mine - other).abs().max()


def test_miniatures_cover_all_differences(folders: dict[str, Path]) -> None:
    """The random models cover all differences between the architectures."""
    configs = {name: BaseModel.load(folder).config for name, folder in folders.items()}
    assert {c.model_type for c in configs.values()} == {"llama", "qwen2", "qwen3"}
    assert {n for n, c in configs.items() if c.attention_bias} == {"llama_biased", "qwen2"}
    assert {n for n, c in configs.items() if c.qk_norm} == {"qwen3", "qwen3_sharded"}
    assert configs["qwen3"].num_attention_heads * configs["qwen3"].head_dim == 80 != configs["qwen3"].hidden_size
    assert configs["llama_scaled"].rope_scaling is not None and configs["llama_scaled"].eos_token_ids == (2, 5)
    assert len(list(folders["qwen3_sharded"].glob("*.safetensors"))) > 3
    assert not (folders["qwen3_sharded"] / "model.safetensors").exists()


@pytest.mark.parametrize("head_dim", [64, 128])
def test_scaled_frequencies(head_dim: int) -> None:
    """Scaled frequencies are bit-identical to transformers, as in Llama 3.2 1B and Llama 3.1 8B."""
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0 if head_dim == 64 else 8.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    config = transformers.LlamaConfig(hidden_size=head_dim * 4, num_attention_heads=4, rope_parameters=rope)
    rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
    ours = ModelConfig.from_hf(config.to_dict())
    assert torch.equal(inverse_frequencies(ours), rotary.inv_freq)
    older = config.to_dict() | {"rope_theta": 500000.0, "rope_scaling": rope}  # the layout of published models
    del older["rope_parameters"]
    assert ModelConfig.from_hf(older) == ours


@pytest.mark.parametrize(
    ("model_type", "sizes", "billions"),
    [
        ("qwen3", (151936, 1024, 3072, 28, 16, 8, 128, True), (0.596, 0.44)),  # Qwen3-0.6B
        ("qwen3", (151936, 2560, 9728, 36, 32, 8, 128, True), (4.02, 3.63)),  # Qwen3-4B
        ("qwen2", (151936, 896, 4864, 24, 14, 2, None, True), (0.494, 0.358)),  # Qwen2.5-0.5B
        ("llama", (128256, 2048, 8192, 16, 32, 8, 64, True), (1.236, 0.973)),  # Llama-3.2-1B
        ("llama", (128256, 4096, 14336, 32, 32, 8, None, False), (8.03, 6.98)),  # Llama-3.1-8B
    ],
)
def test_parameter_counts(model_type: str, sizes: tuple[Any, ...], billions: tuple[float, float]) -> None:
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "tie_word_embeddings")  # fmt: skip
    config = ModelConfig.from_hf({"model_type": model_type, **dict(zip(keys, sizes, strict=True))})
    count = {name: torch.Size(shape).numel() for name, shape in config.shapes().items()}
    inner = sum(n for name, n in count.items() if ".layers." in name)
    assert (sum(count.values()) / 1e9, inner / 1e9) == pytest.approx(billions, rel=0.005)


def test_config_round_trip(folder: Path) -> None:
    config = BaseModel.load(folder).config
    assert ModelConfig.from_hf(json.loads(json.dumps(config.to_hf()))) == config


def test_seed_config_is_reproduced() -> None:
    stored = (SEED_FOLDER / "config.json").read_bytes()
    assert json.dumps(ModelConfig.from_hf(json.loads(stored)).to_hf(), indent=1).encode() == stored


QWEN = json.loads((SEED_FOLDER / "config.json").read_text()) | {"model_type": "qwen2", "sliding_window": 64}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mistral"}, "'mistral' is not supported: expected one of llama, qwen2, qwen3"),
        ({"model_type": "qwen3_moe"}, "'qwen3_moe'"),
        ({"hidden_size": None}, "hidden_size should be a whole number"),
        ({"num_key_value_heads": 3}, "4 attention heads cannot share 3"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised weights (fp8)"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type 'linear'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type 'yarn'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "rope_type 'dynamic'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "lacks low_freq_factor, high_freq_factor"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "differ from layer to layer"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
        ({"use_sliding_window": True, "max_window_layers": 2}, "sliding_window 64"),
        ({"use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]}, "sliding_window 64"),
    ],
)
def test_unsupported_configs_raise(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN | change))
    with pytest.raises(ValueError) as error:
        BaseModel.load(tmp_path)
    assert says in str(error.value) and str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [{"use_sliding_window": False}, {"use_sliding_window": True, "max_window_layers": 28},
     {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": 256}],
)  # fmt: skip
def test_ineffective_sliding_window(change: dict[str, Any]) -> None:
    assert ModelConfig.from_hf(QWEN | change).model_type == "qwen2"


def test_mismatched_weights_raise(folders: dict[str, Path], tmp_path: Path) -> None:
    whole = load_file(folders["qwen3"] / "model.safetensors")
    config = (folders["qwen3"] / "config.json").read_text()

    def attempt(change: dict[str, Tensor], without: str = "", text: str = config) -> str:
        (tmp_path / "config.json").write_text(text)
        save_file({k: v for k, v in (whole | change).items() if k != without}, tmp_path / "model.safetensors")
        with pytest.raises(ValueError) as error:
            BaseModel.load(tmp_path)
        assert "\n" not in str(error.value)
        return str(error.value)

    q = "model.layers.1.self_attn.q_proj.weight"
    assert f"{q} in model.safetensors has shape (48, 48), expected (80, 48)" in attempt({q: torch.zeros(48, 48)})
    assert "lack model.layers.1.self_attn.q_norm.weight" in attempt({}, q.replace("q_proj", "q_norm"))
    assert "lack lm_head.weight" in attempt({}, text=config.replace('embeddings": true', 'embeddings": false'))
    assert "self_attn.o_proj.bias" in attempt({q.replace("q_proj.weight", "o_proj.bias"): torch.ones(48)})
    assert "lm_head.weight differs" in attempt({"lm_head.weight": torch.ones(97, 48)})
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(10),
             "lm_head.weight": whole["model.embed_tokens.weight"].clone()}  # fmt: skip
    save_file(whole | extra, tmp_path / "model.safetensors")
    assert torch.equal(BaseModel.load(tmp_path).weights["lm_head.weight"], whole["model.embed_tokens.weight"])


def test_damaged_shards_raise(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folders["qwen3_sharded"], copy)
    index, digest = copy / "model.safetensors.index.json", weights_digest(copy)
    assert digest == weights_digest(folders["qwen3_sharded"]) != weights_digest(folders["qwen3"])
    last = max(copy.glob("*.safetensors"))
    last.write_bytes(last.read_bytes() + b" ")
    assert weights_digest(copy) != digest
    last.unlink()
    for reader in (BaseModel.load, weights_digest):
        with pytest.raises(ValueError, match=last.name):
            reader(copy)
    index.write_text(json.dumps({"weight_map": {"x": "../model.safetensors"}}))
    with pytest.raises(ValueError, match="not a file in the same folder"):
        BaseModel.load(copy)
    index.write_text("{")
    with pytest.raises(ValueError, match=r"index\.json is damaged"):
        BaseModel.load(copy)
    index.unlink()
    with pytest.raises(ValueError, match=r"neither model\.safetensors nor"):
        BaseModel.load(copy)


def test_dtype(folders: dict[str, Path], tmp_path: Path) -> None:
    half = BaseModel.load(folders["qwen2"], "bfloat16")
    assert half.dtype == torch.bfloat16 == half.weights["model.layers.0.self_attn.q_proj.bias"].dtype
    copy = tmp_path / "copy"
    shutil.copytree(folders["qwen2"], copy)
    save_file(half.weights, copy / "model.safetensors")
    config = json.loads((copy / "config.json").read_text()) | {"dtype": "bfloat16"}
    (copy / "config.json").write_text(json.dumps(config))
    assert BaseModel.load(copy).dtype == torch.float32  # on the CPU
    assert torch.equal(BaseModel.load(copy).linear(0, "q_proj").bfloat16(), half.linear(0, "q_proj"))
    with pytest.raises(ValueError, match="dtype 'int8' is not supported"):
        BaseModel.load(copy, "int8")


# -- adapters ------------------------------------------------------------------------------------------------------


def noisy(layout: AdapterLayout) -> Tensor:
    noise = torch.randn(layout.size, generator=torch.Generator().manual_seed(3))
    return layout.fresh("a") + 0.1 * noise


def merged(base: BaseModel, layout: AdapterLayout, row: Tensor) -> BaseModel:
    """The base model with one adapter merged into its matrices."""
    leaves, weights = layout.leaves(row[None]), dict(base.weights)
    for layer in range(base.config.num_hidden_layers):
        for p in PROJECTIONS:
            name = next(n for n in weights if n.startswith(f"model.layers.{layer}.") and n.endswith(f"{p}.weight"))
            weights[name] = weights[name] + layout.scale * leaves[layer, p, "B"][0] @ leaves[layer, p, "A"][0]
    return BaseModel(base.config, weights)


def in_peft(folder: Path, adapter: Path) -> Any:
    peft = pytest.importorskip("peft")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return peft.PeftModel.from_pretrained(model, adapter)


def test_saved_adapter_in_peft(folder: Path, tmp_path: Path) -> None:
    """PEFT with a saved adapter gives the logits of the merged weights."""
    base = BaseModel.load(folder)
    layout = AdapterLayout(base.config, rank=4, alpha=8.0)
    row = noisy(layout)
    layout.save_peft(row, tmp_path / "a", str(folder))
    assert torch.equal(layout.load_peft(tmp_path / "a"), row)
    bare = reference_logits(base, ROWS[0])
    for ids, other in zip(ROWS, theirs(folder, ROWS, in_peft(folder, tmp_path / "a")), strict=True):
        ours = reference_logits(merged(base, layout, row), ids)
        assert torch.allclose(ours, other, atol=1e-4), (ours - other).abs().max()
    assert not torch.allclose(bare, reference_logits(merged(base, layout, row), ROWS[0]), atol=0.1)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], list(PROJECTIONS)])
def test_adapter_from_peft(targets: list[str], folders: dict[str, Path], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    base = BaseModel.load(folders["qwen3"])
    model = transformers.AutoModelForCausalLM.from_pretrained(folders["qwen3"], dtype=torch.float32)
    made = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    made.save_pretrained(tmp_path)
    layout = AdapterLayout(base.config, rank=4, alpha=8.0)
    row = layout.load_peft(tmp_path)
    for ids, other in zip(ROWS, theirs(folders["qwen3"], ROWS, made), strict=True):
        assert torch.allclose(reference_logits(merged(base, layout, row), ids), other, atol=1e-4)
    untouched = layout.leaves(row[None])[0, "gate_proj", "A"]
    assert untouched.any()  # trainable: with both A and B zero there would be no gradient


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"r": 8}, "r is 8, expected 4"),
        ({"lora_alpha": 16}, "lora_alpha is 16, expected 8"),
        ({"use_dora": True}, "use_dora is True"),
        ({"use_rslora": True}, "use_rslora is True"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": ["q_proj", "gate_proj"]}, "lacks base_model.model.model.layers.0.mlp.gate_proj.lora_A"),
    ],
)
def test_unsupported_adapters_raise(
    change: dict[str, Any], says: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    layout = AdapterLayout(BaseModel.load(folders["qwen2"]).config, rank=4, alpha=8.0)
    layout.save_peft(noisy(layout), tmp_path, "x")
    if "target_modules" in change:
        tensors = load_file(tmp_path / "adapter_model.safetensors")
        save_file({k: v for k, v in tensors.items() if "q_proj" in k}, tmp_path / "adapter_model.safetensors")
    config = json.loads((tmp_path / "adapter_config.json").read_text()) | change
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError) as error:
        layout.load_peft(tmp_path)
    assert says in str(error.value) and str(tmp_path) in str(error.value)


def test_adapter_of_other_model_raises(folders: dict[str, Path], tmp_path: Path) -> None:
    layouts = [AdapterLayout(BaseModel.load(folders[n]).config, rank=4, alpha=8.0) for n in ("qwen2", "qwen3")]
    layouts[0].save_peft(noisy(layouts[0]), tmp_path, "x")
    with pytest.raises(ValueError, match=r"o_proj\.lora_A\.weight should have shape \(4, 80\)|q_proj\.lora_B"):
        layouts[1].load_peft(tmp_path)
