"""The version of the code, as far as it can change the result of a cell."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from rfos.laboratory.sweeps.modules import is_current, load

LIBRARIES = ("numpy", "scipy", "numba", "sympy")
"""Libraries that compute; their versions are part of the fingerprint, since the last digit may depend on them."""

PACKAGES = ("rfos", "bounds")

ROOT = Path(__file__).parents[3]
"""The folder of the packages."""


class _Learned(NamedTuple):
    """What a source does, as a SHA-256, and what it imports, as the level, module and names of each statement."""

    digest: bytes
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]


@functools.cache
def _learned(content: bytes) -> _Learned:
    """Return what there is to know of a source: the same for the same code, however it is laid out and described."""
    tree = ast.parse(content)
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        body = getattr(node, "body", None)
        if isinstance(body, list):  # without docstrings
            node.body = [  # type: ignore[attr-defined]
                line for line in body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
    return _Learned(hashlib.sha256(ast.dump(tree).encode()).digest(), tuple(imports))


def _imported(content: bytes, package: str) -> Iterator[str]:
    """Yield the modules that a source in a package may import; names of `from` imports may be modules too."""
    for level, name, names in _learned(content).imports:
        parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
        module = ".".join([*parents, *([name] if name else [])])
        yield module
        yield from (f"{module}.{alias}" for alias in names)


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
            try:
                waiting += _imported(path.read_bytes(), package)
            except (SyntaxError, ValueError) as error:  # a null byte is the second
                raise ValueError(
                    f"module {name!r}, which {module!r} imports, does not parse ({error}): mend it"
                ) from None
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
        load(module)
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit) as error:
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


def _digest(files: Iterable[Sourced]) -> hashlib._Hash:
    """Return the SHA-256 of what sources do, each named from its folder."""
    digest = hashlib.sha256()
    for sourced in files:
        path, _ = sourced
        digest.update(_place(sourced).encode() + b"\0" + _learned(path.read_bytes()).digest)
    return digest


class _Loaded(NamedTuple):
    """What a user's module was when it was first looked at: the modules of its sources as they were loaded."""

    specs: dict[str, object]
    digest: bytes


_loaded: dict[str, _Loaded] = {}


def _name(sourced: Sourced) -> str:
    """Return the name under which a source is imported."""
    return _place(sourced).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _own_digest(module: str) -> bytes:
    """Return the SHA-256 of what the sources of a user's module do, as they are on the disk now."""
    return _digest(own_sources(module)).digest()


def _current(module: str) -> bytes:
    """Return the digest of a user's module as it is loaded; it is read again where a part of it was loaded anew.

    Raises
    ------
    ValueError
        If it cannot be imported, or what is loaded is not what the disk has.
    """
    known = _loaded.get(module)
    if known is not None and all(_spec(name) is spec for name, spec in known.specs.items()):
        return known.digest
    sources_ = own_sources(module)
    specs = {}
    for sourced in sources_:
        path, root = sourced
        name = _name(sourced)
        loaded = sys.modules.get(name)
        specs[name] = _spec(name)
        if root != ROOT and loaded is not None and not is_current(loaded, path):
            raise ValueError(_changed(name, path))
    _loaded[module] = _Loaded(specs, _digest(sources_).digest())
    return _loaded[module].digest


def _spec(name: str) -> object:
    return getattr(sys.modules.get(name), "__spec__", None)


def _changed(module: str, path: Path) -> str:
    return (
        f"module {module!r} was changed on disk since it was imported ({path.name}): start a new process or kernel, or "
        "importlib.reload it, so that what is measured is what is written"
    )


def require_current(modules: Iterable[str]) -> None:
    """Raise ValueError unless a user's modules, as they are loaded, are what the disk has.

    What can be compared of a module that was imported before a sweep saw it is said in `modules.is_current`; of one
    that a sweep has seen, any change in what it does is noticed.
    """
    for module in modules:
        if _current(module) != _own_digest(module):
            path, _ = own_sources(module)[0]
            found = importlib.util.find_spec(module)
            raise ValueError(_changed(module, Path(found.origin) if found and found.origin else path))


@functools.cache
def _of_packages() -> str:
    """Return the digits of the packages' own sources and of the libraries."""
    digest = _digest((path, ROOT) for path in sources())
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    return digest.hexdigest()[:16]


def fingerprint(modules: tuple[str, ...] = ()) -> str:
    """Return the SHA-256 of what these sources do and of the libraries' versions, as 16 hexadecimal digits.

    Parameters
    ----------
    modules : tuple of str
        Modules of a user's own that the cells name. They are imported; the digits of what they and their imports do
        follow after a plus, so that a change in them is another version of the code. They are those of what is loaded:
        a file that is edited later changes them when it is loaded anew.

    Raises
    ------
    ValueError
        If a module cannot be imported, or was changed on disk between its import and the first look at it.
    """
    own = hashlib.sha256(b"".join(map(_current, modules))).hexdigest()[:16]
    return _of_packages() + (f"+{own}" if modules else "")
