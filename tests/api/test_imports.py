"""The house: what imports what, what importing costs, what docstrings promise."""

import ast
import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest
from commands import run

import bounds
import rfos

ROOT = Path(rfos.__file__).parent
BOUNDS = Path(bounds.__file__).parent

# Imports point down this list only. A new module needs no entry: its folder has one.
ORDER = (
    "_kernels",
    "_system",
    "bounds",
    "games",
    "planning",
    "metagames",
    "learning",
    "teams",
    "laboratory",
    "plots",
    "commands",
    "__main__",
)
LEVEL = {name: level for level, name in enumerate(ORDER)}
LEVEL["testing"] = LEVEL["laboratory"]  # for users of the package: it may use what they can, and nothing uses it


def modules(folder):
    """Path and dotted name of every module of a package."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """Dotted names that a module imports anywhere at run time, `TYPE_CHECKING` blocks left out."""

    def walk(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from a import b` may mean the module a.b
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    return list(walk(ast.parse(path.read_text())))


RFOS_MODULES = [(path, name) for path, name in modules(ROOT) if name != "rfos"]


def level_of(name):
    """The place of a module in the order, by its folder or, at the top, by its own name."""
    package, _, rest = name.partition(".")
    return LEVEL[package if package == "bounds" else rest.partition(".")[0]]


@pytest.mark.parametrize(("path", "name"), RFOS_MODULES, ids=[name for _, name in RFOS_MODULES])
def test_imports_point_down_the_list_only(path, name):
    """Data flows one way: a wing imports itself and what stands before it, and nothing imports the strategies."""
    for target in imported(path):
        root, _, rest = target.partition(".")
        if root == "bounds" or (root == "rfos" and rest.partition(".")[0] in LEVEL):
            assert level_of(target) <= level_of(name), f"{name} imports {target}"
            assert not target.startswith("rfos.testing"), f"{name} imports {target}"
        if root == "numba":
            assert name in ("rfos._kernels._jit", "rfos._kernels._cache"), (
                f"{name} imports {target}: kernels are made by one decorator"
            )


def test_modules_import_each_other_in_no_circle():
    """Also within a wing: a module can be read after those it imports."""
    names = {name for _, name in RFOS_MODULES}
    arrows = {
        name: {t for target in imported(path) for t in (target, target.rpartition(".")[0]) if t in names - {name}}
        for path, name in RFOS_MODULES
        if path.name != "__init__.py"
    }
    while free := {name for name, targets in arrows.items() if not targets & set(arrows)}:
        arrows = {name: targets for name, targets in arrows.items() if name not in free}
    assert not arrows, f"these go in a circle: {sorted(arrows)}"


def test_no_wing_imports_a_private_name_of_another():
    """What another wing needs is public in its module."""
    for path, name in RFOS_MODULES:
        for target in imported(path):
            module, _, last = target.rpartition(".")
            if (
                target.startswith("rfos.")
                and last.startswith("_")
                and last not in ("_kernels", "_system", "_jit", "_cache", "__version__")
            ):
                assert module.split(".")[:2] == name.split(".")[:2], f"{name} imports {target}"


def test_the_folders_of_the_wings_hold_no_code_of_their_own():
    """An import of one module of a wing costs nothing of the others."""
    for path, name in RFOS_MODULES:
        if path.name == "__init__.py":
            assert len(ast.parse(path.read_text()).body) == 1, name


@pytest.mark.parametrize("path", [path for path, _ in modules(BOUNDS)], ids=lambda path: path.stem)
def test_bounds_never_import_rfos(path):
    """bounds/ is sympy and the standard library, python-flint and mpmath where installed; NumPy for grids alone."""
    allowed = {"bounds", "sympy", "flint", "mpmath"} | sys.stdlib_module_names
    if path.stem == "_vectorised":
        allowed |= {"numpy"}
    assert {target.split(".")[0] for target in imported(path)} <= allowed


def test_kernels_import_kernels_and_numpy_only():
    """They know nothing of Python objects, files or validation."""
    for path in (ROOT / "_kernels").glob("*.py"):
        if path.name not in ("_jit.py", "_cache.py", "warm.py"):
            names = {target for target in imported(path) if not target.startswith(("__future__", "numpy", "math"))}
            assert all(name.startswith(("rfos._kernels.", "typing.")) for name in names), (path.name, names)


# What importing costs ----------------------------------------------------------------------------------------------


def python(program):
    return run([sys.executable, "-c", program])


HEAVY = ("numpy", "numba", "scipy", "sympy", "pandas", "matplotlib", "hypothesis")


@pytest.mark.processes
def test_importing_rfos_imports_nothing_heavy():
    """Names are loaded on first use."""
    done = python(f"import sys, rfos; dir(rfos); print([name for name in {HEAVY} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.processes
def test_importing_bounds_imports_no_numpy():
    """The symbolic part needs it for grids only, and then loads it."""
    done = python("import sys, bounds; print('numpy' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.processes
def test_a_game_needs_no_compiler_and_no_symbols():
    """The first example of a tutorial does not wait for numba, sympy, pandas or matplotlib."""
    names = tuple(name for name in HEAVY if name not in ("numpy",))
    program = f"import sys, rfos; rfos.named_game('chicken'); print([name for name in {names} if name in sys.modules])"
    done = python(program)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.processes
def test_a_worker_of_a_sweep_loads_only_what_it_measures_with():
    """Each process of a sweep waits for its imports; symbols, tables, pictures and HiGHS come when they are used."""
    late = ("sympy", "pandas", "matplotlib", "distributed", "tqdm", "typer", "scipy.stats", "scipy.optimize")
    program = f"""import sys, rfos.laboratory.sweeps.executors
