# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import palnet
import palnet_fakes
from palnet import _pool, cli, detector
from palnet.batch import process_scan
from palnet.commands.detect import _Progress
from palnet.model import find_model
from toy_head import toy_model

LIBRARY = Path(palnet.__file__).parent.parent


def run_apart(*arguments, environment=(), **options):
    """Run Python with this library in another process."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(LIBRARY), **dict(environment)},
        check=False,
        **options,
    )


@pytest.fixture
def detects(monkeypatch):
    """Let the command detect with a stand-in, in this process or in others."""
    monkeypatch.setattr(detector, "detect", palnet_fakes.fake_detect)
    process = partial(process_scan, detect=palnet_fakes.fake_detect)
    monkeypatch.setattr(_pool, "run_jobs", partial(_pool.run_jobs, process=process))


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect", "a.ply", "--jobs", "0"],
        ["finetune", "scans", "-o", "run", "--jobs", "0"],
        ["crossvalidate", "scans", "-o", "run", "--jobs", "-2"],
        ["calibrate", "-o", "m.npz", "--morphable-model", "a.npz", "--folder", "f", "-n", "0"],
        ["synthesize", "-o", "made", "--morphable-model", "a.npz", "--seed", "-5"],
        ["synthesize", "-o", "made", "--morphable-model", "a.npz", "-n", "0"],
    ],
)
def test_number_that_is_too_small_is_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert (ended.value.code, "must be at least" in capsys.readouterr().err) == (2, True)


@pytest.fixture
def a_mixed_folder(a_head_file, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(a_head_file, folder / "anna.obj")
    shutil.copy(a_head_file, folder / "no_face.obj")
    return folder


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"palnet {palnet.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["detekt"], ["detect", "--jobs", "0", "a.obj"]])
def test_wrong_usage_that_the_parser_sees_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert (ended.value.code, "usage: palnet" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect"], "no scan given"),
        (["detect", "--example", "a.obj"], "--example brings its own scan"),
        (["detect", "a.obj", "--format", "xml"], "unknown landmark format 'xml'"),
        (["detect", "a.obj", "--unit", "parsec"], "parsec"),
        (["detect", "a.obj", "--model", "palnet51"], "no model 'palnet51'"),
        (["detect", "a.obj", "--model", __file__], "not a palnet model"),
        (["detect", "a.obj", "-o", __file__], "is not a folder. Give a folder."),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(arguments, message, capsys):
    code = cli.main(arguments)

    printed = capsys.readouterr().err
    assert (code, message in printed, printed.count("\n")) == (2, True, 1)


def test_model_file_is_found_by_workers_that_run_elsewhere(tmp_path, monkeypatch):
    shutil.copy(find_model(), tmp_path / "ours.npz")
    monkeypatch.chdir(tmp_path)
    planned = []
    monkeypatch.setattr(_pool, "run_jobs", lambda jobs, **_options: planned.extend(jobs) or ())

    cli.main(["detect", "a.obj", "--model", "ours.npz"])
    cli.main(["detect", "a.obj", "--model", "palnet50"])

    models = [job.options.model for job in planned]
    assert models == [str(tmp_path / "ours.npz"), "palnet50"]


@pytest.mark.usefixtures("detects")
def test_detect_of_one_scan_writes_and_tells(a_head_file, tmp_path, capsys):
    code = cli.main(["detect", str(a_head_file), "-o", str(tmp_path / "out")])

    printed = capsys.readouterr()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert (code, printed.err) == (0, "")
    assert names == ["head.csv", "head.mrk.json", "head.palnet.json"]
    assert "head.obj: 49 landmarks, expected error" in printed.out
    assert "not on the scan: ch_l" in printed.out
    assert all(str(tmp_path / "out" / name) in printed.out for name in names)


@pytest.mark.usefixtures("detects")
@pytest.mark.parametrize("is_quota", [False, True])
def test_detect_ends_when_the_disk_is_full(is_quota, a_head_file, tmp_path, capsys, monkeypatch):
    for name in ("bea.obj", "carl.obj", "dora.obj"):
        shutil.copy(a_head_file, a_head_file.with_name(name))
    code = errno.EDQUOT if is_quota else errno.ENOSPC
    real, out = Path.open, tmp_path / "out"

    def refuse(path, mode="r", *arguments, **options):
        if mode != "rb" and path.parent == out and (out / "bea.palnet.json").exists():
            raise OSError(code, os.strerror(code), str(path))
        return real(path, mode, *arguments, **options)

    def here(jobs, **_options):
        return (process_scan(job, detect=palnet_fakes.fake_detect) for job in jobs)

    monkeypatch.setattr(_pool, "run_jobs", here)
    monkeypatch.setattr(Path, "open", refuse)
    arguments = ["detect", str(a_head_file.parent), "-o", str(out), "--resume"]

    assert cli.main(arguments) == 2

    printed = capsys.readouterr()
    failed, last = printed.err.splitlines()
    assert "[2/4] carl.obj: failed: " in failed
    assert last.startswith("palnet: the disk is full. Scans left out: 2. Make room, and repeat")
    assert printed.out.endswith("1 of 4 scans done. 1 could not be done, see above.\n")
    assert {path.name.partition(".")[0] for path in out.iterdir()} == {"bea"}

    monkeypatch.undo()
    monkeypatch.setattr(_pool, "run_jobs", here)

    assert cli.main(arguments) == 0
    assert "3 of 4 scans done. There already: 1." in capsys.readouterr().out


@pytest.mark.usefixtures("detects")
@pytest.mark.parametrize("name", ["csv", "CSV"])
def test_detect_of_one_format_writes_that_only(name, a_head_file, tmp_path):
    cli.main(["detect", str(a_head_file), "-o", str(tmp_path / "out"), "--format", name])

    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["head.csv", "head.palnet.json"]


@pytest.mark.usefixtures("detects")
def test_detect_of_a_folder_writes_the_good_and_names_the_others(a_mixed_folder, tmp_path, capsys):
    code = cli.main(["detect", str(a_mixed_folder), "-o", str(tmp_path / "out"), "--jobs", "2"])

    printed = capsys.readouterr()
    assert code == 1
    assert printed.err.splitlines()[0].endswith("no_face.obj: refused: no_face: no face was found.")
    assert printed.err.count("\n") == 1
    assert printed.out.endswith("1 of 2 scans done. 1 could not be done, see above.\n")
    assert (tmp_path / "out" / "anna.csv").is_file()


@pytest.mark.usefixtures("detects")
def test_detect_of_a_folder_names_scans_that_nobody_should_overlook(
    a_mixed_folder, tmp_path, capsys
):
    (a_mixed_folder / "no_face.obj").rename(a_mixed_folder / "small.obj")
    for name in ("bare", "inward", "odd", "open", "pair"):
        shutil.copy(a_mixed_folder / "small.obj", a_mixed_folder / f"{name}.obj")

    code = cli.main(["detect", str(a_mixed_folder), "-o", str(tmp_path / "out")])

    assert code == 0
    assert capsys.readouterr().err.splitlines() == [
        "palnet: bare.obj: Its image is missing.",
        "palnet: inward.obj: a mirror image?",
        "palnet: odd.obj: Is it of this scan?",
        "palnet: pair.obj: another face?",
        "palnet: small.obj: read in millimeters, the face has 60 % of the mean size.",
        "palnet: small.obj: an unusual scan: look at each landmark.",
    ]


@pytest.mark.usefixtures("detects")
@pytest.mark.parametrize("is_given", [False, True])
def test_detect_of_a_folder_tells_units_that_it_guessed(is_given, a_mixed_folder, tmp_path, capsys):
    """A wrong one makes every length wrong; millimeters are what everybody takes for granted."""
    (a_mixed_folder / "no_face.obj").rename(a_mixed_folder / "inches.obj")
    given = ["--unit", "in"] if is_given else []

    cli.main(["detect", str(a_mixed_folder), "-o", str(tmp_path / "out"), *given])

    lines = capsys.readouterr().out.splitlines()
    told = "" if is_given else "; unit by its size: in"
    summary = "" if is_given else " Units by size: mm 1, in 1; --unit says one."
    assert [line.endswith("ch_l" + told) for line in lines if "inches.obj" in line] == [True]
    assert [line.endswith("ch_l") for line in lines if "anna.obj" in line] == [True]
    assert lines[-1] == f"2 of 2 scans done.{summary}"


@pytest.mark.usefixtures("detects")
def test_detect_where_the_shell_leaves_wildcards_finds_the_files(
    a_mixed_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("palnet.cli._SHELL_EXPANDS", False)
    pattern = str(a_mixed_folder / "*n*.obj")
    command = ["palnet", "detect", pattern, str(a_mixed_folder / "no_such_*.obj")]
    monkeypatch.setattr("sys.argv", [*command, "-o", str(tmp_path / "out"), "--format", "csv"])

    cli.main()

    assert {path.stem for path in (tmp_path / "out").glob("*.csv")} == {"anna"}
    assert "no_such_*.obj: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ['My scans" -o out', 'My scans"'])
def test_folder_whose_closing_quote_windows_took_for_a_sign_is_told(argument, monkeypatch, capsys):
    """`"My scans\\" -o out` is one argument there."""
    monkeypatch.setattr("palnet.cli._SHELL_EXPANDS", False)
    monkeypatch.setattr("sys.argv", ["palnet", "detect", argument])

    code = cli.main()

    told = f'palnet: {argument}: contains a ". Remove the \\ before the quote that ends a folder.\n'
    assert (code, capsys.readouterr().err) == (2, told)


@pytest.mark.usefixtures("detects")
def test_detect_of_an_absent_file_is_one_line_and_ends_with_1(tmp_path, capsys):
    code = cli.main(["detect", str(tmp_path / "absent.ply")])

    printed = capsys.readouterr().err
    assert (code, printed.count("\n"), "Traceback" in printed) == (1, 1, False)
    assert "absent.ply: unreadable:" in printed


@pytest.mark.usefixtures("detects")
def test_detect_twice_overwrites_only_when_told(a_head_file, tmp_path, capsys):
    arguments = ["detect", str(a_head_file), "-o", str(tmp_path)]

    codes = [cli.main(arguments), cli.main(arguments), cli.main([*arguments, "--overwrite"])]

    assert codes == [0, 1, 0]
    assert "exists already" in capsys.readouterr().err


@pytest.mark.usefixtures("detects")
@pytest.mark.parametrize("option", [[], ["--no-color"]])
def test_detect_leaves_color_aside_if_told_so(option, a_head_file, tmp_path):
    cli.main(["detect", str(a_head_file), "-o", str(tmp_path), *option])

    (record,) = tmp_path.glob("*.palnet.json")
    made = json.loads(record.read_text(encoding="utf-8"))["provenance"]
    assert ("color" in made) == bool(option)


@pytest.mark.usefixtures("detects")
def test_detect_that_was_broken_off_goes_on(a_mixed_folder, tmp_path, capsys):
    arguments = ["detect", str(a_mixed_folder), "-o", str(tmp_path / "out")]
    cli.main(arguments)
    capsys.readouterr()

    code = cli.main([*arguments, "--resume"])

    printed = capsys.readouterr()
    assert (code, printed.err.count("\n")) == (1, 1)
    told = "0 of 2 scans done. There already: 1. 1 could not be done, see above."
    assert printed.out == f"{told}\n"


def test_synthesize_looks_for_what_is_there_before_it_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("palnet.synthesis.read_morphable_model", lambda *_: toy_model())
    (tmp_path / "5.csv").write_text("mine", encoding="utf-8")

    code = cli.main(
        ["synthesize", "-n", "9", "-o", str(tmp_path), "--morphable-model", "heads.npz"]
    )

    assert (code, [path.name for path in tmp_path.iterdir()]) == (2, ["5.csv"])
    assert "5.csv exists already" in capsys.readouterr().err


@pytest.mark.usefixtures("detects")
def test_detect_tells_of_scans_in_folders_below(a_mixed_folder, tmp_path, capsys):
    shutil.copy(a_mixed_folder / "anna.obj", tmp_path / "bo.obj")

    cli.main(["detect", str(tmp_path), "-o", str(tmp_path / "out")])
    told = capsys.readouterr().err
    cli.main(["detect", str(tmp_path), "-o", str(tmp_path / "all"), "--recursive"])

    assert "scans in subfolders, skipped: 2; --recursive includes them." in told
    assert {"anna.csv", "bo.csv"} <= {path.name for path in (tmp_path / "all").iterdir()}


@pytest.mark.usefixtures("detects")
@pytest.mark.parametrize("options", [[], ["--recursive"]])
def test_detect_tells_of_scans_in_formats_that_are_not_read(
    options, a_mixed_folder, tmp_path, capsys
):
    """Nothing said that half of a cohort was in files that are passed over."""
    for name in ("cy.glb", "dora.GLB", "anna.wrl", "anna.png", ".hidden.glb", "below/eva.fbx"):
        (a_mixed_folder / name).parent.mkdir(exist_ok=True)
        (a_mixed_folder / name).write_bytes(b"not read")

    cli.main(["detect", str(a_mixed_folder), "-o", str(tmp_path / "out"), *options])

    (told,) = [line for line in capsys.readouterr().err.splitlines() if "formats" in line]
    of_fbx = "1 .fbx (open it in Blender and export it as PLY); " if options else ""
    assert told == (
        f"palnet: files of other formats, skipped: {of_fbx}"
        "2 .glb (open it in MeshLab or Blender and export it as PLY)."
    )


@pytest.mark.usefixtures("detects")
@pytest.mark.parametrize(("option", "sign"), [("file", 1), ("lps", 1), ("ras", -1)])
def test_convention_detect_frame_of_a_file_without_header_is_lps(
    option, sign, a_head_file, tmp_path
):
    cli.main(["detect", str(a_head_file), "-o", str(tmp_path), "--frame", option])

    written = palnet.read_landmarks(tmp_path / "head.csv").positions[0]
    vertex = palnet.read_mesh(a_head_file).points[0]
    np.testing.assert_allclose(written, vertex * [sign, sign, 1], atol=5.1e-7)


def test_models_prints_what_belongs_together_below_its_name(capsys):
    cli.main(["models"])

    lines = capsys.readouterr().out.splitlines()
    below = lines[lines.index("    people:") + 1]
    assert below.startswith("      first_seed: ")
    # The 51 rows of a fine-tuned model took 400 lines.
    assert any(
        line.startswith("    landmarks 6: n_steps 21800, peak_rate 0.001, ") for line in lines
    )
    assert [line for line in lines if "{" in line] == []


@pytest.mark.parametrize("error", [RecursionError, palnet.PalnetError])
def test_import_that_goes_on_to_another_error_after_ctrl_c_is_an_interruption(
    error, monkeypatch, capsys
):
    """In the import of scipy a RecursionError of numpy's, in that of torch "not installed"."""

    def import_badly(*_, **__):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise error

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(_pool, "run_jobs", import_badly)

    assert cli.main(["detect", "a.obj"]) == 130
    assert capsys.readouterr().err == "palnet: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_error_of_palnet_itself_is_not_hidden(monkeypatch):
    def fail(*_, **__):
        raise RecursionError

    monkeypatch.setattr(_pool, "run_jobs", fail)

    with pytest.raises(RecursionError):
        cli.main(["detect", "a.obj"])


