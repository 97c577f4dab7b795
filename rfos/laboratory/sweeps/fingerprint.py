"""The version of the code, as far as it can change the result of a cell."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = ("numpy", "scipy", "numba", "sympy")
"""Libraries that compute; their versions are part of the fingerprint, since the last digit may depend on them."""

ROOT = Path(__file__).parents[3]
"""The folder of the packages."""


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a source may import; names of `from` imports may be modules too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _source(module: str) -> Path | None:
    """Return the file of a module of these packages, or None for others."""
    if module.partition(".")[0] not in ("rfos", "bounds"):
        return None
    place = ROOT.joinpath(*module.split("."))
    found = (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file())
    return next(found, None)


def sources() -> list[Path]:
    """Return the sources that the measures import, and those that these import, in an order that does not change."""
    waiting, found = [f"{__package__}.measures"], set[Path]()
    while waiting:
        path = _source(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imported(ast.parse(path.read_bytes()))
    return sorted(found)


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


@functools.cache
def fingerprint() -> str:
    """Return the SHA-256 of what these sources do and of the libraries' versions, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + _without_docstrings(path.read_bytes()) + b"\0")
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    return digest.hexdigest()[:16]