print([name for name in {(*late, "scipy.sparse.linalg", "sqlite3")} if name in sys.modules])"""
    done = python(program)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_public_name_is_found_where_it_is_said_to_be():
    """`__all__`, `dir` and the lazy loader agree; an unknown name is an AttributeError."""
    for name in rfos.__all__:
        assert getattr(rfos, name) is not None
        assert name in dir(rfos)
    assert set(rfos.__all__) == set(rfos._HOMES)
    with pytest.raises(AttributeError, match="module 'rfos' has no attribute 'nonsense'"):
        rfos.nonsense  # noqa: B018


@pytest.mark.jit
def test_the_readme_s_code_prints_what_it_says(capsys):
    """Each `print(..)  # answer` of its Python blocks, run in order."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    answers = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == answers
    assert len(answers) == 6


@pytest.mark.processes
def test_the_strategies_say_which_extra_they_need():
    """Without Hypothesis: an ImportError that names the extra."""
    done = python("import sys; sys.modules['hypothesis'] = None; import rfos.testing")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("ImportError: rfos.testing needs Hypothesis: pip install '.[test]'")


# Docstrings --------------------------------------------------------------------------------------------------------

ALL_MODULES = [name for folder in (ROOT, BOUNDS) for _, name in modules(folder) if not name.endswith("__main__")]


def test_all_modules_are_found():
    """The loops below run over what is installed."""
    found = {m.name for m in pkgutil.walk_packages(rfos.__path__, "rfos.") if not m.name.endswith("__main__")}
    assert found | {"rfos"} == {name for name in ALL_MODULES if name.startswith("rfos")}


# QuantEcon's own kernels, which the examples of rfos.planning.interop may run, fail interpreted.
EXAMPLES = [
    pytest.param(name, marks=[pytest.mark.jit] if name == "rfos.planning.interop" else []) for name in ALL_MODULES
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_in_docstrings_are_right(name):
    """Every doctest of every module."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    module = importlib.import_module(name)
    report = []
    for test in finder.find(module, name):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def section(docstring, title):
    """The lines of a numpydoc section."""
    lines = docstring.expandtabs().splitlines()
    for start in range(len(lines) - 1):
        if lines[start] == title and set(lines[start + 1]) == {"-"}:
            body = []
            for i in range(start + 2, len(lines)):
                if i + 1 < len(lines) and lines[i] and set(lines[i + 1]) == {"-"}:
                    break
                body.append(lines[i])
            return body
    return None


def documented(docstring):
    """The names in a Parameters section, or None without one."""
    body = section(docstring, "Parameters")
    if body is None:
        return None
    entries = [line.split(" : ")[0] for line in body if line and not line.startswith(" ")]
    return [name.strip().lstrip("*") for entry in entries for name in entry.split(",")]


def arguments_of(node):
    """The arguments of a function, or the fields that a dataclass takes; None where it is neither."""
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return arguments_of(item)
        if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            return None
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
        return [item.target.id for item in fields if item.value is None or "init=False" not in ast.unparse(item.value)]
    spec = node.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args, spec.vararg, *spec.kwonlyargs) if argument]
    if spec.kwarg:
        names.append(spec.kwarg.arg)
    drop = {"self", "cls"}
    if any("composite" in ast.unparse(decorator) for decorator in node.decorator_list):
        drop.add("draw")  # Hypothesis passes it
    return [name for name in names if name not in drop]


def public_definitions(tree, prefix=""):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("folder", [ROOT, BOUNDS], ids=["rfos", "bounds"])
def test_a_parameters_section_names_the_arguments(folder):
    """All of them, in their order, and nothing else; every public definition has a docstring."""
    wrong, checked = [], 0
    for path, module in modules(folder):
        for name, node in public_definitions(ast.parse(path.read_text())):
            docstring = ast.get_docstring(node)
            overload = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
            if docstring is None:
                wrong += [] if overload else [f"{module}.{name} has no docstring"]
                continue
            names, expected = documented(docstring), arguments_of(node)
            if names is not None and expected is not None:
                checked += 1
                if names != expected:
                    wrong.append(f"{module}.{name}: documented {names}, takes {expected}")
    assert not wrong, "\n".join(wrong)
    assert checked > 3
