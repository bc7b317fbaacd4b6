# SPDX-License-Identifier: Apache-2.0
"""Fakes that worker processes can import too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from palnet._files import file_hash
from palnet.batch import ScanResult
from palnet.detection.combining import COLOR_NOT_ASKED
from palnet.errors import ScanRefusedError
from palnet.landmarks import LandmarkSet, printable_name
from palnet.model import find_model
from palnet.scheme import load_scheme
from palnet.similarity import apply_similarity
from palnet.surface import Finding

# A program that fails with any arguments, here and on Windows.
FAILING_PROGRAM = shutil.which("false") or shutil.which("where")


@dataclass(frozen=True)
class FakeQuality:
    residual_mm: float = 0.8
    coverage: float = 0.97
    verdict: str = "good"


@dataclass(frozen=True)
class FakeDetection:
    landmarks: LandmarkSet
    face_from_scan: np.ndarray = field(default_factory=lambda: np.eye(4))
    quality: FakeQuality = field(default_factory=FakeQuality)
    findings: tuple = ()
    provenance: dict = field(default_factory=dict)


def make_landmarks(mesh, scheme=None):
    """Put every landmark on a vertex of the mesh, except the last one, which is missing."""
    scheme = scheme or load_scheme()
    rows = np.linspace(0, len(mesh.points) - 1, len(scheme)).astype(int)
    positions = np.array(mesh.points[rows])
    positions[-1] = np.nan
    errors = np.linspace(0.5, 5.0, len(scheme))
    errors[-1] = np.nan
    status = ("detected",) * (len(scheme) - 1) + ("missing",)
    return LandmarkSet(
        scheme, positions, status, errors, 1.0, "file", printable_name(mesh.name), mesh.space
    )


def move_landmarks(landmarks, target_from_source):
    """Apply a transform to landmarks in their own coordinates."""
    return replace(landmarks, positions=apply_similarity(target_from_source, landmarks.positions))


def without(landmarks, *codes):
    """Call some landmarks missing."""
    is_lost = np.isin(landmarks.scheme.codes, codes)
    statuses = zip(landmarks.status, is_lost, strict=True)
    return replace(
        landmarks,
        positions=np.where(is_lost[:, None], np.nan, landmarks.positions),
        status=tuple("missing" if lost else status for status, lost in statuses),
        expected_error_mm=np.where(is_lost, np.nan, landmarks.expected_error_mm),
    )


def fake_detect(mesh, *, unit="auto", model=None, use_color=True):
    if mesh.name.startswith("no_face"):
        msg = f"{mesh.name}: no face was found."
        raise ScanRefusedError(msg)
    guessed = "in" if mesh.name.startswith("inches") else "mm"
    provenance = {
        "model": "fake",
        "model_sha256": file_hash(find_model(model)),
        "unit": guessed if unit == "auto" else unit,
        "unit_source": "inferred from the size" if unit == "auto" else "given",
        "seconds": {"all": 0.1},
        **({} if use_color else {"color": COLOR_NOT_ASKED}),
    }
    if mesh.name.startswith("small"):
        doubts = (
            Finding("small_face", "read in millimeters, the face has 60 % of the mean size."),
        )
        quality = FakeQuality(verdict="check")
        return FakeDetection(
            make_landmarks(mesh), quality=quality, findings=doubts, provenance=provenance
        )
    told = {
        "pair": Finding("second_body", "another face?"),
        "odd": Finding("color", "Is it of this scan?"),
        "bare": Finding("texture", "Its image is missing."),
        "inward": Finding("inside_out", "a mirror image?"),
        "open": Finding("holes", "The surface is open."),
    }
    findings = tuple(finding for name, finding in told.items() if mesh.name.startswith(name))
    return FakeDetection(make_landmarks(mesh), findings=findings, provenance=provenance)


def answer(job):
    return ScanResult(job.scan, "done", record={"threads": os.environ.get("OPENBLAS_NUM_THREADS")})


def die_of_some(job):
    """Kill the whole process, as the system does when memory runs out."""
    if job.scan.stem.startswith("deadly"):
        os._exit(9)
    return answer(job)


def die_as_it_starts(job):
    """As a process that Ctrl-C reaches while it imports what it needs."""
    job.scan.with_suffix(".begun").touch()
    if job.scan.stem.startswith("deadly"):
        os._exit(1)
    time.sleep(2)
    return answer(job)


def dawdle(task):
    Path(f"{task}.begun").touch()
    time.sleep(60)


def dawdle_over_some(job):
    if job.scan.stem.startswith("deadly"):
        dawdle(job.scan.stem)
    return answer(job)


def press_ctrl_c_once_begun(*tasks):
    """Interrupt every process of this console, as the system does, once tasks are dawdled over."""

    def press():
        while not all(Path(f"{task}.begun").exists() for task in tasks):
            time.sleep(0.05)
        press_ctrl_c()

    threading.Thread(target=press, daemon=True).start()


def press_ctrl_c():
    """Interrupt every process of this console, as the system does."""
    if sys.platform == "win32":
        os.kill(0, signal.CTRL_C_EVENT)
    else:
        os.killpg(0, signal.SIGINT)


def run_in_own_console(script, *arguments, folder):
    """Run a script so that Ctrl-C in it does not reach the tests; return what it prints."""
    (folder / "run.py").write_text(script, encoding="utf-8")
    own_console = (
        {"creationflags": subprocess.CREATE_NO_WINDOW}
        if sys.platform == "win32"
        else {"start_new_session": True}
    )
    ended = subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **own_console,
    )
    return ended.stdout, ended.stderr


def interrupt_itself(job):
    """Reach only the process that works on a scan, as a signal to one process does."""
    signal.raise_signal(signal.SIGINT)


def stumble_over_some(job):
    if job.scan.stem.startswith("deadly"):
        msg = "a fault in the code"
        raise RuntimeError(msg)
    return answer(job)


class SlowWork:
    """Work that is dawdled over as 0 or 1 while each of two processes unpacks it."""

    def __init__(self):
        self.known = True

    def __setstate__(self, _state):
        try:
            Path("0.begun").touch(exist_ok=False)
        except FileExistsError:
            Path("1.begun").touch()
        time.sleep(2)

    def __call__(self, task):
        Path(f"{task}.worked").touch()


class NotedThreads:
    """Work that records numpy's thread limit when it is unpickled in its process."""

    def __init__(self):
        self.allowed = ""

    def __setstate__(self, _state):
        self.allowed = os.environ.get("OPENBLAS_NUM_THREADS", "all")

    def __call__(self, path):
        path.write_text(self.allowed, encoding="utf-8")
