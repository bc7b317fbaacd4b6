# SPDX-License-Identifier: Apache-2.0
"""Make PySide6 behave like PythonQt, Slicer's Qt binding for Python.

Qt properties are attributes (`w.text` reads, `w.text = "x"` writes), unknown attributes cannot be
set, and `w.connect("clicked(bool)", f)` connects a signal by its signature. Methods take neither
keyword arguments nor numpy scalars. An object deleted by Qt is false, and raises when used. Where
Slicer would only print an error, or do something else than was meant, the stand-in raises.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinMethodType, ModuleType

import numpy as np
import shiboken6
from PySide6.QtCore import Property, QMetaMethod, QObject, SignalInstance

# Lists the signatures of the real widget that a Python class of the host supports.
SIGNATURES = "_signatures"

# The original getters and setters of each adapted class.
_getters: dict[type, Callable] = {}
# The host's own widgets, which are as strict as Qt's; their underscore names are private.
_stand_ins: set[type] = set()
# Not empty while PySide6 itself sets attributes that PythonQt would not.
_is_ignoring: list[bool] = []
_set_plainly = QObject.__base__.__setattr__

# Methods whose arguments are texts; PythonQt takes None for the text "None".
_OF_TEXT = frozenset(
    {"addItem", "setItemText", "setObjectName", "setPlainText", "setPlaceholderText", "setText"}
    | {"setStatusTip", "setTitle", "setToolTip", "setWhatsThis", "setWindowTitle"}
)


@contextmanager
def ignoring_strays() -> Iterator[None]:
    """Drop unknown attributes: PySide6's loader sets one for each child widget."""
    _is_ignoring.append(True)
    try:
        yield
    finally:
        _is_ignoring.pop()


class PropertyAttribute:
    """A Qt property as a data descriptor of its class."""

    def __init__(self, name: str, method: object, *, writable: bool) -> None:
        self._name = name
        self._method = method
        self._writable = writable
        self._being_read: set[int] = set()

    def __get__(self, instance, owner=None):
        if instance is None:
            return self if self._method is None else self._method
        if id(instance) in self._being_read:
            # For a virtual one, sizeHint(), PySide6 checks whether a Python class overrides the
            # method.
            return None if self._method is None else self._method.__get__(instance)
        self._being_read.add(id(instance))
        try:
            return instance.property(self._name)
        finally:
            self._being_read.remove(id(instance))

    def __set__(self, instance, value) -> None:
        if not self._writable:
            msg = f"property {self._name!r} of {type(instance).__name__} can only be read."
            raise AttributeError(msg)
        check_scalar(f"property {self._name!r}", value)
        if value is None:
            msg = f"property {self._name!r} got None, which PythonQt refuses or takes for a text."
            raise TypeError(msg)
        if not instance.setProperty(self._name, value):
            msg = f"property {self._name!r} of {type(instance).__name__} cannot be {value!r}."
            raise TypeError(msg)


class Slot:
    """A method of a Qt object, which takes what PythonQt takes."""

    def __init__(self, method: BuiltinMethodType) -> None:
        self._method = method

    def __call__(self, *arguments, **kwargs):
        name = self._method.__name__
        if kwargs:
            msg = f"{name}() got keyword arguments, {sorted(kwargs)}: PythonQt takes none."
            raise TypeError(msg)
        for argument in arguments:
            check_scalar(f"{name}()", argument)
        if name in _OF_TEXT and None in arguments:
            msg = f'{name}() got None: PythonQt would show the text "None".'
            raise TypeError(msg)
        return self._method(*arguments)


def strict(kind: type) -> type:
    """Derive a class, not of a QObject, whose methods take what PythonQt takes."""

    def get(instance, name: str) -> object:
        found = kind.__getattribute__(instance, name)
        return Slot(found) if type(found) is BuiltinMethodType else found

    return type(kind.__name__, (kind,), {"__getattribute__": get})


def check_scalar(what: str, value: object) -> None:
    """Refuse a numpy number, which PythonQt refuses or, for a bool, may take for False."""
    if isinstance(value, np.generic) and not isinstance(value, str):
        msg = (
            f"{what} got {value!r}: PythonQt takes no numpy scalars. "
            "Convert it with int(), float() or bool()."
        )
        raise TypeError(msg)


def adapt(modules: tuple[ModuleType, ...]) -> None:
    """Adapt all QObject classes of PySide6 modules, once."""
    kinds = {kind for module in modules for kind in _object_classes(module)} - set(_getters)
    # Before any class is changed; later lookups would find the changed base classes.
    _getters.update({kind: kind.__getattribute__ for kind in kinds})
    for kind in kinds:
        _adapt_class(kind)
    QObject.name = QObject.__dict__["objectName"]
    QObject.__bool__ = _is_there
    QObject.className = lambda self: self.metaObject().className()


def _is_there(instance: QObject) -> bool:
    """Return whether an object has not been deleted by Qt."""
    return shiboken6.isValid(instance)


