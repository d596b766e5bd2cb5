"""From a model's name to its folder: the one file that knows the Hugging Face hub.

A folder is taken as it is. A name such as Qwen/Qwen3-0.6B is looked up in the local Hugging Face cache and downloaded
if it is not there; both need the optional huggingface_hub package. Left out: choosing a revision (a run records the
digest of the weights it was played with, so another revision is noticed).
"""

from __future__ import annotations

import re
from pathlib import Path

from agents.json_file import read_object

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
    """The folder of a model given by folder or Hugging Face name. Raises ValueError in one line, saying how to fetch
    it, if it is neither here nor to be had."""
    if Path(name).is_dir() or not NAME.fullmatch(str(name)):
        return Path(name)  # a folder that is missing is named by who reads it
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
    except Exception as error:  # offline, no such model, no right to it: the hub's errors and its HTTP library's
        reason = str(error).strip().partition("\n")[0][:160] or type(error).__name__
        raise ValueError(f"{_absent(name, '')} ({reason})") from None
    if not whole(found):  # without a connection, the hub gives what part of it there is
        raise ValueError(f"{_absent(name, '')} ({found} lacks config.json, tokenizer.json or safetensors)")
    return found


def whole(folder: Path) -> bool:
    """Whether everything a model is read from lies in the folder."""
    if not all((folder / file).is_file() for file in ("config.json", "tokenizer.json")):
        return False
    try:
        return all(file.is_file() for file in weight_files(folder))
    except ValueError:
        return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights: model.safetensors, or the shards its index names.

    Raises ValueError, naming the file, if there is neither or the index is damaged.
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
            raise ValueError(f"{index.name} names {str(name)[:100]!r}, not a file beside it")
    return [folder / name for name in names]


def _absent(name: str | Path, first: str) -> str:
    return (
        f"no folder {name}, and no whole model of that name in the Hugging Face cache; "
        f"fetch it with: {first}hf download {name}"
    )
