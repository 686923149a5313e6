"""Speed and memory of the selection kernels, beside a plain reference and beside other libraries.

    python -m benchmarks.kernels [--rows NAME ...] [--quick] [--scale 0.01] [--page-only]

`rows` says what is measured and what is aimed at, in the terms of `row`; `child` measures one thing
in a process of its own, `labeltrain_side`, `plain` and `peers` do the work, `checks` compares what
was picked, `judge` holds it against the aims, `page` and `plots` write it up.
"""
