# SPDX-License-Identifier: Apache-2.0
"""The record of a detection, `<stem>.palnet.json`: how it was made and how certain it is."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import palnet
from palnet._stored import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from palnet.detector import Detection
    from palnet.landmarks import LandmarkSet

__all__ = ["describe_detection", "read_record", "record_text"]


def describe_detection(
    detection: Detection,
    written: LandmarkSet,
    *,
    scan_name: str,
    files: Mapping[str, str],
    scan_sha256: str = "",
) -> dict[str, Any]:
    """Collect as plain data what a landmark file cannot hold; NaN becomes None.

    `written` are the landmarks in the requested frame, `files` the hash of each file written with
    the record, by name.
    """
    record = {
        "palnet": palnet.__version__,
        "scan": scan_name,
        "scan_sha256": scan_sha256,
        "specimen": written.specimen,
        "scheme": written.scheme.name,
        "frame": written.frame,
        "space": written.space,
        "mm_per_unit": written.mm_per_unit,
        "quality": asdict(detection.quality),
        "findings": [asdict(finding) for finding in detection.findings],
        "landmarks": [
            {"code": code, "status": status, "expected_error_mm": error_mm}
            for code, status, error_mm in zip(
                written.scheme.codes, written.status, written.expected_error_mm, strict=True
            )
        ],
        "face_from_scan_mm": detection.face_from_scan.tolist(),
        "scan_space": detection.landmarks.space,
        "files": dict(files),
        "provenance": detection.provenance,
    }
    plain: dict[str, Any] = _plain(record)
    return plain


def record_text(record: dict[str, Any]) -> str:
    """Format a record as JSON, one landmark per line."""
    rows = ",\n".join("  " + json.dumps(row) for row in record["landmarks"])
    rest = {key: value for key, value in record.items() if key != "landmarks"}
    text = json.dumps(rest, indent=1, ensure_ascii=False, allow_nan=False)
    return f'{text[:-2]},\n "landmarks": [\n{rows}\n ]\n}}\n'


def _plain(value: Any) -> Any:
    """Round floats to their meaningful digits, and turn NaN into None and tuples into lists."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(float(value), 6) if math.isfinite(value) else None
    return value


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of an earlier detection; empty if there is none, or it is damaged."""
    if not path.exists():
        return {}
    try:
        record = parse_json(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
