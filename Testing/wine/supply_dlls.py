# SPDX-License-Identifier: Apache-2.0
"""Gives Windows' programs what Wine 10 lacks: complex numbers of C, and ICU for Qt.

Wine's C library has no `crealf` and the like, which numpy calls. A library under another name has
them and hands on the rest; the packages are told that name instead. Qt only asks ICU for
encodings that nothing here uses, so that functions which answer nothing will do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pefile

WINDOWS_NAME, OUR_NAME = b"api-ms-win-crt-math-l1-1-0.dll", b"our-ms-win-crt-math-l1-1-0.dll"
COMPILER = "x86_64-w64-mingw32-gcc"
PARTS = ("creal", "cimag", "cabs", "carg")
FUNCTIONS = ("catan", "ccos", "ccosh", "cexp", "clog", "csin", "csinh", "csqrt", "ctan", "ctanh")
# Windows passes a complex number as a structure of two; its long double is a double.
HEAD = """
#include <complex.h>
typedef struct { float re, im; } F;
typedef struct { double re, im; } D;
static float _Complex f(F z) { return __builtin_complex(z.re, z.im); }
static double _Complex d(D z) { return __builtin_complex(z.re, z.im); }
static F to_f(float _Complex z) { F out = {crealf(z), cimagf(z)}; return out; }
static D to_d(double _Complex z) { D out = {creal(z), cimag(z)}; return out; }
"""


def main() -> None:
    """Supply the Pythons in the folders that are named."""
    for folder in map(Path, sys.argv[1:]):
        binaries = [path for ending in ("*.pyd", "*.dll") for path in folder.rglob(ending)]
        for path in binaries:
            content = path.read_bytes()
            if WINDOWS_NAME in content:
                path.write_bytes(content.replace(WINDOWS_NAME, OUR_NAME))
        build(folder / OUR_NAME.decode(), *math_library(imports(binaries, OUR_NAME.decode())))
        build(folder / "icuuc.dll", *mute_library(imports(binaries, "icuuc.dll")))


def imports(binaries: list[Path], library: str) -> list[str]:
    """Names of the functions that programs take from a library."""
    names: set[str] = set()
    for path in binaries:
        try:
            program = pefile.PE(path, fast_load=True)
        except pefile.PEFormatError:
            continue
        program.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_IMPORT"]])
        for entry in getattr(program, "DIRECTORY_ENTRY_IMPORT", []):
            if entry.dll.decode().lower() == library:
                names |= {each.name.decode() for each in entry.imports if each.name}
    return sorted(names)


def math_library(names: list[str]) -> tuple[str, list[str]]:
    """Source and exports of the library of complex numbers."""
    source, exports = HEAD, []
    for name in names:
        base = name[:-1] if name[:-1] in (*PARTS, *FUNCTIONS, "cpow") else name
        kind, letter, number, end = ("D", "d", "double", "")
        if name == f"{base}f":
            kind, letter, number, end = ("F", "f", "float", "f")
        if base in PARTS:
            source += f"{number} x_{name}({kind} z) {{ return {base}{end}({letter}(z)); }}\n"
        elif base in FUNCTIONS:
            value = f"to_{letter}({base}{end}({letter}(z)))"
            source += f"{kind} x_{name}({kind} z) {{ return {value}; }}\n"
        elif base == "cpow":
            value = f"to_{letter}(cpow{end}({letter}(z), {letter}(w)))"
            source += f"{kind} x_{name}({kind} z, {kind} w) {{ return {value}; }}\n"
        else:
            exports.append(f"{name} = ucrtbase.{name}")
            continue
        exports.append(f"{name} = x_{name}")
    return source, exports


def mute_library(names: list[str]) -> tuple[str, list[str]]:
    """Source and exports of a library whose functions answer nothing."""
    return "".join(f"void *{name}(void) {{ return 0; }}\n" for name in names), names


def build(path: Path, source: str, exports: list[str]) -> None:
    """Compile a library."""
    code, definition = path.with_suffix(".c"), path.with_suffix(".def")
    code.write_text(source, encoding="utf-8")
    definition.write_text("\n".join([f"LIBRARY {path.name}", "EXPORTS", *exports, ""]))
    command = [COMPILER, "-O1", "-shared", "-w", "-fno-builtin", "-o", path, code, definition]
    subprocess.run([*map(str, command), "-static-libgcc"], check=True)


if __name__ == "__main__":
    main()
