"""What pydantic finds wrong, in words for those who write YAML or set variables, not Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["problem_of"]

# By pydantic's type of the error.
_TYPES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "missing": "is required",
    "model_type": "must be an object",
    "string_type": "must be a string",
    "tuple_type": "must be a list",
}
# Of Python, with which a message on a length begins.
_KINDS = {"Dictionary": "object", "String": "string", "Tuple": "list"}
_KIND = re.compile(rf"(?:{'|'.join(_KINDS)})(?= should have )")


def problem_of(fault: ErrorDetails) -> str:
    """Say what is wrong with a value, without the place: `must be a list`.

    Args:
        fault: One of `ValidationError.errors()`.
    """
    told = _TYPES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
    told = told.replace("Input should ", "must ", 1)
    return _KIND.sub(lambda kind: _KINDS[kind[0]], told, count=1)
