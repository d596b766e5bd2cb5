"""Rules of the source: imports point one way, nothing stored depends on hidden state, files and names are short.

Reads the source with `ast`: names that are built from strings at run time are not found.
"""

import ast
from collections.abc import Iterator

import networkx
import pytest

from arena.config.shipped import ROOT

WINGS = ("agents", "curricula", "culture")
FOLDERS = (*WINGS, "arena")
SOURCES = sorted(p for f in FOLDERS for p in (ROOT / f).rglob("*.py")) + [
    p for p in sorted(ROOT.glob("*.py")) if p.name != "conftest.py"
]
TREES = {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in SOURCES}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, in functions too, and by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}: write the full name"
            yield node.module or ""
        elif isinstance(node, ast.Call) and called(node) in ("__import__", "importlib.import_module", "import_module"):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def called(node: ast.Call) -> str:
    """The dotted name of what is called, or an empty string."""
    parts, at = [], node.func
    while isinstance(at, ast.Attribute):
        parts.append(at.attr)
        at = at.value
    return ".".join([at.id, *reversed(parts)]) if isinstance(at, ast.Name) else ""


def calls(names: set[str], folders: tuple[str, ...] = FOLDERS) -> list[str]:
    return [
        f"{path}:{node.lineno} {called(node)}"
        for path, tree in TREES.items()
        if path.startswith(tuple(f"{f}/" for f in folders)) or (path.count("/") == 0 and folders == FOLDERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) in names
    ]


def test_folders_are_there():
    assert all(any(path.startswith(f"{f}/") for path in TREES) for f in FOLDERS)


@pytest.mark.parametrize("wing", WINGS)
def test_wings_import_only_themselves(wing: str):
    others = {*WINGS, "arena", "run_arena", "tests"} - {wing}
    found = [
        f"{path} imports {module}"
        for path, tree in TREES.items()
        if path.startswith(f"{wing}/")
        for module in imports(tree)
        if module.split(".")[0] in others
    ]
    assert not found


LAYERS = {
    "config": set(),
    "text": set(),
    "rounds": {"config", "text"},
    "run": {"rounds", "config", "text"},
    "library": {"run", "rounds", "config", "text"},
    "phases": {"library", "run", "rounds", "config", "text"},
    "loop": {"phases", "library", "run", "rounds", "config", "text"},
    "report": {"phases", "library", "run", "rounds", "config", "text"},
    "export": {"report", "loop", "phases", "library", "run", "rounds", "config", "text"},
    "evals": {"report", "loop", "phases", "library", "run", "rounds", "config", "text"},
    "experiments": {"report", "loop", "phases", "library", "run", "rounds", "config", "text"},
    "watch": {"report", "loop", "phases", "library", "run", "rounds", "config", "text"},
    "islands": {"watch", "report", "loop", "phases", "library", "run", "rounds", "config", "text"},
}
"""What each package of arena/ may import of the others. tools/ and cli/ stand above and may import all of them."""
TOP = ("tools", "cli")


def unit(module: str) -> str:
    """The package or module at the root of arena/ that a dotted name is in; empty outside arena/."""
    parts = module.split(".")
    return parts[1] if parts[0] == "arena" and len(parts) > 1 else ""


def modules() -> dict[str, ast.Module]:
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): tree for path, tree in TREES.items()}


def test_arena_has_at_most_fifteen_entries():
    entries = {path.split("/")[1] for path in TREES if path.startswith("arena/")} - {"__init__.py"}
    assert {e.removesuffix(".py") for e in entries} <= {*LAYERS, *TOP} and len(entries) <= 15, sorted(entries)


def test_each_package_imports_lower_layers_only():
    found = []
    for path, tree in TREES.items():
        here = unit(path.removesuffix(".py").replace("/", "."))
        allowed = LAYERS.get(here, {*LAYERS, "tools"}) | {here, ""}
        found += [f"{path} imports {m}" for m in imports(tree) if path.startswith("arena/") and unit(m) not in allowed]
    assert not found


def test_no_import_cycle():
    """Imports inside functions and under TYPE_CHECKING count too."""
    trees = modules()
    graph = networkx.DiGraph()
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                graph.add_edges_from((name, alias.name) for alias in node.names if alias.name in trees)
            elif isinstance(node, ast.ImportFrom) and node.module:
                full = [f"{node.module}.{alias.name}" for alias in node.names]
                graph.add_edges_from((name, m if m in trees else node.module) for m in full)
    graph.remove_edges_from(list(networkx.selfloop_edges(graph)))
    circles = [sorted(c) for c in networkx.strongly_connected_components(graph.subgraph(trees)) if len(c) > 1]
    assert graph.number_of_edges() > 500 and not circles


def test_no_file_is_longer_than_500_lines():
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    assert not [f"{p.relative_to(ROOT)} {n}" for p in files if (n := p.read_text(encoding="utf-8").count("\n")) > 500]