@pytest.mark.parametrize(("patience_s", "said"), [(60.0, "tidied"), (-1.0, "")])
def test_ctrl_c_pressed_again_at_once_does_not_interrupt_the_tidying(
    patience_s, said, monkeypatch, capsys
):
    def run_and_tidy(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            print("tidied")

    monkeypatch.setattr(cli, "_PATIENCE_S", patience_s)
    monkeypatch.setattr(_pool, "run_jobs", run_and_tidy)

    assert cli.main(["detect", "a.obj"]) == 130
    assert capsys.readouterr() == (f"{said}\n" if said else "", "palnet: interrupted\n")


IMPATIENT = """
import atexit, signal, sys
from palnet import _pool, cli

def interrupt(*_, **__):
    raise KeyboardInterrupt

if __name__ == "__main__":
    _pool.run_jobs = interrupt
    atexit.register(print, "ended by itself", flush=True)
    atexit.register(signal.raise_signal, signal.SIGINT)  # while Python waits for processes
    cli._PATIENCE_S = float(sys.argv[1])
    sys.argv = ["palnet", "detect", "a.obj"]
    sys.exit(cli.main())
"""


@pytest.mark.parametrize(("patience_s", "said"), [(60.0, "ended by itself\n"), (-1.0, "")])
def test_ctrl_c_pressed_again_while_the_command_ends_gives_no_traceback(patience_s, said):
    ended = run_apart("-c", IMPATIENT, str(patience_s), capture_output=True, text=True)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, said, "palnet: interrupted\n")


