from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from workers.encode.pixels import pack_bits

STACKS = arrays.arrays(np.bool_, st.tuples(*[st.integers(min_value=1, max_value=11)] * 3))


@given(STACKS)
def test_every_pixel_is_found_again(frames: NDArray[np.bool_]) -> None:
    packed = pack_bits(iter(frames))

    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
    assert np.array_equal(bits[: frames.size].astype(bool), frames.ravel())
    assert not bits[frames.size :].any()
    assert len(packed) % 2 == 0
    assert len(packed) - 2 < frames.size / 8 <= len(packed)


def test_the_next_frame_starts_at_the_next_bit() -> None:
    frames = [np.array([[1, 0, 1]], dtype=bool), np.array([[1, 1, 1]], dtype=bool), np.array([[0, 0, 1]], dtype=bool)]

    assert pack_bits(frames) == bytes([0b00111101, 0b00000001])
