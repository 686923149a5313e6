"""Command line: run rows, keep their records, write the page."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.kernels import harness, page
from benchmarks.kernels.rows import ROWS

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Run what is asked for; records of other rows stay."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="rows, or beginnings of names")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--quick", action="store_true", help="no repeats")
    parser.add_argument("--scale", type=float, default=1.0, help="share of each n and k")
    parser.add_argument("--sides", nargs="+", metavar="SIDE", help="for trials: only these")
    parser.add_argument("--missing", action="store_true", help="only rows without a record")
    parser.add_argument("--page-only", action="store_true", help="write the page from the records")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "benchmarks" / "results" / "kernels.json"
    )
    parser.add_argument("--folder", type=Path, help="where the arrays go for the time (2 GB)")
    options = parser.parse_args()
    wanted = tuple(options.rows or ROWS)
    names = [name for name in ROWS if name.startswith(wanted)]
    if options.list or not names:
        print("\n".join(ROWS))
        raise SystemExit(0 if options.list else 2)
    results = harness.load_results(options.results)
    if options.missing:
        names = [name for name in names if name not in results]
    if not options.page_only:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for name in names:
                print(f"{ROWS[name].title}", flush=True)
                row = ROWS[name].scaled(options.scale)
                if options.sides:
                    row = replace(row, sides=tuple(s for s in row.sides if s in options.sides))
                results[name] = harness.run_row(row, Path(folder), 1 if options.quick else None)
                results = {name: results[name] for name in ROWS if name in results}
                harness.save_results(options.results, results)
    page.write(results, options.out)
    print(page.aims(results))


if __name__ == "__main__":
    main()
