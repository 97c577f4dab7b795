"""The version of the code, as far as it can change the result of a cell."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

LIBRARIES = ("numpy", "scipy", "numba", "sympy")
"""Libraries that compute; their versions are part of the fingerprint, since the last digit may depend on them."""

PACKAGES = ("rfos", "bounds")

ROOT = Path(__file__).parents[3]
"""The folder of the packages."""


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a source in a package may import; names of `from` imports may be modules too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _source(module: str, root: Path) -> Path | None:
    """Return the file of a module below a folder, or None where there is none."""
    place = root.joinpath(*module.split("."))
    found = (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file())
    return next(found, None)


Sourced = tuple[Path, Path]
"""A source, and the folder that its module is imported from."""


def _closure(module: str, find: Callable[[str], Sourced | None], packages: bool) -> list[Sourced]:
    """Return the sources that a module imports, with its own; `packages` says whether those of its packages count.

    Their order is that of their places in their folders: it does not depend on where these folders lie.
    """
    waiting, found = [module], set[Sourced]()
    while waiting:
        name = waiting.pop()
        sourced = find(name)
        if sourced is not None and sourced not in found:
            found.add(sourced)
            path, _ = sourced
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            waiting += _imported(ast.parse(path.read_bytes()), package)
            if packages and package:
                waiting.append(package)
    return sorted(found, key=_place)


def _place(sourced: Sourced) -> str:
    """Return the place of a source in its folder, the same on every machine."""
    path, root = sourced
    return path.relative_to(root).as_posix()


def _of_package(name: str) -> Sourced | None:
    """Return a source of these packages, or None for other modules."""
    path = _source(name, ROOT) if name.partition(".")[0] in PACKAGES else None
    return None if path is None else (path, ROOT)


def sources() -> list[Path]:
    """Return the sources that the measures import, and those that these import, in an order that does not change."""
    return [path for path, _ in _closure(f"{__package__}.measures", _of_package, packages=False)]


def own_sources(module: str) -> list[Sourced]:
    """Return the sources that a user's own module imports, with its own.

    These are the sources in the folder that it is imported from, or of an installed package its own only, and those of
    rfos. What it imports from other folders is not followed.

    Raises
    ------
    ValueError
        If the module cannot be imported, or has no source.
    """
    try:
        importlib.import_module(module)
        spec = importlib.util.find_spec(module)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"module {module!r} of a sweep cannot be imported here ({said}): put its folder on PYTHONPATH"
        ) from error
    origin = None if spec is None else spec.origin
    if origin is None or not origin.endswith(".py") or not Path(origin).is_file():
        raise ValueError(f"module {module!r} of a sweep has no source in Python: name a module that has")
    place = Path(origin).resolve()
    root = place.parents[module.count(".") + (place.name == "__init__.py")]
    installed = root.name in ("site-packages", "dist-packages")

    def find(name: str) -> Sourced | None:
        top = name.partition(".")[0]
        if top in PACKAGES:
            return _of_package(name)
        path = _source(name, root) if top and (not installed or top == module.partition(".")[0]) else None
        return None if path is None else (path, root)

    return _closure(module, find, packages=True)


def _without_docstrings(source: bytes) -> bytes:
    """Return what a source does: the same for the same code, however it is laid out and described."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                line for line in body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
    return ast.dump(tree).encode()


def _digest(files: Iterable[Sourced]) -> hashlib._Hash:
    """Return the SHA-256 of what sources do, each named from its folder."""
    digest = hashlib.sha256()
    for sourced in files:
        path, _ = sourced
        digest.update(_place(sourced).encode() + b"\0" + _without_docstrings(path.read_bytes()) + b"\0")
    return digest


@functools.cache
def fingerprint(modules: tuple[str, ...] = ()) -> str:
    """Return the SHA-256 of what these sources do and of the libraries' versions, as 16 hexadecimal digits.

    Parameters
    ----------
    modules : tuple of str
        Modules of a user's own that the cells name. They are imported; the digits of what they and their imports do
        follow after a plus, so that a change in them is another version of the code.
    """
    digest = _digest((path, ROOT) for path in sources())
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    own = _digest(sourced for module in modules for sourced in own_sources(module))
    return digest.hexdigest()[:16] + (f"+{own.hexdigest()[:16]}" if modules else "")
