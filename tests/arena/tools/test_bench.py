"""The benchmark: small real runs of our side, the order of turns, the counts of the limit, the record, and the
peers."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from rich.console import Console

from agents.checkpoint import BaseModel
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER
from arena.tools.bench import ours, plans, report, roofline, roofline_ours, synthetic_run, watch, workload
from arena.tools.bench.plot import draw_scaling
from arena.tools.bench.run import bench
from arena.tools.bench.timing import Sample, Side, Spread, Work, interleave, paired

TINY = workload.Size(16, 3, 2, 6, 3, 1, 2, 2, (1, 2))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> plans.Options:
    monkeypatch.setattr(plans, "QUICK", TINY)
    return plans.Options(repeats=2, agents=(2,), quick=True)


def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def printed(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def test_sides_take_turns_after_warm_up() -> None:
    order: list[tuple[str, int]] = []

    def side(name: str) -> Side:
        def run(turn: int) -> Work:
            order.append((name, turn))
            return Work(10 + turn)

        return Side(name, run)

    heard: list[tuple[str, int]] = []
    found = interleave([side("a"), side("b"), side("c")], 2, lambda name, turn, _: heard.append((name, turn)))
    assert order == heard == [(name, turn) for turn in range(3) for name in "abc"]
    assert {name: [s.tokens for s in samples] for name, samples in found.items()} == {n: [11, 12] for n in "abc"}


def test_duplicate_side_names_are_refused() -> None:
    with pytest.raises(ValueError, match="two sides have the same name: a, a"):
        interleave([Side("a", lambda _: Work(1)), Side("a", lambda _: Work(1))], 1)


def test_processor_time_counts_work_only() -> None:
    """Waiting does not count; a subprocess reports its own time."""

    def work(_: int) -> Work:
        sum(i * i for i in range(200_000))
        return Work(1)

    def wait(_: int) -> Work:
        time.sleep(0.2)
        return Work(1)

    child = Side("child", lambda _: Work(7, child_cpu=5.0, child_wall=4.0))
    found = interleave([Side("work", work), Side("wait", wait), child], 1)
    assert found["work"][0].cpu > 0.002
    assert found["wait"][0].cpu < 0.1 < 0.19 < found["wait"][0].wall
    assert 5.0 <= found["child"][0].cpu < 5.1 and found["child"][0].wall == 4.0


def test_ratios_are_taken_within_turns() -> None:
    """A machine that slows down threefold in the second turn does not change it."""
    assert paired([30.0, 10.0, 20.0], [15.0, 5.0, 10.0]) == Spread(2.0, 2.0, 2.0)


def test_prompt_lengths_and_adapter_shares(tokenizer: Tokenizer) -> None:
    prompts = workload.fixed_prompts(40, 1)
    assert {len(ids) for ids in tokenizer.encode(prompts)} == {64}
    assert prompts == workload.fixed_prompts(40, 1) != workload.fixed_prompts(40, 2)
    assert tokenizer.encode(["<unk>"])[0][0] not in {i for ids in tokenizer.encode(prompts) for i in ids}
    chosen = workload.ragged(256, workload.names(32))
    counts = Counter(chosen)
    assert len(counts) == 32 and sum(counts.values()) == 256 and min(counts.values()) >= 1
    assert 15 <= max(counts.values()) <= 40 and chosen != sorted(chosen, key=str)
    with pytest.raises(ValueError, match="3 prompts do not reach 4 adapters"):
        workload.ragged(3, workload.names(4))


def test_alike_agents_do_the_same_work() -> None:
    four = ours.Generations(SEED_FOLDER, workload.names(4), TINY, alike=2).run(0)
    two = ours.Generations(SEED_FOLDER, workload.names(2), TINY, alike=2).run(0)
    assert four.prompt_tokens == 2 * two.prompt_tokens and four.tokens == 2 * two.tokens


def test_recorder_counts_products_of_weights() -> None:
    with roofline.Recorder() as recorder:
        up, down, embedding = torch.randn(12, 8), torch.randn(8, 12), torch.randn(5, 8)
        recorder.weights([up, down], embedding)
        merged = up + 0.5 * torch.mm(torch.zeros(12, 3), torch.zeros(3, 8))  # made of weights and constants alone
        recorder.start()
        x = F.embedding(torch.tensor([0, 1, 2, 3]), embedding)
        y = F.linear(F.linear(x, merged), down)
        scores = torch.mm(y, x.t())  # attention
        scores.softmax(-1).mm(y)
    assert recorder.flops == 2 * 4 * 8 * 12 * 2
    assert recorder.left_out == 2 * 4 * 4 * 8 * 2
    assert len(recorder.products) == 2
    roofline.Replay(recorder.products).run()


def test_recorder_counts_backward_products(base: BaseModel) -> None:
    """Forward, gradient of the input, gradient of the weight: three products of one size."""
    with roofline.Recorder() as recorder:
        weight, embedding = torch.randn(6, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
        recorder.weights([weight], embedding)
        x = F.embedding(torch.arange(5), embedding)
        F.linear(x, weight).square().sum().backward()
    assert recorder.flops == 3 * 2 * 5 * 8 * 6
    assert recorder.left_out == 0


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_recorder_finds_every_projection(names: list[str]) -> None:
    """At least what the tokens need; more only for padding and merging."""
    batch = workload.Batch(workload.fixed_prompts(8, 0), [names[i % len(names)] if names else None for i in range(8)])
    with roofline.Recorder() as recorder:
        engine = ours.Generate(SEED_FOLDER, names)
        recorder.weights(*roofline_ours.weights_of(engine.base, [engine.adapters.flat] if names else []))
        engine.run(batch, 0)
        recorder.start()
        work = engine.run(batch, 1)
    needed = roofline_ours.generation_flops(engine.layout, work, len(batch.prompts))
    assert 0.97 * needed <= recorder.flops <= 1.6 * needed
    assert recorder.left_out < 0.2 * needed


def test_unknown_products_are_an_error() -> None:
    """Products are counted as torch counts them; one that cannot be replayed is an error, not left out."""
    aten, a, b = torch.ops.aten, torch.zeros(2, 3), torch.zeros(3, 4)
    assert roofline.product_flops(aten.mm.default, (a, b), {}, a @ b) == 2 * 2 * 3 * 4
    assert roofline.product_flops(aten.rms_norm.default, (a, [3]), {}, a) is None
    for unknown in (aten.addmm_.default, aten._scaled_mm.default, aten.mv.default):
        with pytest.raises(ValueError, match=f"cannot replay the operation '{unknown.overloadpacket.__name__}'"):
            roofline.product_flops(unknown, (a, b), {}, a)


@pytest.mark.slow
def test_our_side_of_every_part_is_measured(
    tiny: plans.Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "installed", lambda name: False)
    monkeypatch.chdir(tmp_path)
    to = console()
    found = bench([], tiny, to, tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text()) == json.loads(json.dumps(found))
    assert (tmp_path / "bench.png").stat().st_size > 5000
    assert found["format"] == "ratchet-bench/1" and found["threads"] == 1 and found["repeats"] == 2
    assert {"processor", "cores", "system"} <= set(found["machine"]) and found["versions"]["torch"] is not None
    assert [c["part"] for c in found["cases"]] == ["generate", "generate", "learn", "generation", "scaling"]
    for case in found["cases"]:
        for side in case["sides"]:
            assert len(side["samples"]) == 2 and side["tokens"] > 0
            rate = side["tokens_per_cpu_second"]
            assert 0 < rate["low"] <= rate["median"] <= rate["high"]
            assert {"tokens", "prompt_tokens", "cpu", "wall"} == set(side["samples"][0])
    names = [[s["name"] for s in c["sides"]] for c in found["cases"]]
    assert names[:4] == [["ratchet", "matrix limit"]] * 3 + [["ratchet"]]
    assert [row["agents"] for row in found["cases"][4]["scaling"]] == [1, 2]
    assert "pip install '.[bench-peers]'" in printed(to) and "not measured" in printed(to)
    assert 0 < found["cases"][1]["ratios"]["matrix limit"]["median"] < 1.2


@pytest.mark.slow
def test_every_screen_is_measured(tmp_path: Path) -> None:
    said: list[str] = []
    folder = synthetic_run.fill(tmp_path, synthetic_run.Scale(generations=3, problems=40))
    found = asyncio.run(watch.screens(folder, 1, said.append))
    names = [row["screen"] for row in found]
    assert len(set(names)) == len(names) == len(said) - 1 and {"rounds", "a round", "agent", "a post"} <= set(names)
    assert all(0 <= row["median_ms"] <= row["max_ms"] and len(row["turns"]) == 1 for row in found)
    assert sum(row["median_ms"] for row in found) > 0


@pytest.mark.slow
def test_run_is_measured_alone_and_watched(tmp_path: Path) -> None:
    said: list[str] = []
    found = watch.runs("configs/tiny.yaml", 2, 1, tmp_path, said.append)
    [turn] = found["turns"]
    assert len(turn["alone"]["seconds"]) == len(turn["watched"]["seconds"]) == 2
    assert turn["alone"]["watcher_cpu"] == 0 < turn["watched"]["watcher_cpu"] and turn["alone"]["run_cpu"] > 0
    assert found["ratio"]["low"] <= found["ratio"]["median"] <= found["ratio"]["high"]
    assert found["met"] is (found["ratio"]["median"] <= watch.MOST)
    assert any("target: watched over alone" in line for line in said) and not list(tmp_path.iterdir())


def test_missed_target_is_reported() -> None:
    case = plans.Case("learn", "t", 1, [], [plans.Target(("peer", "other"), 2.5)])
    fast, slow = Sample(100, 0, 1.0, 1.0), Sample(50, 0, 1.0, 1.0)
    record = report.summarise(case, {"ratchet": [fast], "peer": [slow], "other": [Sample(10, 0, 1.0, 1.0)]})
    (target,) = record["targets"]
    assert target["met"] is False and target["best"] == "peer" and target["ratio"]["median"] == 2.0
    to = console()
    report.print_case(to, record)
    assert "MISSED (the best was peer)" in printed(to)


def test_different_work_has_no_target() -> None:
    case = plans.Case("generate", "t", 1, [], [plans.Target(("peer",), 2.0)], asked=100)
    record = report.summarise(case, {"ratchet": [Sample(60, 0, 1.0, 1.0)], "peer": [Sample(100, 0, 1.0, 1.0)]})
    assert record["targets"][0]["met"] is None
    assert record["notes"] == ["ratchet generated 60 of 100 tokens asked: its rate does not compare"]


def test_scaling_target_is_relative_to_four(tmp_path: Path) -> None:
    case = plans.Case("scaling", "t", 1, [], agents=[4, 64])
    record = report.summarise(case, {"4": [Sample(9, 0, 4.0, 4.0)] * 2, "64": [Sample(9, 0, 48.0, 48.0)] * 2})
    assert [row["relative"]["median"] for row in record["scaling"]] == [1.0, 0.75]
    assert record["targets"][0]["met"] is True
    draw_scaling(record, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 5000


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="unknown part 'learning'; did you mean 'learn'"):
        plans.check(["learning"], plans.Options())
    with pytest.raises(ValueError, match="got 0 and 1"):
        plans.check([], plans.Options(repeats=0))
    with pytest.raises(ValueError, match="at least 1, such as 8,32"):
        plans.check([], plans.Options(agents=(0,)))
    assert plans.check(["scaling", "learn"], plans.Options()) == ("learn", "scaling")


@pytest.mark.slow
def test_failing_peer_is_left_out(tiny: plans.Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter without vllm stands for one with a broken install."""
    if plans.installed("vllm"):
        pytest.skip("vllm is installed for this interpreter")
    monkeypatch.setattr(plans, "installed", lambda name: False)
    options = plans.Options(1, 1, (2,), True, Path(sys.executable))
    case = bench(["generate"], options, console())["cases"][0]
    assert "vllm" not in [s["name"] for s in case["sides"]]
    assert "did not start" in case["left_out"]["vllm"] and "No module named 'vllm'" in case["left_out"]["vllm"]


