"""Label frames by ABINIT in its image, one after another; frames that have a label already are not computed again.

    label_frames.py --frames a.extxyz b.extxyz --indices 0,5,10 --output labels.extxyz --cutoff-ev 250 --k-spacing 0.8 \
        --pseudopotentials Si=Pseudodojo_nc_sr_04_pbe_standard_psp8/Si.psp8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from abinit_labels import run_abinit
from ase.io import iread

from pfd_operator.contract.labeling import AbinitEngine
from pfd_worker.frames import read_frames, write_frames


def main(arguments: list[str] | None = None) -> int:
    """Label what has no label yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, nargs="+", required=True, help="trajectories (extended XYZ)")
    parser.add_argument("--indices", default="0", help="rows taken from every trajectory, with commas")
    parser.add_argument("--output", type=Path, required=True, help="labelled frames (extended XYZ), appended to")
    parser.add_argument("--cutoff-ev", type=float, required=True, help="plane-wave cutoff in eV")
    parser.add_argument("--k-spacing", type=float, required=True, help="largest spacing of k-points in 1/Å")
    parser.add_argument("--pseudopotentials", nargs="+", required=True, help="ELEMENT=FILE …")
    options = parser.parse_args(arguments)
    settings = AbinitEngine(
        cutoff_ev=options.cutoff_ev,
        k_spacing=options.k_spacing,
        pseudopotentials=dict(pair.split("=") for pair in options.pseudopotentials),
    )
    done = {str(frame.info["origin"]) for frame in read_frames(options.output)} if options.output.exists() else set()
    for path in options.frames:
        frames = list(iread(path))
        for i in (int(text) for text in options.indices.split(",")):
            origin = f"{path.stem}#{i}"
            if i >= len(frames) or origin in done:
                continue
            bare = frames[i].copy()
            bare.info = {}
            label, seconds = run_abinit(bare, settings, options.output.with_suffix(".run"))
            label.info["origin"] = origin
            write_frames(options.output, [label], append=True)
            print(f"{origin}: {seconds:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
