# SPDX-License-Identifier: Apache-2.0
"""`slicer.parameterNodeWrapper`: typed attributes, stored in a node and shown in a panel.

Supported types are str, int, float, bool, Enum and node classes (also as Optional); any other
raises when the class is decorated.
"""

from __future__ import annotations

import enum
import inspect
import itertools
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
        object.__setattr__(self, "_tags", itertools.count())
        object.__setattr__(self, "_is_showing", [])  # not empty while it is shown in widgets
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

    def AddObserver(self, *arguments) -> int:
        """Observe the node."""
        return self.parameterNode.AddObserver(*arguments)

    def RemoveObserver(self, tag) -> None:
        """Remove an observer of the node."""
        self.parameterNode.RemoveObserver(tag)

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
        tag = next(self._tags)
        self._connections[tag] = GuiConnection(self, mapping)
        # As in Slicer, nobody removes it: this object is never released once it was connected.
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show_in_widgets)
        return tag

    def _show_in_widgets(self, *_arguments) -> None:
        if vars(self).get("_is_showing", True):
            return  # also if the garbage collector has emptied this object, before its node
        self._is_showing.append(True)
        try:
            with slicer.util.NodeModify(self):
                for connection in self._connections.values():
                    connection.show()
        finally:
            self._is_showing.clear()

    def disconnectGui(self, tag: int | None) -> None:
        """Undo `connectParametersToGui`; an unknown tag is ignored."""
        if tag in self._connections:
            self._connections.pop(tag).close()


class GuiConnection:
    """Keeps widgets and parameters in sync until it is closed."""

    def __init__(self, wrapper: Wrapper, widgets: dict) -> None:
        self._wrapper = wrapper
        kinds = {name: wrapper._parameters[name] for name in widgets}
        self._connectors = {
            name: connector_for(widget, kinds[name].kind, is_node=kinds[name].is_node)
            for name, widget in widgets.items()
        }
        self._slots = {name: self._writer(name) for name in widgets}
        for name, connector in self._connectors.items():
            # One after another, as in Slicer: the first ones are connected when the last are shown.
            connector.show(getattr(wrapper, name))
            connector.changed.connect(self._slots[name])

    def _writer(self, name: str):
        def write(*_arguments) -> None:
            if not self._wrapper._is_showing:
                setattr(self._wrapper, name, self._connectors[name].read())

        return write

    def show(self) -> None:
        """Show all values in their widgets."""
        for name, connector in self._connectors.items():
            connector.show(getattr(self._wrapper, name))

    def close(self) -> None:
        """Disconnect the widgets from the parameters."""
        for name, connector in self._connectors.items():
            connector.changed.disconnect(self._slots[name])
