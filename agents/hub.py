"""Find the folder of a model. Only this module uses the Hugging Face hub.

A model of agents/named_models.py is looked up in the cache of converted models and never downloaded here; a folder of
the same name is given as ./NAME. A GGUF file is converted once. A folder is used as it is. A name such as
Qwen/Qwen3-0.6B is looked up in the local Hugging Face cache, and downloaded if it is missing; both require the optional
package huggingface_hub. Left out: choosing a revision (a run records the digest of its base weights, so a different
revision is detected).
"""

from __future__ import annotations

import re
from pathlib import Path

from agents.json_file import read_object
from agents.model_cache import convert_cached
from agents.named_models import MODELS, named_folder

FILES = [
    "config.json",
    "generation_config.json",
    "*token*.json",
    "chat_template.json",
    "*.jinja",
    "*.safetensors",
    "*.safetensors.index.json",
]
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_model(name: str | Path) -> Path:
    """The folder of a model.

    Args:
        name: a folder, which need not exist, a GGUF file, the name of a named model, or a Hugging Face name.

    Raises:
        ValueError: the model is neither in the cache nor available for download, or the GGUF file is damaged or not
            supported; the message says what is wrong, or how to fetch the model.
        OSError: the GGUF file cannot be read or converted.
    """
    if str(name) in MODELS:
        return named_folder(str(name))
    if Path(name).suffix.lower() == ".gguf" and not Path(name).is_dir():
        return convert_cached(Path(name))
    return _hub_folder(name)


def _hub_folder(name: str | Path) -> Path:
    if Path(name).is_dir() or not NAME.fullmatch(str(name)):
        return Path(name)  # if the folder is missing, reading it raises an error with its name
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(_absent(name, "pip install huggingface_hub, then: ")) from None
    try:
        found = Path(snapshot_download(str(name), local_files_only=True))
        if whole(found):
            return found
    except (OSError, ValueError):
        pass  # not in the cache
    try:
        found = Path(snapshot_download(str(name), allow_patterns=FILES))
    except Exception as error:  # errors of the hub and its HTTP library: offline, no such model, no access
        reason = str(error).strip().partition("\n")[0][:160] or type(error).__name__
        raise ValueError(f"{_absent(name, '')} ({reason})") from None
    if not whole(found):  # offline, the hub returns an incomplete folder
        raise ValueError(f"{_absent(name, '')} ({found} lacks config.json, tokenizer.json or safetensors)")
    return found


def whole(folder: Path) -> bool:
    """Whether a folder contains all files that a model needs."""
    if not all((folder / file).is_file() for file in ("config.json", "tokenizer.json")):
        return False
    try:
        return all(file.is_file() for file in weight_files(folder))
    except ValueError:
        return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files with the weights: model.safetensors, or the shards in its index.

    Raises:
        ValueError: there is neither, or the index is damaged; the message names the file.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise ValueError(f"there is neither {single.name} nor {index.name}")
    try:
        names = sorted(set(read_object(index)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index.name} is damaged: {repr(error)[:200]}") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or "\0" in name or len(name) > 255:
            raise ValueError(f"{index.name} names {str(name)[:100]!r}, which is not a file in the same folder")
    return [folder / name for name in names]


def _absent(name: str | Path, first: str) -> str:
    return (
        f"no folder {name}, and no complete model of that name in the Hugging Face cache; "
        f"fetch it with: {first}hf download {name}"
    )
