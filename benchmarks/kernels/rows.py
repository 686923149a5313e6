"""What is measured, and what is aimed at."""

from __future__ import annotations

from benchmarks.kernels.arrays import Data
from benchmarks.kernels.row import GB, OURS, Row, Target


def _rows() -> list[Row]:
    peer = "scikit-activeml"
    small = Data("clustered", 20_000, 128, 50)
    large = Data("clustered", 200_000, 384, 20)
    rows = [
        Row(
            "k-center-20k",
            "k-center n=20k d=128 k=1,000",
            "k-center",
            small,
            20_000,
            1000,
            100,
            (OURS, "plain", peer),
            (Target("faster", 5, peer), Target("greedy", 1e-5)),
            "greedy",
        ),
        Row(
            "k-center-20k-100",
            "k-center n=20k d=128 k=100",
            "k-center",
            small,
            20_000,
            100,
            100,
            (OURS, "plain", peer, "small-text"),
            (),
            "greedy",
        ),
        Row(
            "k-center-200k",
            "k-center n=200k d=384 k=1,000",
            "k-center",
            large,
            200_000,
            1000,
            100,
            (OURS, "plain"),
            (Target("faster", 8, "plain"), Target("greedy", 1e-5)),
            "greedy",
        ),
        Row(
            "badge-20k",
            "BADGE n=20k d=128 C=50 k=100",
            "badge",
            small,
            20_000,
            100,
            100,
            (OURS, "plain", peer),
            (
                Target("faster", 150, peer),
                Target("smaller", 10, peer),
                Target("faster", 2, "plain"),
                Target("law", 3.0),
            ),
            "law",
            more_seeds=30,
        ),
        Row(
            "badge-200k",
            "BADGE n=200k d=384 C=20 k=1,000",
            "badge",
            large,
            200_000,
            1000,
            100,
            (OURS, "plain"),
            (Target("faster", 4, "plain"), Target("law", 3.0)),
            "law",
            more_seeds=5,
        ),
    ]
    for kind in ("clustered", "isotropic"):
        rows.append(
            Row(
                f"facility-location-10k-{kind}",
                f"facility location n=10k d=384 k=2,000, {kind}",
                "facility-location",
                Data(kind, 10_000, 384),
                10_000,
                2000,
                0,
                (OURS, "apricot", "submodlib"),
                (
                    Target("faster", 4, "apricot"),
                    Target("faster", 15, "submodlib"),
                    Target("value", 1e-6),
                ),
                "value",
            )
        )
    for kind in ("clustered", "isotropic"):
        rows.append(
            Row(
                f"facility-location-100k-{kind}",
                f"facility location n=100k d=384 k=1,000, {kind}",
                "facility-location",
                Data(kind, 100_000, 384),
                100_000,
                1000,
                0,
                targets=(Target("seconds", 600), Target("memory", 3 * GB)),
            )
        )
    for strategy, shown, check in (
        ("max-herding", "MaxHerding", "value"),
        ("prob-cover", "ProbCover", ""),
        ("typiclust", "TypiClust", ""),
    ):
        rows.append(
            Row(
                f"{strategy}-15k",
                f"{shown} n=15k d=128 k=20",
                strategy,
                Data("clustered", 15_000, 128),
                15_000,
                20,
                0,
                (OURS, peer),
                (Target("value", 1e-6),) if check else (),
                check,
            )
        )
        rows.append(
            Row(
                f"{strategy}-100k",
                f"{shown} n=100k d=128 k=100",
                strategy,
                Data("clustered", 100_000, 128),
                100_000,
                100,
                0,
                targets=(Target("seconds", 120), Target("memory", 2 * GB)),
            )
        )
    million = Data("clustered", 1_000_000, 256, 10)
    for strategy, shown in (("margin", "margin"), ("k-center", "k-center"), ("badge", "BADGE")):
        for n, size in ((250_000, "250k"), (500_000, "500k"), (1_000_000, "1M")):
            targets: tuple[Target, ...] = ()
            if n == million.n:
                targets = (Target("resident", 4 * GB),)
                if strategy != "margin":
                    targets += (Target("seconds", 300),)
                targets += (Target("slope", 1.15),)
            rows.append(
                Row(
                    f"mapped-{strategy}-{size}",
                    f"{shown} {size} x 256 float32 memory-mapped, k=10,000",
                    strategy,
                    million,
                    n,
                    10_000,
                    100,
                    targets=targets,
                    mapped=True,
                )
            )
    return rows


def _graph_rows() -> list[Row]:
    """Facility location on a graph of 64 neighbours."""
    strategy = "facility-location"
    return [
        Row(
            "facility-location-graph-10k",
            "facility location on a graph n=10k d=64 k=2,000",
            strategy,
            Data("clustered", 10_000, 64),
            10_000,
            2000,
            0,
            (OURS, "apricot", "submodlib"),
            (
                Target("faster", 5, "apricot"),
                Target("faster", 20, "submodlib"),
                Target("value", 1e-5),
            ),
            "value",
            parameters={"neighbours": 64},
        ),
        Row(
            "facility-location-graph-100k",
            "facility location on a graph n=100k d=384 k=20,000",
            strategy,
            Data("clustered", 100_000, 384),
            100_000,
            20_000,
            0,
            targets=(Target("seconds", 60), Target("memory", 4 * GB)),
            parameters={"neighbours": 64},
        ),
        Row(
            "graph-greedy-1M",
            "greedy search alone on a graph n=1M k=100,000",
            "graph-greedy",
            Data("graph", 1_000_000, 64),
            1_000_000,
            100_000,
            0,
            targets=(Target("seconds", 60), Target("resident", 4 * GB)),
        ),
        Row(
            "facility-location-parts-50k",
            "facility location in 4 parts n=50k d=128 k=5,000",
            strategy,
            Data("clustered", 50_000, 128),
            50_000,
            5000,
            0,
            (OURS, "one-graph"),
            (Target("value", 5e-3),),
            "value",
            parameters={"neighbours": 64, "parts": 4},
        ),
    ]


ROWS = {row.name: row for row in _rows() + _graph_rows()}


def least_work(row: Row) -> tuple[float, float]:
    """Return the multiply-adds (twice) and the bytes that the method itself asks for.

    All distances to all picks once, or each similarity of a pair once; one pass over the arrays.
    Nothing for methods whose work depends on the data (k-means).
    """
    n, d, classes = row.n, row.data.d, row.data.classes
    if row.strategy == "k-center":
        return 2.0 * n * (row.labelled + row.k) * d, 4.0 * n * d
    if row.strategy == "badge":
        return 2.0 * n * row.k * (d + classes), 4.0 * n * (d + classes)
    if row.strategy == "margin":
        return 0.0, 4.0 * n * classes
    if row.strategy == "typiclust":
        return 0.0, 4.0 * n * d
    if row.strategy == "graph-greedy":
        return 0.0, 12.0 * n * d  # an index and a distance for each neighbour
    return float(n) * n * d, 4.0 * n * d