@pytest.mark.slow
def test_transformers_and_peft_do_the_same_work(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    pytest.importorskip("transformers")
    from arena.tools.bench import hf_peers

    names = workload.names(3)
    folders = plans.adapter_folders(SEED_FOLDER, names, tmp_path)
    batch = workload.Batch(workload.fixed_prompts(6, 0), [None, *names, *names[:2]])
    assert hf_peers.Generate(SEED_FOLDER, folders).run(batch) == Work(6 * 48, 6 * 64)
    examples = workload.learn_examples(names, 6)
    peer = hf_peers.Learn(SEED_FOLDER, folders, examples, 3)
    before = {n: [p.detach().clone() for p in ps] for n, ps in peer.parameters.items()}
    assert peer.run().tokens == ours.Learn(SEED_FOLDER, names, examples, 3).run(0).tokens
    for name in names:
        assert len(before[name]) == 2 * 7 * 4
        assert all(not torch.equal(a, b) for a, b in zip(before[name], peer.parameters[name], strict=True))
    assert hf_peers.Generations(SEED_FOLDER, folders).run(0, TINY).tokens > 100


def test_trl_takes_one_step_a_turn() -> None:
    pytest.importorskip("trl")
    pytest.importorskip("peft")
    from arena.tools.bench import trl_peer

    peer = trl_peer.Generations(SEED_FOLDER, workload.names(1), TINY, turns=2)
    try:
        for turn in range(2):
            work = peer.run(turn)
            assert peer.agents[0].trainer.state.global_step == turn + 1
            wanted = workload.generation("agent00", turn, TINY)
            texts = [p for p in (*wanted.propose, *wanted.solve) for _ in range(TINY.attempts)]
            assert work.prompt_tokens == sum(len(t.split()) for t in texts) and work.tokens > work.prompt_tokens
    finally:
        peer.close()
