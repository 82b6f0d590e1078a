"""Any text, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

#: What UTF-8 can carry: all but halves of pairs. `st.text()` means the same, but asks the codec about each of a
#: million characters first, which is six seconds of every fresh checkout.
_CHARACTERS = st.characters(exclude_categories=["Cs"])


def texts(*, min_size: int = 0, max_size: int | None = None) -> SearchStrategy[str]:
    return st.text(_CHARACTERS, min_size=min_size, max_size=max_size)
