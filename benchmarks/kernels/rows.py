"""What is measured, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks.kernels.arrays import Data

GB = 1e9
OURS = "labeltrain"


@dataclass(frozen=True)
class Target:
    """One aim of a row.

    Attributes
    ----------
    measure : str
        ``faster`` (seconds of `against` over ours, at least), ``smaller`` (memory of `against` over
        ours, at least), ``seconds``, ``memory`` (above the arrays), ``resident`` (all of the
        process, mapped pages too), ``slope`` (of log seconds over log n) or the name of a check
        (see `checks`), all at most.
    bound : float
    against : str
        A side, where two are compared.
    """

    measure: str
    bound: float
    against: str = ""


@dataclass(frozen=True)
class Row:
    """One piece of work, and who does it.

    Attributes
    ----------
    name : str
    title : str
    strategy : str
    data : Data
        The file; the row uses its first `n` rows.
    n, k, labelled : int
        Pool, picks, and items that are labelled already (the first ones).
    sides : tuple of str
    targets : tuple of Target
    check : str
        How picks are compared; empty for not at all.
    mapped : bool
        Read from a memory map.
    repeats : int
        Where a run takes less than half a minute.
    more_seeds : int
        Further runs of each side, for checks on the law.
    """

    name: str
    title: str
    strategy: str
    data: Data
    n: int
    k: int
    labelled: int
    sides: tuple[str, ...] = (OURS,)
    targets: tuple[Target, ...] = field(default=())
    check: str = ""
    mapped: bool = False
    repeats: int = 3
    more_seeds: int = 0

    def scaled(self, scale: float) -> Row:
        """Return the row on a smaller pool, with fewer picks."""
        if scale == 1.0:
            return self
        n, k = max(200, int(self.n * scale)), max(5, int(self.k * scale))
        data = replace(self.data, n=max(200, int(self.data.n * scale)))
        labelled = min(self.labelled, n // 10)
        return replace(
            self, data=data, n=n, k=k, labelled=labelled, more_seeds=self.more_seeds // 3
        )


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


ROWS = {row.name: row for row in _rows()}


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
    return float(n) * n * d, 4.0 * n * d
