"""Worker of native_targets.py: a training step in fastfm_core, Adagrad on the rows, Adam on the rest; and its ceilings.

python benchmarks/step_ours.py WORKLOAD BATCH HIDDEN BACKEND      HIDDEN such as 64-64, or fm for the FM alone

Cases: "losses" of steps from the initial weights on the log's first batches; "step"; "gemm", the matrix products of
that step alone; "gather", its rows read once and nothing else.
"""

from __future__ import annotations

import sys

from fastfm_core.bench import ceilings
from fastfm_core.bench.step import Gather, TrainingStep
from fastfm_core.bench.workload import hidden_widths, workload
from timing import serve, timed

if __name__ == "__main__":
    name, batch, widths, backend = sys.argv[1:]
    work, hidden = workload(name, int(batch)), hidden_widths(widths)
    step = TrainingStep(work, hidden, backend)
    cases = {"losses": step.losses, "step": timed(step), "gather": timed(Gather(work))}
    if hidden:
        cases["gemm"] = timed(ceilings.Gemm(work.batch, work.widths(hidden)))
    serve(cases)
