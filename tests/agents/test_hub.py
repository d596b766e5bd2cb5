"""Models by folder or by name, with a real Hugging Face cache written by the tests and without network access."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.hub import find_model, whole
from arena.config.shipped import ROOT, SEED_FOLDER

NAME = "someone/small-model"


def fill(cache: Path, files: list[str]) -> Path:
    """Write a snapshot of a model in the layout of huggingface_hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    for file in files:
        shutil.copy(SEED_FOLDER / file, snapshot / file)
    return snapshot


def offline(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new process, because the path of the cache and offline mode are read at start-up."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)


def test_folder_is_used_as_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(SEED_FOLDER) == SEED_FOLDER and whole(SEED_FOLDER)
    monkeypatch.chdir(ROOT)
    assert find_model("agents/seed") == Path("agents/seed")  # has the form of a name, but exists as a folder
    for path in ("/nowhere/model", "./some/where/model", "~/model", "model"):
        assert find_model(path) == Path(path)
    assert not whole(tmp_path)


@pytest.mark.slow
def test_name_in_cache(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    snapshot = fill(tmp_path, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
    code = (
        "from arena.config.schema import make_config\n"
        "from arena.run.state import base_digest, load_base, make_domains, model_folder\n"
        f"config = make_config({{'model': {{'path': {NAME!r}}}}})\n"
        "base, tokenizer = load_base(config)\n"
        "print(model_folder(config), base.config.hidden_size, base_digest(config) == base_digest(make_config({})))"
    )
    done = offline(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(snapshot), "128", "True"]


@pytest.mark.parametrize("files", [None, ["config.json"]])
@pytest.mark.slow
def test_unavailable_model_raises(tmp_path: Path, files: list[str] | None) -> None:
    """The one-line error says how to fetch the model."""
    pytest.importorskip("huggingface_hub")
    if files:
        fill(tmp_path, files)  # only the config was downloaded before
    done = offline(
        "import sys, run_arena\n"
        f"sys.argv = ['run_arena', 'run', 'configs/tiny.yaml', 'model.path={NAME}', 'run.folder={tmp_path}/runs']\n"
        "run_arena.main()",
        tmp_path,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"no folder {NAME}" in done.stderr and f"hf download {NAME}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_missing_package_raises(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from agents.checkpoint import BaseModel\n"
        "try: BaseModel.load('Qwen/Qwen3-0.6B')\n"
        "except ValueError as error: print(error)"
    )
    done = offline(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "pip install huggingface_hub, then: hf download Qwen/Qwen3-0.6B" in done.stdout


ALONE = """
import sys
ALLOWED = {'torch', 'numpy', 'safetensors', 'tokenizers', 'agents'} | sys.stdlib_module_names
# what torch itself needs
ALLOWED |= {'torchgen', 'typing_extensions', 'sympy', 'mpmath', 'networkx', 'jinja2', 'markupsafe', 'fsspec',
            'filelock', 'setuptools', '_distutils_hack', 'triton'}

class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] not in ALLOWED:
            raise ModuleNotFoundError(f'{name} is blocked', name=name)

sys.meta_path.insert(0, Only())
for name in [n for n in sys.modules if n.partition('.')[0] not in ALLOWED]:
    del sys.modules[name]
import agents.peft_folder
from agents.adapters import Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer

base, tokenizer = BaseModel.load('agents/seed'), Tokenizer('agents/seed')
learner = Learner(base, tokenizer, LearnerConfig(rank=2, alpha=4))
learner.add('a', learner.layout.fresh('a'))
learner.sleep([Example('a', 'solve rev | 3 1 think', 'rev 1 3 answer 1 3')], 's')
engine = TorchEngine(base, tokenizer, 8)
engine.set_adapters(learner.acting())
print(engine.generate([Request('k', 'solve rev inc | 3 1 4 think', 'a', 40, 0.0)])[0].text)
"""


@pytest.mark.slow
def test_minimal_dependencies(tmp_path: Path) -> None:
    """Large models run in an environment with only torch, numpy, safetensors and tokenizers."""
    done = offline(ALONE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
