# SPDX-License-Identifier: Apache-2.0
"""The way the arrows point, and what may be imported where."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import palnet
import typed_script

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(palnet.__file__).parent
ROOT = PACKAGE.parent.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A room imports rooms of its own or an earlier row only; rooms of one row form no circle. The
# stages of a detection keep an order too: each is a room.
ROWS = (
    {"errors"},
    {
        "_caught",
        "_checks",
        "_frozen",
        "_csv",
        "_dependencies",
        "_files",
        "_numbers",
        "_parallel",
        "_run_folder",
        "_stopwatch",
        "_stored",
        "_worker",
    },
    {"scheme", "similarity"},
    {"landmarks"},
    {"error_classes", "exchange", "samples", "surface"},
    {"calibration", "input_files"},
    {"jobs"},
    {"synthesis"},
    {"network"},
    {"face", "photo"},
    {"model"},
    {"detection", "detection.refinement"},
    {"detection.fitting"},
    {"detection.judging"},
    {"detection.finding"},
    {"detection.placing"},
    {"detection.combining"},
    {"detector"},
    {"_drawing", "_page", "_record", "_mean_face", "_plausible", "measurement", "preview"},
    {"data_sets"},
    {"_earlier_results", "batch", "evaluation", "training"},
    {"_cluster"},
    {"_pool"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}

# The Slicer side: the outermost users of the library.
MODULE_FILE = PACKAGE.parent / "PALNetLandmarks.py"
MODULE_LIBRARY = PACKAGE.parent / "PALNetLandmarksLib"
SLICER_SIDE = [MODULE_FILE, *sorted(MODULE_LIBRARY.rglob("*.py"))]

HEAVY = ("vtk", "vtkmodules", "torch", "dask", "distributed")
MAX_MODULE_LINES = 600
# What Slicer loads is thin; what it does stands in the Lib.
MAX_MODULE_FILE_LINES = 400
MAX_FUNCTION_LINES = 50


def room_of(module: str) -> str:
    """`palnet.surface._obj` is in the room `surface`, `palnet.detection.fitting` a room itself."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2] if parts[0] == "detection" else parts[:1])


def imported_modules(path: Path) -> set[str]:
    """Dotted names of all palnet modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("palnet.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "palnet":
                names = {alias.name for alias in node.names if alias.name != "__version__"}
                found |= {palnet._HOMES.get(name, f"palnet.{name}") for name in names}
            elif (node.module or "").startswith("palnet."):
                found |= {module_of(node.module, alias.name) for alias in node.names}
    return found


def module_of(package: str, name: str) -> str:
    """What `from package import name` imports: a module of a package, or else a name in it."""
    inside = PACKAGE.parent.joinpath(*package.split("."), f"{name}.py")
    return f"{package}.{name}" if inside.is_file() else package


def room_arrows() -> dict[str, set[str]]:
    """Which rooms each room imports, itself left out."""
    arrows: dict[str, set[str]] = {}
    for path in MODULES:
        parts = ("palnet", *path.relative_to(PACKAGE).with_suffix("").parts)
        if parts == ("palnet", "__init__"):
            continue  # the front door, which imports nothing before it is asked
        room = room_of(".".join(parts).removesuffix(".__init__"))
        imported = {room_of(module) for module in imported_modules(path)} - {room}
        arrows.setdefault(room, set()).update(imported)
    return arrows


def test_rooms_are_all_in_the_table():
    rooms = set(room_arrows())

    assert rooms <= set(ROW_OF)


def test_every_folder_of_modules_is_a_package_that_says_what_it_holds():
    folders = {path.parent for path in MODULES}

    firsts = {folder: (folder / "__init__.py") for folder in folders}
    assert [folder for folder, first in firsts.items() if not first.is_file()] == []
    trees = [ast.parse(first.read_text(encoding="utf-8")) for first in firsts.values()]
    assert all(ast.get_docstring(tree) for tree in trees)


def test_imports_between_rooms_point_one_way():
    reverse = [
        f"{room} imports {other}"
        for room, others in room_arrows().items()
        for other in others
        if ROW_OF[other] > ROW_OF[room]
    ]

    assert reverse == []


def test_imports_between_rooms_form_no_circle():
    arrows = room_arrows()
    while leaves := {room for room, others in arrows.items() if not others & set(arrows)}:
        arrows = {room: others for room, others in arrows.items() if room not in leaves}

    assert arrows == {}


def test_neither_way_of_training_imports_the_other():
    """What both need is beside their folders and imports neither."""
    ways = ("palnet.training.annotated.", "palnet.training.generated.")
    reverse = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in (PACKAGE / "training").rglob("*.py")
        for module in imported_modules(path)
        if module.startswith(ways) and module.split(".")[2] != path.parent.name
    ]

    assert reverse == []


def test_import_palnet_loads_nothing_heavy():
    code = f"import palnet, sys; print([m for m in {HEAVY!r} if m in sys.modules])"

    assert run_python(code) == "[]"


def test_import_for_detection_loads_nothing_heavy():
    names = "batch, _pool, cli, detector, exchange, face, network, preview, surface"
    code = (
        f"from palnet import {names}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    )

    assert run_python(code) == "[]"


def test_import_cli_leaves_numpy_for_later():
    code = "import palnet.cli, sys; palnet.cli.build_parser(); print('numpy' in sys.modules)"

    assert run_python(code) == "False"


def run_python(code: str) -> str:
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); {code}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def top_names(path: Path) -> set[str]:
    """First parts of the names of all modules that a file imports, wherever in the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_never_imports_slicer_or_qt(path):
    slicer_side = {"slicer", "qt", "ctk", "PySide6", "PALNetLandmarks", "PALNetLandmarksLib"}

    assert not top_names(path) & slicer_side


