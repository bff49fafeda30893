"""Texts of others, made safe to look at: in statuses, Events, log lines and on terminals.

A message may quote anything: an event, a pattern, an answer of Twitch. An escape character in it
would steer the reader's terminal, a line break would forge a log line, and a mark of direction
would turn words around.
"""

from __future__ import annotations

import json
import unicodedata

__all__ = ["displayable", "displayable_lines"]

# Controls (C0, DEL, C1), format characters (of direction, of no width), surrogates, and the two
# separators that many programs take for the end of a line.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def displayable(text: str) -> str:
    r"""Write what cannot be seen as JSON does: an escape character as `\u001b`, on one line.

    So what is JSON stays JSON of the same value.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def displayable_lines(text: str) -> str:
    """Do the same with each line of a text, and keep the lines."""
    return "\n".join(map(displayable, text.split("\n")))


def _shown(char: str) -> str:
    hidden = unicodedata.category(char) in _HIDDEN
    return json.dumps(char)[1:-1] if hidden else char
