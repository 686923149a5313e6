"""An interval for a share that was counted."""

from __future__ import annotations

from labeltrain.errors import BadInput


def binomial_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval: covers at least at its level, for every n.

    Parameters
    ----------
    successes, n : int
    level : float

    Returns
    -------
    tuple of float
        (0.0, 1.0) when n is 0: nothing is known.

    Raises
    ------
    BadInput
        If `successes` does not lie between 0 and `n`, or `level` not between 0 and 1.

    References
    ----------
    Clopper and Pearson, The use of confidence or fiducial limits, Biometrika, 1934.

    Examples
    --------
    >>> low, high = binomial_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4439, 0.9748)
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= n:
        raise BadInput(f"{successes} successes of {n}", "successes lie between 0 and n")
    if not 0.0 < level < 1.0:
        raise BadInput(f"level is {level}", "a level lies between 0 and 1, such as 0.95")
    tail = (1.0 - level) / 2.0
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1.0 - tail)) if successes < n else 1.0
    return low, high
