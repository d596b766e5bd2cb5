"""What a config can name: built-in choices by name, and a user's own by import path.

A value such as `mypackage.mydomain:MyDomain` names an attribute of a module that Python can import. It is imported when
the config is read, so resumed runs and experiment cells import it too. Built-in engines and sinks are listed here with
the place of their code, which is imported only when it is used.

Not guaranteed: that the code of an import path is safe. Importing a module runs it, so read the config of a run folder
before you open the folder, if somebody else made it (docs/security.md). An import path must lead to an object of the
type that the key needs; no other object is called.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.engine_spec import EngineSpec
from culture.kinds import POST_KINDS, PostKind, add_kind
from curricula.domain import Domain, Named
from curricula.learnability import RULES, PaymentRule

SINKS: dict[str, str] = {
    "tensorboard": "arena.watch.sinks.tensorboard:TensorBoard",
}
"""Built-in sinks: name and import path of the class (docs/sinks.md)."""

ENGINES: dict[str, EngineSpec] = {
    spec.name: spec
    for spec in (
        EngineSpec("torch", "arena.run.engines:open_torch", trains=True, in_process=True),
        EngineSpec(
            "vllm",
            "arena.run.engines:open_vllm",
            trains=True,
            structured=True,
            section="vllm",
            version="agents.engine_vllm:installed",
        ),
        EngineSpec("openai", "arena.run.engines:open_openai", has_weights=False, structured=True, section="openai"),
    )
}
"""Built-in engines by `engine.kind`."""

WRITTEN: dict[str, PostKind] = {name: kind for name, kind in POST_KINDS.items() if kind.written}
"""Built-in kinds of posts that agents write by themselves."""

SINK_METHODS = ("scalars", "text", "close")


def find_engine(text: str) -> EngineSpec:
    """The engine that `engine.kind` names. Raises ValueError if there is none."""
    found: EngineSpec = _find(text, ENGINES, "engine", _instance(EngineSpec))
    return found


def find_rule(text: str) -> PaymentRule:
    """The payment rule that `rewards.setter` names. Raises ValueError if there is none."""
    found: PaymentRule = _find(text, RULES, "payment rule", _instance(PaymentRule))
    return found


def find_kind(text: str) -> PostKind:
    """The kind of post that `library.kinds` names; a user's own is added to `POST_KINDS`. Raises ValueError if there is
    none."""
    found: PostKind = _find(text, WRITTEN, "kind of post", _instance(PostKind))
    if is_path(text):
        add_kind(found)
    return found


def find_sink(text: str) -> type[Any]:
    """The class of a sink. Raises ValueError if there is none, or if it needs a package that is not installed."""
    found: type[Any] = load(SINKS[text]) if text in SINKS else _find(text, SINKS, "sink", _class_with(SINK_METHODS))
    return found


def check_sink(text: str) -> None:
    """Raise ValueError if a sink is not there. The code of built-in sinks is not imported."""
    if text not in SINKS:
        _find(text, SINKS, "sink", _class_with(SINK_METHODS))


def find_domain(text: str) -> type[Domain]:
    """The class of a domain that is named by import path. Raises ValueError if there is none, or it has no name."""
    found: type[Domain] = _load_path(text, "domain", {}, _domain_class)
    return found


def domain_class(text: str) -> Any:
    """The class of a domain, built in or named by import path; None if a name is unknown."""
    from curricula.registry import DOMAINS  # imports every built-in domain

    return find_domain(text) if is_path(text) else DOMAINS.get(text)


def is_named(text: str) -> bool:
    """Whether a domain has hidden names (`curricula.domain.Named`)."""
    return isinstance(domain_class(text), Named)


def make_domain(text: str, **options: Any) -> Domain:
    """Build the domain that a name or import path names. Raises ValueError for an unknown name or option."""
    from curricula import registry

    if not is_path(text):
        return registry.make_domain(text, **options)
    return registry.build(text, find_domain(text), options)


def is_path(text: str) -> bool:
    """Whether a text is an import path and not a name."""
    return ":" in text


def load(path: str) -> Any:
    """The attribute that the import path `module:attribute` names; errors are Python's own."""
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def nearest(word: str, choices: Sequence[str]) -> str:
    """`; did you mean X?` if something is near, else empty."""
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


Check = Callable[[Any], str]
"""What is wrong with an object that an import path led to; empty if nothing is."""


def _find(text: str, known: Mapping[str, Any], what: str, check: Check) -> Any:
    if text in known:
        return known[text]
    if is_path(text):
        return _load_path(text, what, known, check)
    near = nearest(text, list(known)) or f"; expected one of {', '.join(known)}"
    raise ValueError(f"unknown {what} {text!r}{near}, or an import path such as 'mypackage.mymodule:MyName'")


def _load_path(text: str, what: str, known: Mapping[str, Any], check: Check) -> Any:
    """The object that an import path names. Raises ValueError that quotes the path and says which part of it failed."""
    module, _, name = text.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        near = nearest(text, list(known))
        raise ValueError(f"{what} {text!r} is not an import path of the form 'package.module:Name'{near}")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}.")
        if missing:
            hint = nearest(module, [path.partition(":")[0] for path in known if is_path(path)])
            raise ValueError(
                f"{what} {text!r}: module {error.name!r} is not found{hint}; install it, or add its folder to "  # type: ignore[attr-defined]
                "PYTHONPATH"
            ) from None
        raise ValueError(f"{what} {text!r}: importing {module!r} failed: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            near = nearest(part, [n for n in vars(found) if not n.startswith("_")])
            raise ValueError(f"{what} {text!r}: {module!r} has no attribute {part!r}{near}")
        found = getattr(found, part)
    if wrong := check(found):
        raise ValueError(f"{what} {text!r}: {wrong}")
    return found


def _instance(kind: type[Any]) -> Check:
    def check(found: Any) -> str:
        if isinstance(found, kind):
            return ""
        return f"expected an object of type {kind.__module__}.{kind.__name__}, found {_kind_of(found)}"

    return check


def _class_with(methods: Sequence[str]) -> Check:
    def check(found: Any) -> str:
        if not isinstance(found, type):
            return f"expected a class with the methods {', '.join(methods)}, found {_kind_of(found)}"
        missing = [m for m in methods if not callable(getattr(found, m, None))]
        return f"class {found.__name__} lacks {', '.join(missing)}" if missing else ""

    return check


def _domain_class(found: Any) -> str:
    methods = [n for n, value in vars(Domain).items() if callable(value) and not n.startswith("_")]
    if wrong := _class_with(methods)(found):
        return wrong
    name = getattr(found, "name", None)
    return "" if isinstance(name, str) and name.isidentifier() else "its class attribute `name` must be a plain word"


def _kind_of(found: Any) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
