# SPDX-License-Identifier: Apache-2.0
"""The record of a detection, `<stem>.palnet.json`: how it came about and how sure it is."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import palnet

if TYPE_CHECKING:
    from palnet.detector import Detection
    from palnet.landmarks import LandmarkSet

__all__ = ["describe_detection", "record_text"]


def describe_detection(
    detection: Detection, written: LandmarkSet, *, scan_name: str, files: tuple[str, ...]
) -> dict[str, Any]:
    """Put into plain data what a landmark file cannot hold.

    Parameters
    ----------
    detection : Detection
        The detection.
    written : LandmarkSet
        Its landmarks as they were written, in the frame asked for.
    scan_name : str
        Name of the scan file, without its folder.
    files : tuple of str
        Names of the files written beside the record.

    Returns
    -------
    dict
        Values that JSON can hold; NaN has become None.
    """
    record = {
        "palnet": palnet.__version__,
        "scan": scan_name,
        "specimen": written.specimen,
        "scheme": written.scheme.name,
        "frame": written.frame,
        "space": written.space,
        "mm_per_unit": written.mm_per_unit,
        "quality": asdict(detection.quality),
        "findings": [asdict(finding) for finding in detection.findings],
        "landmarks": [
            {"code": code, "status": status, "expected_error_mm": float(error_mm)}
            for code, status, error_mm in zip(
                written.scheme.codes, written.status, written.expected_error_mm, strict=True
            )
        ],
        "face_from_scan_mm": detection.face_from_scan.tolist(),
        "files": list(files),
        "provenance": detection.provenance,
    }
    plain: dict[str, Any] = _plain(record)
    return plain


def record_text(record: dict[str, Any]) -> str:
    """Write a record as JSON, one landmark a line."""
    rows = ",\n".join("  " + json.dumps(row) for row in record["landmarks"])
    rest = {key: value for key, value in record.items() if key != "landmarks"}
    text = json.dumps(rest, indent=1, ensure_ascii=False, allow_nan=False)
    whole = f'{text[:-2]},\n "landmarks": [\n{rows}\n ]\n}}\n'
    # A file name may hold bytes that are no UTF-8: they become JSON's own escapes.
    return whole.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    """Round floats to what is meant, turn NaN into None and tuples into lists."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(float(value), 6) if math.isfinite(value) else None
    return value