def test_arena_imports_no_script_and_no_tests():
    found = [
        f"{path} imports {module}"
        for path, tree in TREES.items()
        if path.startswith("arena/")
        for module in imports(tree)
        if module.split(".")[0] in ("run_arena", "tests")
    ]
    assert not found


def test_no_program_file_imports_tests():
    assert not [path for path, tree in TREES.items() for m in imports(tree) if m.split(".")[0] == "tests"]


@pytest.mark.parametrize(
    "heavy",
    [
        ("ray",),
        ("vllm",),
        ("huggingface_hub",),
        ("gguf",),
        ("peft", "transformers"),
        ("trl", "datasets"),
        ("numba",),
        ("plotly",),
        ("tensorboardX",),
        ("math_verify", "sympy"),
        ("pydantic_monty",),
    ],
)
def test_heavy_dependency_is_in_one_file(heavy: tuple[str, ...]):
    """One file of the program; and one of the benchmark, whose peers are to be independent of the program."""
    found = {path for path, tree in TREES.items() for module in imports(tree) if module.split(".")[0] in heavy}
    peers = {path for path in found if path.startswith("arena/tools/bench/")}
    assert len(peers) <= 1 and len(found - peers) <= 1, found


def test_textual_is_in_the_watcher_only():
    """Screens are many widgets, so they have a folder, not a file; what they read is tested without them."""
    found = {path for path, tree in TREES.items() for m in imports(tree) if m.split(".")[0] == "textual"}
    reads = (
        "arena/watch/queries/",
        "arena/watch/render/",
        "arena/watch/history",
        "arena/watch/models",
        "arena/watch/sparkline",
    )
    found.discard("arena/tools/bench/watch.py")  # which measures them
    assert found and all(path.startswith("arena/watch/") and not path.startswith(reads) for path in found), found
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in found}
    modules.add("arena.watch.screens")
    others = {path for path, tree in TREES.items() for m in imports(tree) if m in modules}
    outside = {path for path in others if not path.startswith("arena/watch/")}
    assert outside <= {"arena/cli/play.py", "arena/tools/bench/watch.py"}, outside
    assert not [path for path in others if path.startswith(reads)]


def test_nothing_is_pickled():
    pickling = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    assert not [f"{path}: {m}" for path, tree in TREES.items() for m in imports(tree) if m.split(".")[0] in pickling]


def test_no_text_is_read_as_code():
    """One script does, and lives for that: it runs code that models wrote in a process that gave up everything else.
    Only a fresh Python starts it; no file of the program imports it."""
    script = "curricula/sandbox_child.py"
    found = calls({"eval", "exec", "compile", "os.system", "os.popen"})
    assert {c.split(":")[0] for c in found} == {script} and len(found) == 2, found
    assert not [p for p, tree in TREES.items() for m in imports(tree) if m.endswith("sandbox_child")]


def test_no_builtin_hash_is_called():
    """It differs from process to process."""
    assert not calls({"hash"})


def test_no_global_random_state_is_used():
    """A `random.Random`, a generator or a counted key is; the module's own functions are not."""
    shared = {"seed", "random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss"}
    found = calls({f"random.{name}" for name in shared})
    found += calls({f"{np}.random.{name}" for np in ("np", "numpy") for name in {*shared, "rand", "randn", "normal"}})
    found += calls({"torch.manual_seed", "torch.seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all"})
    assert not found


def test_wall_clock_is_telemetry_only():
    """Durations may be measured anywhere in the arena; the wings read no clock at all."""
    dates = {f"{d}.{f}" for d in ("datetime", "datetime.datetime", "date", "datetime.date") for f in ("now", "today")}
    dates |= {"datetime.utcnow", "datetime.datetime.utcnow", "time.strftime", "time.localtime", "time.gmtime"}
    assert {c.split(":")[0] for c in calls(dates)} <= {
        "arena/loop.py",
        "arena/experiments/results.py",
        "arena/watch/sinks/tensorboard.py",  # TensorBoard stamps its events; nothing of the run's own
        "arena/watch/commands.py",  # when somebody asked for something; outside the digest
    }
    assert not calls({"time.time", "time.time_ns"})
    assert not calls({"time.perf_counter", "time.monotonic", "time.process_time", *dates}, WINGS)


def test_each_module_says_what_it_is_for():
    assert not [path for path, tree in TREES.items() if not ast.get_docstring(tree)]


def test_names_of_tests_can_be_typed():
    """At most 50 characters, so that `pytest -k NAME` is convenient; the docstring has the details."""
    trees = (ast.parse(p.read_text(encoding="utf-8")) for p in (ROOT / "tests").rglob("test_*.py"))
    names = [n.name for tree in trees for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    assert len(names) > 1000 and not [n for n in names if n.startswith("test_") and len(n) > 50]
