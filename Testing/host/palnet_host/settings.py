# SPDX-License-Identifier: Apache-2.0
"""Settings that last for one test."""

from __future__ import annotations

_values: dict[str, object] = {}


def reset() -> None:
    """Clear the settings before a test."""
    _values.clear()


class QSettings:
    """`qt.QSettings` as after a restart of Slicer: every value is read back as text.

    A bool becomes "true" or "false", a number its digits; a list is a list of texts.
    """

    def __init__(self, *_arguments) -> None: ...

    def setValue(self, key: str, value: object) -> None:
        """Store a value."""
        if isinstance(value, (list, tuple)):
            _values[str(key)] = [_text(item) for item in value]
        else:
            _values[str(key)] = _text(value)

    def value(self, key: str, default: object = None) -> object:
        """Return a value, or the default if there is none."""
        return _values.get(str(key), default)

    def contains(self, key: str) -> bool:
        """Return whether there is a value."""
        return str(key) in _values

    def remove(self, key: str) -> None:
        """Remove a value and all below it."""
        for known in [k for k in _values if k == key or k.startswith(f"{key}/")]:
            del _values[known]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, str)):
        return str(value)
    msg = f"a setting must be a str, bool, int, float or a list of them; got {value!r}."
    raise TypeError(msg)
