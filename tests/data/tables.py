"""Small tables and hypothesis strategies shared by the tests of the data room."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from fastfm_core.data import Categorical, Cross, History, MultiHot, Numeric, Schema
from fastfm_core.data.columns import Table

MIXED_SCHEMA = Schema(
    [
        Categorical("color"),
        MultiHot("tags", pooling="mean"),
        Numeric("price"),
        MultiHot("words", separator=" ", pooling="sqrtn"),
        Numeric("age", use="raw"),
        MultiHot("parts", separator=";", pooling="sum"),
    ],
    label="y",
)
FLAT_SCHEMA = Schema([Categorical("color"), Numeric("price"), Categorical("tags"), Numeric("age", use="raw")])


def text_column(*texts: str) -> np.ndarray:
    """Texts as the CSV reader gives them: an object array of str."""
    return np.array(texts, dtype=object)


def small_table() -> Table:
    """Six rows; in each column something is missing, rare or repeated."""
    return {
        "color": text_column("red", "blue", "red", "", "blue", "green"),
        "tags": text_column("a|b", "a", "", "b|b|c", "a", "|"),
        "price": text_column("1", "2.5", "", "-3e1", " 4 ", "0"),
        "words": text_column("x y", "", "x", "y y z x", "w", "x y"),
        "age": text_column("30", "", "31", "32", "33", "34"),
        "parts": text_column("p;q", "p", "q", "", "p;q;r", "p"),
        "y": text_column("1", "0", "1", "0", "1", "0"),
    }


def tables(rows: st.SearchStrategy[int]) -> st.SearchStrategy[Table]:
    """Tables of MIXED_SCHEMA's columns with any text in the text columns and any numbers in the others."""
    cell = st.text(alphabet=st.sampled_from("ab|; \u00e9\u4e2d\"',\n"), max_size=6)
    number = st.one_of(st.just(""), st.floats(-1e6, 1e6).map(str), st.integers(-10, 10).map(str))

    def of_length(count: int) -> st.SearchStrategy[Table]:
        column = st.lists(cell, min_size=count, max_size=count).map(lambda texts: text_column(*texts))
        numeric = st.lists(number, min_size=count, max_size=count).map(lambda texts: text_column(*texts))
        names = {"color": column, "tags": column, "words": column, "parts": column, "price": numeric, "age": numeric}
        return st.fixed_dictionaries(names)

    return rows.flatmap(of_length)


EVERY_SCHEMA = Schema(
    [
        Categorical("color", dim=3),
        Categorical("user", buckets=7),
        Categorical("last", share="color"),
        MultiHot("tags", weighted=True, pooling="sqrtn", min_count=1),
        Numeric("price"),
        Numeric("age", use="first,pairs,raw", transform="log1p"),
        Numeric("age in bins", source="age", transform="quantile", bins=4),
        Cross(("color", "user"), buckets=50),
        History("color", user="user", time="age", length=3, share="color"),
        History("last", user="user", time="age", positive="price>=2", min_count=3, name="last liked"),
    ]
)


def every_table(count: int, seed: int = 0) -> Table:
    """Columns for EVERY_SCHEMA, each with missing and rare values."""
    draw = np.random.default_rng(seed)

    def some(texts: list[str]) -> np.ndarray:
        return text_column(*(texts[k] for k in draw.integers(0, len(texts), count)))

    return {
        "color": some(["red", "blue", "", "é", "green"]),
        "user": some([f"u{k}" for k in range(20)] + [""]),
        "last": some(["red", "blue", "black"]),
        "tags": some(["a:0.5|b", "", "c:2", "a|a:3|d:-1"]),
        "price": some(["1", "2.5", "", "-3e1", "1e3"]),
        "age": some(["30", "", "31.5", "-7", "400"]),
    }