@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["detect", "--help"], ["--version"]])
def test_output_that_nobody_reads_any_more_is_no_traceback(arguments):
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "wb") as closed:
        buffered = {"PYTHONUNBUFFERED": ""}
        streams = {"stdout": closed, "stderr": subprocess.PIPE}
        ended = run_apart("-m", "palnet", *arguments, environment=buffered, **streams)

    assert (ended.returncode, ended.stderr) == (141, b"")


def test_command_without_any_output_stream_ends_well(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)

    assert cli.main(["models"]) == 0


def test_other_errors_of_the_system_are_not_taken_for_a_closed_pipe(monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise FileNotFoundError(2, "gone", "a.obj")

    monkeypatch.setattr(_pool, "run_jobs", fail)

    assert cli.main(["detect", "a.obj"]) == 2
    expected = "palnet: a.obj: gone. Check the path, the rights and the free space.\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("told", "code"),
    [((errno.EINVAL, "invalid"), 141), ((errno.EINVAL, "invalid", "a?.obj"), 2)],
)
def test_windows_word_for_a_closed_pipe_counts_where_it_names_no_file(told, code, monkeypatch):
    def fail(*args, **kwargs):
        monkeypatch.setattr(sys, "platform", "win32")
        raise OSError(*told)

    monkeypatch.setattr(_pool, "run_jobs", fail)
    monkeypatch.setattr(cli, "_drop_output", lambda: None)

    assert cli.main(["detect", "a.obj"]) == code


