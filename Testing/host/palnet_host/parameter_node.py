# SPDX-License-Identifier: Apache-2.0
"""`slicer.parameterNodeWrapper`: typed attributes, stored in a node and shown in a panel.

Supported types are str, int, float, bool, Enum and node classes (also as Optional); any other
raises when the class is decorated.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
import weakref

import slicer
import vtk

from palnet_host.connectors import connector_for

__all__ = ["parameterNodeWrapper"]

_PLAIN = (str, int, float, bool)
_NONE = type(None)


def parameterNodeWrapper(kind: type) -> type:
    """Decorate a class whose annotations are the parameters."""
    hints = typing.get_type_hints(kind)
    if not hints:
        msg = f"{kind.__name__} has no annotated parameters."
        raise ValueError(msg)
    names = {"_parameters": {n: Parameter(n, h, kind.__dict__.get(n)) for n, h in hints.items()}}
    names |= {name: _as_attribute(parameter) for name, parameter in names["_parameters"].items()}
    own = {k: v for k, v in kind.__dict__.items() if k not in hints and inspect.isfunction(v)}
    return type(kind.__name__, (Wrapper,), {"__doc__": kind.__doc__} | own | names)


class Parameter:
    """One parameter: its type, its default, and how it is stored in the node."""

    def __init__(self, name: str, hint, default) -> None:
        self.name = name
        self.kind, self.is_optional = _kind_of(name, hint)
        self.is_node = issubclass(self.kind, slicer.vtkMRMLNode)
        if default is None and not self.is_node and not self.is_optional:
            default = next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()
        self.default = default

    def read(self, node):
        """Read the value from the node."""
        if self.is_node:
            return node.GetNodeReference(self.name)
        if self.name not in node.GetParameterNames():
            return self.default
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        if self.is_optional and text == "None":
            return None
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)

    def write(self, node, value) -> None:
        """Write a value into the node; raise if its type is wrong."""
        self._check(value)
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
        else:
            node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))

    def _check(self, value) -> None:
        may_be_none = self.is_node or self.is_optional
        accepted = (int, float) if self.kind is float else self.kind
        is_bool_for_number = isinstance(value, bool) and self.kind in (int, float)
        fits = isinstance(value, accepted) and not is_bool_for_number
        if not (fits or (value is None and may_be_none)):
            msg = f"parameter {self.name!r} must be a {self.kind.__name__}; got {value!r}."
            raise TypeError(msg)


def _kind_of(name: str, hint) -> tuple[type, bool]:
    """Return the type of a parameter, and whether it may be None."""
    arguments = [a for a in typing.get_args(hint) if a is not _NONE]
    is_optional = _NONE in typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and len(arguments) == 1:
        hint = arguments[0]
    known = (*_PLAIN, enum.Enum, slicer.vtkMRMLNode)
    if not inspect.isclass(hint) or not issubclass(hint, known):
        msg = f"parameter {name!r} has a type that the stand-in does not know: {hint!r}."
        raise TypeError(msg)
    return hint, is_optional


def _as_attribute(parameter: Parameter) -> property:
    def read(self):
        return self._values[parameter.name]

    def write(self, value) -> None:
        with slicer.util.NodeModify(self.parameterNode):
            parameter.write(self.parameterNode, value)
            self._values[parameter.name] = parameter.read(self.parameterNode)

    return property(read, write)


class Wrapper:
    """Base of a decorated class, whose attributes are read from and written to a node.

    As in Slicer, they are read when the node reports a change, and cached until then.
    """

    _parameters: dict[str, Parameter]

    def __init__(self, parameterNode) -> None:
        object.__setattr__(self, "parameterNode", parameterNode)
        object.__setattr__(self, "_connections", {})
        object.__setattr__(self, "_values", {})
        with slicer.util.NodeModify(parameterNode):
            for parameter in self._parameters.values():
                if not parameter.is_node:
                    parameter.write(parameterNode, parameter.read(parameterNode))
        self._read()
        itself = weakref.ref(self)
        tag = parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: itself()._read())
        object.__setattr__(self, "_tag", tag)

    def __del__(self) -> None:
        self.parameterNode.RemoveObserver(self._tag)

    def _read(self) -> None:
        for name, parameter in self._parameters.items():
            self._values[name] = parameter.read(self.parameterNode)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._parameters:
            msg = f"{type(self).__name__} has no parameter {name!r}."
            raise AttributeError(msg)
        super().__setattr__(name, value)

    def default(self, name: str):
        """Return the default of a parameter."""
        return self._parameters[name].default

    def AddObserver(self, *arguments) -> int:
        """Observe the node."""
        return self.parameterNode.AddObserver(*arguments)

    def RemoveObserver(self, tag) -> None:
        """Remove an observer of the node."""
        self.parameterNode.RemoveObserver(tag)

    def HasObserver(self, *arguments) -> int:
        """Whether the node is observed."""
        return self.parameterNode.HasObserver(*arguments)

    def StartModify(self) -> int:
        """Suspend the node's events."""
        return self.parameterNode.StartModify()

    def EndModify(self, was_modifying: int) -> int:
        """Resume the node's events."""
        return self.parameterNode.EndModify(was_modifying)

    def Modified(self) -> None:
        """Notify the node's observers."""
        self.parameterNode.Modified()

    def connectGui(self, gui) -> None:
        """Connect widgets that name a parameter in their property SlicerParameterName.

        As in Slicer (issue 7547), no tag is returned, so they cannot be disconnected.
        """
        widgets = (
            vars(gui).values() if not hasattr(gui, "children") else slicer.util.findChildren(gui)
        )
        named = {widget: widget.property("SlicerParameterName") for widget in widgets}
        self.connectParametersToGui({n: w for w, n in named.items() if n})

    def connectParametersToGui(self, mapping: dict) -> int:
        """Connect widgets by the names of their parameters, both ways."""
        unknown = set(mapping) - set(self._parameters)
        if unknown:
            msg = f"{type(self).__name__} has no parameters {sorted(unknown)}."
            raise ValueError(msg)
        tag = max(self._connections, default=-1) + 1
        self._connections[tag] = GuiConnection(self, mapping)
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        """Undo `connectParametersToGui`; an unknown tag is ignored."""
        if tag in self._connections:
            self._connections.pop(tag).close()


class GuiConnection:
    """Keeps widgets and parameters in sync until it is closed."""

    def __init__(self, wrapper: Wrapper, widgets: dict) -> None:
        self._wrapper, self._is_showing = wrapper, False
        self._connectors = {name: connector_for(widget) for name, widget in widgets.items()}
        self._slots = {name: self._writer(name) for name in widgets}
        self._show_all()
        for name, connector in self._connectors.items():
            connector.changed.connect(self._slots[name])
        self._tag = wrapper.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show_all)

    def _writer(self, name: str):
        def write(*_arguments) -> None:
            if not self._is_showing:
                setattr(self._wrapper, name, self._connectors[name].read())

        return write

    def _show_all(self, *_arguments) -> None:
        if self._is_showing:
            return
        self._is_showing = True
        try:
            with slicer.util.NodeModify(self._wrapper):
                for name, connector in self._connectors.items():
                    value = getattr(self._wrapper, name)
                    if connector.read() != value:
                        connector.show(value)
        finally:
            self._is_showing = False

    def close(self) -> None:
        """Disconnect the widgets from the node."""
        self._wrapper.RemoveObserver(self._tag)
        for name, connector in self._connectors.items():
            connector.changed.disconnect(self._slots[name])
