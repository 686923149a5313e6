"""What every encoder must do."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.data import take
from labeltrain.encoders.base import Encoder


class EncoderContract:
    """Inherit, implement `encoder` and `items` (at least 3), and run pytest."""

    tolerance: ClassVar[float] = 1e-5

    def encoder(self) -> Encoder:
        """Return a new encoder."""
        raise NotImplementedError("return the encoder to test")

    def items(self) -> Sequence[Any]:
        """Return at least 3 items."""
        raise NotImplementedError("return items to encode")

    def test_it_returns_one_finite_row_per_item(self) -> None:
        encoder, items = self.encoder(), self.items()
        array = encoder.encode(items)
        assert array.dtype == np.float32
        assert array.ndim == 2
        assert len(array) == len(items)
        assert np.isfinite(array).all()
        if encoder.dimension is not None:
            assert array.shape[1] == encoder.dimension

    def test_the_same_items_give_the_same_features(self) -> None:
        np.testing.assert_array_equal(
            self.encoder().encode(self.items()), self.encoder().encode(self.items())
        )

    def test_features_follow_their_items(self) -> None:
        items = self.items()
        order = np.arange(len(items))[::-1].copy()
        there = self.encoder().encode(take(items, order))
        np.testing.assert_allclose(
            there[order], self.encoder().encode(items), atol=self.tolerance, rtol=1e-4
        )

    def test_what_it_learns_can_be_kept(self) -> None:
        encoder, items = self.encoder(), self.items()
        fitted = encoder.fitted(items)
        if encoder.learns:
            assert encoder.whole
            assert not fitted.whole
        there = encoder.restored(fitted.state()) if encoder.learns else fitted
        assert there.fingerprint() == fitted.fingerprint()
        np.testing.assert_allclose(
            there.encode(items), encoder.encode(items), atol=self.tolerance, rtol=1e-4
        )
        if not there.whole:
            alone = np.concatenate([there.encode(take(items, np.array([i]))) for i in range(3)])
            np.testing.assert_allclose(
                alone, there.encode(items)[:3], atol=self.tolerance, rtol=1e-4
            )

    def test_its_fingerprint_is_plain_and_stable(self) -> None:
        first, second = (json.dumps(self.encoder().fingerprint(), sort_keys=True) for _ in "ab")
        assert first == second
        assert len(first) > 2

    def test_it_says_what_it_reads(self) -> None:
        encoder = self.encoder()
        assert encoder.name
        assert encoder.modalities

    def test_one_that_has_encoded_goes_to_other_processes(self) -> None:
        encoder, items = self.encoder(), self.items()
        made = encoder.encode(items)
        there = copy.deepcopy(encoder)  # by the same state as on its way to a worker
        np.testing.assert_allclose(there.encode(items), made, atol=self.tolerance, rtol=1e-4)