@pytest.mark.parametrize("command", ["detect", "measure"])
def test_path_that_the_system_refuses_is_told_in_one_line(command, tmp_path):
    arguments = (command, "x" * 300 + ".ply", "-o", str(tmp_path / "out"))

    ended = run_apart("-m", "palnet", *arguments, capture_output=True, text=True)

    # For detect it is one scan of perhaps many.
    assert ended.returncode == (1 if command == "detect" else 2)
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("palnet: xxx")


class FullDisk(io.StringIO):
    """Where output was sent by `>` when the disk has no room left."""

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_output_to_a_full_disk_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout", FullDisk())

    assert cli.main(["models"]) == 2

    told = capsys.readouterr().err
    assert (told.count("\n"), "No space left" in told) == (1, True)


def test_name_that_the_console_cannot_show_is_printed_escaped(tmp_path):
    arguments = ("-m", "palnet", "detect", str(tmp_path / "Gesicht_Müller.ply"))
    environment = {"PYTHONIOENCODING": "ascii"}

    ended = run_apart(*arguments, environment=environment, capture_output=True, text=True)

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "Gesicht_M\\xfcller.ply: unreadable" in ended.stderr


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_one_line_that_is_cleared():
    stream = Terminal()
    progress = _Progress(4, stream)

    progress.show(2)
    progress.clear()

    line, blanks, rest = stream.getvalue().split("\r")
    assert (line.endswith("2 of 4 scans"), blanks, rest) == (True, " " * len(line), "")


def test_progress_is_cleared_before_an_interruption_is_told(monkeypatch):
    """It said "[####      ] 3 of 10 scanspalnet: interrupted"."""

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt
        yield

    stream = Terminal()
    monkeypatch.setattr(_pool, "run_jobs", interrupt)
    monkeypatch.setattr(sys, "stderr", stream)

    cli.main(["detect", "a.obj", "b.obj"])

    line, blanks, rest = stream.getvalue().split("\r")
    assert (line.endswith("0 of 2 scans"), blanks.strip(), rest) == (
        True,
        "",
        "palnet: interrupted\n",
    )


def test_progress_makes_room_for_a_message(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    progress = _Progress(4, stream)

    progress.show(2)
    progress.interrupt("no worker")

    line, blanks, rest = stream.getvalue().split("\r")
    assert (rest, blanks) == (f"palnet: no worker\n{line}", " " * len(line))


def test_progress_in_a_log_is_nothing():
    stream = io.StringIO()
    progress = _Progress(4, stream)

    progress.show(2)
    progress.clear()

    assert stream.getvalue() == ""
