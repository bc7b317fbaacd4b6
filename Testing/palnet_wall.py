# SPDX-License-Identifier: Apache-2.0
"""A wall of two colors as mesh files, for what the views show of color."""

from __future__ import annotations

import numpy as np

from palnet_scenes import write_picture

ORANGE, BLUE = (220, 120, 20), (20, 60, 200)
"""On the patient's right and left."""

N_WIDE = 12


def write_wall(path, *, textured, width=110.0):
    """Write a square in the plane x, z as OBJ: with an image, or with colors of vertices.

    The halves of the image are those of the wall; columns of vertices are 10 mm apart.
    """
    columns, rows = (each.ravel() for each in np.meshgrid(range(N_WIDE), range(N_WIDE)))
    places = np.stack([columns, rows], axis=1) / (N_WIDE - 1)
    colors = np.where(places[:, :1] < 0.5, ORANGE, BLUE)
    lines = [f"v {x:.9g} 0 {z:.9g}" for x, z in (places - 0.5) * width]
    if textured:
        write_picture(np.array([[ORANGE, BLUE]] * 2, np.uint8), path.with_suffix(".png"))
        path.with_suffix(".mtl").write_text(f"newmtl paint\nmap_Kd {path.stem}.png\n")
        lines = [f"mtllib {path.stem}.mtl", *lines, *(f"vt {u:.9g} {v:.9g}" for u, v in places)]
        lines.append("usemtl paint")
    else:
        shares = (" ".join(f"{each:.9g}" for each in color / 255) for color in colors)
        lines = [f"{line} {color}" for line, color in zip(lines, shares, strict=True)]
    for row in range(N_WIDE - 1):
        first = row * N_WIDE + np.arange(N_WIDE - 1) + 1
        for a, b, c in ((0, 1, N_WIDE), (1, N_WIDE + 1, N_WIDE)):
            corners = np.stack([first + a, first + b, first + c], axis=1).tolist()
            lines += [
                "f " + " ".join(f"{each}/{each}" if textured else str(each) for each in face)
                for face in corners
            ]
    path.write_text("\n".join(lines) + "\n")
