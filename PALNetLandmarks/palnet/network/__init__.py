# SPDX-License-Identifier: Apache-2.0
"""The networks: what a detection runs, in numpy, and their twins for training, in torch.

`landmarks` and `pose` are those of the shipped model, `paper` those of the PAL-Net publication;
each reads patches of the surface (`patches`, `paper_patches`). Modules `torch_*` need torch, and
nothing on the way of a detection imports them.
"""