def stand_in(kind: type) -> type:
    """Decorate a widget of the host, so that only its properties can be set."""
    _stand_ins.add(kind)
    return kind


def _object_classes(module: ModuleType) -> Iterator[type]:
    for name in dir(module):
        kind = getattr(module, name)
        if inspect.isclass(kind) and issubclass(kind, QObject):
            yield kind


def _adapt_class(kind: type) -> None:
    meta = kind.staticMetaObject
    for index in range(meta.propertyCount()):
        prop = meta.property(index)
        name = prop.name()
        own = kind.__dict__.get(name)
        if index >= meta.propertyOffset() or own is not None:
            setattr(kind, name, PropertyAttribute(name, own, writable=prop.isWritable()))
    kind.__setattr__ = _set_existing
    kind.__getattribute__ = _get


def _set_existing(instance: QObject, name: str, value: object) -> None:
    """Set a property; on an object of Qt's own classes, nothing else can be set."""
    kind = type(instance)
    attribute = inspect.getattr_static(kind, name, None)
    if isinstance(attribute, Property):
        attribute.fset(instance, value)
        return
    # PySide6 stores an object's signals in it when they are first read.
    is_property = hasattr(type(attribute), "__set__") or isinstance(value, SignalInstance)
    is_qts = kind in _getters or (kind in _stand_ins and not name.startswith("_"))
    if is_qts and not is_property:
        if _is_ignoring:
            return
        if name not in [bytes(n.data()).decode() for n in instance.dynamicPropertyNames()]:
            msg = f"{kind.__name__} has no property {name!r} that could be set."
            raise AttributeError(msg)
        instance.setProperty(name, value)
        return
    _set_plainly(instance, name, value)


def _get(instance: QObject, name: str) -> object:
    """Read an attribute; `connect` is the adapted method, not QObject's static one."""
    if name in _BY_SIGNATURE:
        return _BY_SIGNATURE[name].__get__(instance)
    found = _get_plainly(instance, name)
    return Slot(found) if type(found) is BuiltinMethodType else found


def _get_plainly(instance: QObject, name: str) -> object:
    kind = next(kind for kind in type(instance).__mro__ if kind in _getters)
    return _getters[kind](instance, name)


def connect(self: QObject, signature: str, receiver, slot: str | None = None) -> bool:
    """Connect a signal by its signature to a callable, or to a named slot of an object.

    Raises
    ------
    ValueError
        If the object has no such signal, or the receiver no such slot.
    """
    signal_of(self, signature).connect(_callable_of(receiver, slot))
    return True


def disconnect(self: QObject, signature: str, receiver=None, slot: str | None = None) -> bool:
    """Undo `connect`; without a receiver, for all receivers."""
    signal = signal_of(self, signature)
    if receiver is None:
        signal.disconnect()
    else:
        signal.disconnect(_callable_of(receiver, slot))
    return True


_BY_SIGNATURE = {"connect": connect, "disconnect": disconnect}


def _callable_of(receiver, slot: str | None) -> Callable:
    if slot is None:
        if not callable(receiver):
            msg = f"receiver must be callable; got {receiver!r}."
            raise TypeError(msg)
        return receiver
    return slot_of(receiver, slot)


def signal_of(sender: QObject, signature: str):
    """Return an object's signal by its signature, such as "clicked(bool)"."""
    own = getattr(sender, SIGNATURES, {})
    if normalized(signature) in own:
        return getattr(sender, own[normalized(signature)])
    if normalized(signature) not in set(_signatures(sender, QMetaMethod.MethodType.Signal)):
        msg = f"{_class_name(sender)} has no signal {signature!r}."
        raise ValueError(msg)
    return getattr(sender, normalized(signature).split("(")[0])


def slot_of(receiver: QObject, signature: str) -> Callable:
    """Return an object's slot by its signature, such as "setEnabled(bool)"."""
    own = getattr(receiver, SIGNATURES, {})
    if normalized(signature) in own:
        return getattr(receiver, own[normalized(signature)])
    kinds = (QMetaMethod.MethodType.Slot, QMetaMethod.MethodType.Signal)
    known = {s for kind in kinds for s in _signatures(receiver, kind)}
    if normalized(signature) not in known:
        msg = f"{_class_name(receiver)} has no slot {signature!r}."
        raise ValueError(msg)
    target = _get_plainly(receiver, normalized(signature).split("(")[0])
    return target.emit if hasattr(target, "emit") else target


def normalized(signature: str) -> str:
    """Remove blanks, const and references from a signature, as Qt does to compare them."""
    return signature.replace("const ", "").replace("&", "").replace(" ", "")


def _signatures(instance: QObject, kind: QMetaMethod.MethodType) -> Iterator[str]:
    meta = instance.metaObject()
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == kind:
            yield bytes(method.methodSignature().data()).decode()


def _class_name(instance: QObject) -> str:
    return f"{type(instance).__name__} {instance.property('objectName')!r}".rstrip(" '")
