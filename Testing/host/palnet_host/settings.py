# SPDX-License-Identifier: Apache-2.0
"""Settings that last one test, and web pages that are noted instead of opened."""

from __future__ import annotations

_values: dict[str, object] = {}
_opened_urls: list[str] = []


def reset() -> None:
    """Start a test without settings."""
    _values.clear()
    _opened_urls.clear()


def opened_urls() -> list[str]:
    """Return what the test had opened in the browser, oldest first."""
    return list(_opened_urls)


class QSettings:
    """`qt.QSettings` as it is after Slicer was restarted: every value comes back as text.

    A bool is "true" or "false" then, a number its digits; a list stays a list of texts.
    """

    def __init__(self, *_arguments) -> None:
        self._group: list[str] = []

    def _key(self, key: str) -> str:
        return "/".join([*self._group, str(key)])

    def beginGroup(self, name: str) -> None:
        """Put keys below a name, up to `endGroup`."""
        self._group.append(str(name))

    def endGroup(self) -> None:
        """Leave the last group."""
        self._group.pop()

    def setValue(self, key: str, value: object) -> None:
        """Keep a value."""
        if isinstance(value, (list, tuple)):
            _values[self._key(key)] = [_text(item) for item in value]
        else:
            _values[self._key(key)] = _text(value)

    def value(self, key: str, default: object = None) -> object:
        """Return a value, or the default where there is none."""
        return _values.get(self._key(key), default)

    def contains(self, key: str) -> bool:
        """Whether there is a value."""
        return self._key(key) in _values

    def remove(self, key: str) -> None:
        """Forget a value and all below it."""
        name = self._key(key)
        for known in [k for k in _values if k == name or k.startswith(f"{name}/")]:
            del _values[known]

    def allKeys(self) -> list[str]:
        """Return all keys of the present group."""
        start = self._key("")
        return sorted(key.removeprefix(start) for key in _values if key.startswith(start))

    childKeys = allKeys

    def sync(self) -> None:
        """Write to the disk: here nothing."""


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, str)):
        return str(value)
    msg = f"a setting must be a str, bool, int, float or a list of them; got {value!r}."
    raise TypeError(msg)


class QDesktopServices:
    """Notes which pages were to be opened."""

    @staticmethod
    def openUrl(url) -> bool:
        """Note a page."""
        _opened_urls.append(url.toString())
        return True