@pytest.mark.parametrize("path", SLICER_SIDE, ids=lambda path: path.stem)
def test_slicer_side_imports_what_slicer_has(path):
    own = {"palnet", "PALNetLandmarksLib"}
    in_slicer = {"slicer", "qt", "ctk", "vtk", "numpy", "scipy"}
    unknown = top_names(path) - own - in_slicer - set(sys.stdlib_module_names)

    assert unknown == set()


def test_module_file_starts_with_what_slicer_always_has():
    """So that the module opens, and can say what is missing, whatever else is not there."""
    statements = ast.parse(MODULE_FILE.read_text(encoding="utf-8")).body
    names = {
        alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names
    }
    names |= {node.module or "" for node in statements if isinstance(node, ast.ImportFrom)}
    allowed = {"slicer", "qt", "ctk", "vtk", "numpy", "scipy"} | set(sys.stdlib_module_names)

    assert {name.split(".")[0] for name in names} <= allowed


@pytest.mark.parametrize("path", SLICER_SIDE, ids=lambda path: path.stem)
def test_slicer_side_never_imports_the_module_file(path):
    assert "PALNetLandmarks" not in top_names(path)


def test_imports_of_the_slicer_side_form_no_circle():
    arrows = {
        f"PALNetLandmarksLib.{'.'.join(path.relative_to(MODULE_LIBRARY).with_suffix('').parts)}": {
            node.module
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
        }
        for path in SLICER_SIDE[1:]
    }
    while leaves := {room for room, others in arrows.items() if not others & set(arrows)}:
        arrows = {room: others for room, others in arrows.items() if room not in leaves}

    assert arrows == {}


@pytest.mark.parametrize("path", SLICER_SIDE, ids=lambda path: path.stem)
def test_qt_is_called_without_keywords(path):
    """PythonQt takes none, PySide6 takes any property: the stand-in could not tell."""
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[0] in ("qt", "ctk")
        and node.keywords
    ]

    assert calls == []


@pytest.mark.parametrize("path", SLICER_SIDE, ids=lambda path: path.stem)
def test_texts_to_translate_are_plain(path):
    """What is put into a text before it is looked up is never found in a translation."""
    put_together = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("_", "translate")
        and not all(isinstance(argument, ast.Constant) for argument in node.args)
    ]

    assert put_together == []


