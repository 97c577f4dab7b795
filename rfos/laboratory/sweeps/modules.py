"""A user's own modules: that what runs of them is what their files say.

Python runs a module once and keeps it: a file that is edited later, and read for the version of the code, would lend
its version to results of the old one. Nothing in Python says which source a module was made of, so that `is_current`
compares what can be compared.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_BEGAN = time.time() - time.process_time()
"""When this process began, or later."""

_PLAIN = (int, float, complex, str, bytes, type(None))

_caches: list[Any] = []
_specs: dict[str, object] = {}


def cached(size: int | None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator, `functools.lru_cache`, whose memory ends where a module has been loaded anew."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        made: Any = functools.lru_cache(size)(function)
        _caches.append(made)
        kept: Callable[P, R] = made
        return kept

    return decorate


def forget_reloaded() -> None:
    """Forget what was made of a user's parts, if any module has been loaded anew since last time."""
    global _specs
    if any(getattr(sys.modules.get(name), "__spec__", None) is not spec for name, spec in _specs.items()):
        for made in _caches:
            made.cache_clear()
    _specs = {name: getattr(module, "__spec__", None) for name, module in list(sys.modules.items())}


def load(name: str) -> ModuleType:
    """Return a module, imported if it was not yet; bytecode on the disk that its file does not bring is not taken.

    Python takes bytecode for that of a file whose time, in seconds, and size are those that it had: an edit within the
    second in which a module was first imported may go unnoticed.
    """
    if name in sys.modules:
        return sys.modules[name]
    before = set(sys.modules)
    module = importlib.import_module(name)
    source = getattr(module, "__file__", None)
    if source is None:
        return module
    folder = Path(source).parent
    new = [(n, m) for n, m in list(sys.modules.items()) if n not in before and _source_of(m) is not None]
    mine = [(n, m, path) for n, m in new if (path := _source_of(m)) is not None and folder in path.parents]
    old = [path for _, m, path in mine if not is_current(m, path)]
    if old:
        for path in old:
            with contextlib.suppress(OSError, NotImplementedError):
                Path(importlib.util.cache_from_source(str(path))).unlink()
        for n, _, _ in mine:
            sys.modules.pop(n, None)
        importlib.invalidate_caches()
        module = importlib.import_module(name)
    return module


def _source_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) and file.endswith(".py") else None


def is_current(module: ModuleType, path: Path) -> bool:
    """Return whether a module that is loaded is what its file says, as far as that can be seen.

    Compared are the code and the defaults of its functions, of the methods of its classes and of what wraps them; the
    plain values (numbers, texts) that it or a class gives a name once; and the time and size of the source that its
    bytecode was written for, where bytecode is written. An edit of anything else, such as ``AGENT = Rmax(m=5)``, goes
    unnoticed if another process has imported the file since.

    Raises
    ------
    SyntaxError
        If the file does not parse.
    """
    source = path.read_bytes()
    tree = ast.parse(source)
    codes = set(_codes(compile(source, str(path), "exec", dont_inherit=True)))
    functions = [f for f in _functions(vars(module).values(), module.__name__) if f.__code__.co_filename == str(path)]
    if any(_plain_code(function.__code__) not in codes for function in functions):
        return False
    return _same_names(tree.body, vars(module), tree) and not _was_written_for_another(path)


def _plain_code(code: CodeType) -> tuple[Any, ...]:
    """Return what a function does, without the lines on which it stands."""
    counts = (code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (*counts, code.co_code, *names, tuple(map(_plain_constant, code.co_consts)))


def _plain_constant(value: object) -> object:
    if isinstance(value, CodeType):
        return _plain_code(value)
    if isinstance(value, tuple):
        return tuple(map(_plain_constant, value))
    if isinstance(value, frozenset):
        return tuple(sorted(map(repr, value)))
    return type(value).__name__, repr(value)


def _codes(code: CodeType) -> Iterator[tuple[Any, ...]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield _plain_code(constant)
            yield from _codes(constant)


def _functions(values: Iterable[object], module: str) -> Iterator[FunctionType]:
    """Yield the functions among some values, those within their wrappers, and the methods of the module's classes."""
    seen: set[int] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, FunctionType):
            yield value
        if isinstance(value, type):
            if value.__module__ == module:
                waiting += vars(value).values()
            continue
        for name in ("__wrapped__", "__func__", "func", "fget", "py_func"):
            inner = None
            with contextlib.suppress(Exception):  # whatever a user's object raises, it stays here
                inner = getattr(value, name, None)
            if inner is not None and (callable(inner) or isinstance(inner, property)):
                waiting.append(inner)


def _same_names(body: Iterable[ast.stmt], found: Any, tree: ast.AST) -> bool:
    """Return whether what a body names once, a plain value, a function or a class, is there as it says."""
    stored = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    declared = {name for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    for line in body:
        if isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if line.name in declared or line.name in stored:
                continue
            if line.name not in found:
                return False
            made = found[line.name]
            if isinstance(line, ast.ClassDef):
                if isinstance(made, type) and not _same_names(line.body, vars(made), line):
                    return False
            elif isinstance(made, FunctionType) and not line.decorator_list and not _same_defaults(line, made):
                return False
        elif isinstance(line, ast.Assign | ast.AnnAssign):
            target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
            target = line.target if isinstance(line, ast.AnnAssign) else target
            if not isinstance(target, ast.Name) or stored.count(target.id) > 1 or target.id in declared:
                continue
            plain, value = _plain_value(line.value)
            if plain and target.id in found and repr(found[target.id]) != repr(value):
                now = found[target.id]
                if isinstance(now, (*_PLAIN, tuple)):
                    return False
    return True


def _plain_value(node: ast.expr | None) -> tuple[bool, object]:
    if node is None:
        return False, None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None
    good = isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(x, _PLAIN) for x in value))
    return good, value


def _same_defaults(line: ast.FunctionDef | ast.AsyncFunctionDef, made: FunctionType) -> bool:
    given, written = made.__defaults__ or (), line.args.defaults
    named = made.__kwdefaults__ or {}
    pairs = list(zip(given, written, strict=False))
    for argument, node in zip(line.args.kwonlyargs, line.args.kw_defaults, strict=True):
        if node is not None:
            if argument.arg not in named:
                return False
            pairs.append((named[argument.arg], node))
    if len(given) != len(written):
        return False
    return all(
        not plain or repr(now) == repr(value) for now, (plain, value) in ((g, _plain_value(w)) for g, w in pairs)
    )


def _was_written_for_another(path: Path) -> bool:
    """Return whether bytecode that was written since this process began is that of another source than the file's."""
    try:
        cache = Path(importlib.util.cache_from_source(str(path)))
        head = cache.read_bytes()[:16]
        there = path.stat()
        if len(head) < 16 or int.from_bytes(head[4:8], "little") or cache.stat().st_mtime < _BEGAN:
            return False  # of a hash instead of a time, or of an earlier process, whose folder may be read-only now
    except (OSError, NotImplementedError):
        return False
    time, size = int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")
    return (time, size) != (int(there.st_mtime) & 0xFFFFFFFF, there.st_size & 0xFFFFFFFF)
