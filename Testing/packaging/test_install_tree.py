# SPDX-License-Identifier: Apache-2.0
"""The extension configures, installs as Slicer lays it out, and detects from there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from file_lists import ROOT, shipped_files

STUB = Path(__file__).parent / "slicer_stub"
# Users' folders have blanks and letters of many languages.
INSTALLED = "Slicer für Ärzte"
SCRIPTED_MODULES = Path("lib") / "Slicer-5.12" / "qt-scripted-modules"

# Runs in a process of its own, which knows the install tree and nothing of the sources.
START = """
import sys
sys.path.insert(0, sys.argv[1])
import palnet_host
palnet_host.install()
import qt, slicer
from palnet_host import application
from palnet_host.main_window import MainWindow
from palnet_host.module import load_module
qt_application = qt.QApplication([])
application.start(sys.argv[3])
window = MainWindow()
module = load_module(sys.argv[2], "PALNetLandmarks")
slicer.util.selectModule("PALNetLandmarks")
import palnet
from palnet import samples
model = slicer.util.loadModel(str(samples.example_scan()))
node = slicer.util.getModuleLogic("PALNetLandmarks").detect(model)
placed = [i for i in range(node.GetNumberOfControlPoints())
          if node.GetNthControlPointPositionStatus(i) == node.PositionDefined]
print(palnet.__file__, len(placed), module.icon, sep="\\n")
module.close_panel()
application.stop()
"""


@pytest.fixture(scope="module")
def a_build(tmp_path_factory):
    """Configured with the stub, and installed."""
    build = tmp_path_factory.mktemp("build")
    cmake("-S", ROOT, "-B", build, f"-DSlicer_DIR={STUB}", "-DBUILD_TESTING=ON")
    cmake("--install", build, "--prefix", build / INSTALLED)
    return build


def cmake(*arguments) -> subprocess.CompletedProcess:
    # The test requirements bring it, beside the interpreter, which need not be on the path.
    program = shutil.which("cmake", path=Path(sys.executable).parent) or "cmake"
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=True
    )


def test_configured_extension_bears_its_name(a_build):
    text = (a_build / "extension.txt").read_text(encoding="utf-8")

    assert "NAME=PALNet\n" in text


def test_install_tree_holds_every_file_and_no_other(a_build):
    folder = a_build / INSTALLED / SCRIPTED_MODULES

    installed = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    assert installed == shipped_files()


def test_missing_file_stops_the_configuration(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "PALNetLandmarks", source / "PALNetLandmarks")
    shutil.copy(ROOT / "CMakeLists.txt", source)
    (source / "PALNetLandmarks" / "palnet" / "scheme.py").unlink()

    with pytest.raises(subprocess.CalledProcessError) as caught:
        cmake("-S", source, "-B", tmp_path / "build", f"-DSlicer_DIR={STUB}")

    assert "palnet/scheme.py is listed but not there" in caught.value.stderr


def test_installed_module_starts_and_detects(a_build, tmp_path):
    folder = a_build / INSTALLED / SCRIPTED_MODULES
    script = tmp_path / "start.py"
    script.write_text(START, encoding="utf-8")
    host = ROOT / "Testing" / "host"

    run = subprocess.run(
        [sys.executable, "-I", str(script), str(host), str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert run.returncode == 0, run.stderr
    library, n_placed, icon = run.stdout.splitlines()[-3:]
    assert Path(library).is_relative_to(folder)
    assert int(n_placed) >= 45  # all but what a scan of a face may lack
    assert Path(icon).is_relative_to(folder)
