# SPDX-License-Identifier: Apache-2.0
"""A 3D view rendered offscreen by Slicer's own displayable managers, with a mouse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
)


class ThreeDView:
    """One 3D view of the scene.

    Parameters
    ----------
    application
        The running stand-in.
    width, height
        Size in pixels.
    """

    def __init__(self, application, width: int = 600, height: int = 600) -> None:
        self._application = application
        scene = application.mrmlScene()
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(application.applicationLogic())
        self._logic.SetMRMLScene(scene)
        self.node = self._logic.AddViewNode("1")
        self.camera_node = self._camera_of(scene)
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetSize(width, height)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self._start_interactor()
        self._start_managers()

    def _camera_of(self, scene):
        camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
        camera.SetLayoutName(self.node.GetLayoutName())
        return camera

    def _start_interactor(self) -> None:
        # The generic class: a native one would wait for events of a screen that does not exist.
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyle3D())
        self.interactor.EnableRenderOff()
        self.interactor.Initialize()

    def _start_managers(self) -> None:
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(self._application.applicationLogic())
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(factory, self.renderer)
        self.managers.SetMRMLDisplayableNode(self.node)
        self._logic.SetDisplayableManagerGroup(self.managers)
        self._style = slicer.vtkMRMLThreeDViewInteractorStyle()
        self._style.SetDisplayableManagers(self.managers)
        self._style.SetInteractor(self.interactor)
        self._style.SetCameraNode(self.camera_node)

    def close(self) -> None:
        """Release the scene."""
        self._style.SetInteractor(None)
        self.managers.SetMRMLDisplayableNode(None)
        self._logic.SetMRMLScene(None)
        self.window.Finalize()

    # Actions for tests.

    def render(self) -> None:
        """Render now."""
        self.window.Render()

    def look_at(self, center, *, toward=(0, 1, 0), up=(0, 0, 1), distance: float = 500.0) -> None:
        """Place the camera.

        Parameters
        ----------
        center
            World point at the center of the view.
        toward
            Direction from the center to the camera; a face in Slicer's RAS faces +y.
        up
            Direction that is up in the view.
        distance
            Distance from the center to the camera in millimeters.
        """
        direction = np.asarray(toward, dtype=float) / np.linalg.norm(toward)
        camera = self.camera_node.GetCamera()
        camera.SetFocalPoint(*center)
        camera.SetPosition(*(np.asarray(center, dtype=float) + distance * direction))
        camera.SetViewUp(*up)
        self.renderer.ResetCameraClippingRange()
        self.render()

    def display_point(self, world) -> tuple[int, int]:
        """Return the pixel of a world point, from the lower left corner."""
        self.renderer.SetWorldPoint(*world, 1.0)
        self.renderer.WorldToDisplay()
        x, y, _ = self.renderer.GetDisplayPoint()
        return round(x), round(y)

    def move(self, pixel) -> None:
        """Move the mouse to a pixel."""
        self._set_event(pixel)
        self.interactor.MouseMoveEvent()

    def press(self, pixel, button: str = "Left") -> None:
        """Move the mouse to a pixel and press a button: Left, Middle or Right."""
        self.move(pixel)
        self.interactor.InvokeEvent(f"{button}ButtonPressEvent")

    def release(self, pixel, button: str = "Left") -> None:
        """Move the mouse to a pixel and release a button."""
        self._set_event(pixel)
        self.interactor.InvokeEvent(f"{button}ButtonReleaseEvent")

    def click(self, world) -> None:
        """Click on a world point."""
        pixel = self.display_point(world)
        self.press(pixel)
        self.release(pixel)
        self.render()

    def drag(self, world_from, world_to, steps: int = 4, *, button: str = "Left") -> None:
        """Drag from one world point to another."""
        start, end = (np.array(self.display_point(p)) for p in (world_from, world_to))
        self.press(start, button)
        for step in range(1, steps + 1):
            self.move(np.round(start + (end - start) * step / steps).astype(int))
        self.release(end, button)
        self.render()

    def _set_event(self, pixel) -> None:
        x, y = (int(number) for number in pixel)
        self.interactor.SetEventInformation(x, y, 0, 0, "\0", 0, None)

    def picture(self) -> np.ndarray:
        """Render, and return the picture of shape (height, width, 3), top row first."""
        grabber = self._grabber()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        colors = vtk_to_numpy(image.GetPointData().GetScalars())
        return colors.reshape(height, width, -1)[::-1, :, :3].copy()

    def screenshot(self, path: str | Path) -> None:
        """Render, and write the picture as PNG."""
        grabber = self._grabber()
        writer = vtk.vtkPNGWriter()
        writer.SetInputConnection(grabber.GetOutputPort())
        writer.SetFileName(str(path))
        writer.Write()

    def _grabber(self) -> vtk.vtkWindowToImageFilter:
        self.render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        return grabber
