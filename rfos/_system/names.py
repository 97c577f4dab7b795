"""Objects that a user names as `module:name`, in a command or in a spec."""

from __future__ import annotations

import importlib
import re
from typing import Any

_SHAPE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_importable(text: str) -> bool:
    """Return whether a text has the shape `module:name`."""
    return _SHAPE.fullmatch(text) is not None


def imported(text: str, what: str) -> Any:
    """Return the object that `module:name` names; importing the module runs it, as Python's import does.

    Parameters
    ----------
    text : str
        Such as "mymodule:make_game".
    what : str
        How a message calls it.

    Raises
    ------
    ValueError
        If the text has another shape, the module cannot be imported, or it has no such name.

    Examples
    --------
    >>> imported("math:pi", "constant")
    3.141592653589793
    """
    if not is_importable(text):
        raise ValueError(f"{what} is {text[:80]!r}: give it as module:name")
    module, _, name = text.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(f"{what} is {text!r}, and {error}: put the folder of the module on PYTHONPATH") from None
    except AttributeError:
        raise ValueError(f"{what} is {text!r}: module {module} has no {name}") from None