@pytest.mark.parametrize(
    "path", [*MODULES, *SLICER_SIDE], ids=lambda path: str(path.relative_to(PACKAGE.parent))
)
def test_module_and_its_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]

    long = [f"{f.name}: {body_length(f)}" for f in functions if body_length(f) > MAX_FUNCTION_LINES]

    assert (text.count("\n") <= MAX_MODULE_LINES, long) == (True, [])


def test_what_slicer_loads_is_thin():
    assert MODULE_FILE.read_text(encoding="utf-8").count("\n") < MAX_MODULE_FILE_LINES


def texts_of(path: Path) -> list[str]:
    """What a file says to a user: its strings of several words, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node not in alone and " " in str(node.value)
    ]


@pytest.mark.parametrize("path", [*MODULES, *SLICER_SIDE], ids=lambda path: path.name)
def test_texts_are_in_american_english(path):
    """They stand in Slicer's panel, which asks for it."""
    british = re.compile(r"metre|colour|centre|neighbour|grey|labell|modell", re.IGNORECASE)

    assert [text for text in texts_of(path) if british.search(str(text))] == []


def body_length(function: ast.FunctionDef) -> int:
    """Lines of the body without its docstring."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


def test_public_names_are_all_reachable():
    missing = [name for name in palnet.__all__ if getattr(palnet, name, None) is None]

    assert missing == []


@pytest.mark.parametrize("name", [name for name in palnet.__all__ if name in palnet._HOMES])
def test_errors_of_public_names_are_public(name):
    """Who calls `palnet.detect` catches what it raises without looking for another module."""
    raises = re.search(
        r"\nRaises\n-+\n(.*?)(\n\n|\Z)", inspect.getdoc(getattr(palnet, name)) or "", re.DOTALL
    )
    documented = re.findall(r"^(\w+)$", raises.group(1), re.MULTILINE) if raises else []

    assert [
        each for each in documented if not hasattr(builtins, each) and each not in palnet.__all__
    ] == []


@pytest.mark.parametrize("kind", [palnet.LandmarkSet, palnet.Mesh, palnet.Scheme])
def test_signature_for_type_checkers_is_that_of_the_class(kind):
    """They are told more than the fields say: a list where a tuple is kept."""
    tree = ast.parse(inspect.getsource(kind))
    (stated,) = (node.args for node in ast.walk(tree) if getattr(node, "name", None) == "__init__")

    takes = list(inspect.signature(kind).parameters.values())
    defaults = [each.default for each in takes if each.default is not inspect.Parameter.empty]
    assert [each.arg for each in stated.args[1:]] == [each.name for each in takes]
    assert [ast.literal_eval(each) for each in stated.defaults] == defaults


def test_a_user_s_script_runs(tmp_path):
    """Its types are checked by `make lint`."""
    figures = typed_script.main(tmp_path)

    assert figures["ch_r-ch_l"] > 30
    assert figures["moved"] < 1e-5  # mm, by the digits of a file
    assert typed_script.gap_mm() == 3.0
    assert len(typed_script.lab_set()) == 2


def test_unknown_public_name_raises():
    with pytest.raises(AttributeError, match="no attribute 'detekt'"):
        palnet.detekt  # noqa: B018  # reading it is the test


def test_package_data_ships_every_file():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]

    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".py"]
    ours = [path for path in files if "__pycache__" not in path.parts]
    assert [path for path in ours if not is_shipped(path, patterns)] == []


def is_shipped(path: Path, patterns: dict[str, list[str]]) -> bool:
    folder = path.parent
    while not (folder / "__init__.py").exists():
        folder = folder.parent
    package = ".".join(folder.relative_to(PACKAGE.parent).parts)
    relative = path.relative_to(folder).as_posix()
    own = any(fnmatch(relative, glob) and "/" not in relative for glob in patterns.get(package, []))
    return own or any(fnmatch(path.name, glob.removeprefix("**/")) for glob in patterns["palnet"])
