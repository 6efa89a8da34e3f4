"""The bundled set is the published file, stored small and reproducibly."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np

from fastfm_core.data import Categorical, Encoder, read_table
from fastfm_core.data.bundled import COUPON_LABEL, COUPON_RESPONDENT, coupon_path
from fastfm_core.data.infer import guess
from fastfm_core.data.labels import label_values
from fastfm_core.data.split import grouped, stratified


def test_the_file_is_the_one_attributed() -> None:
    stored = coupon_path().read_bytes()
    attribution = (coupon_path().parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert hashlib.sha256(gzip.decompress(stored)).hexdigest() in attribution
    assert "CC BY 4.0" in attribution and "Wang" in attribution
    assert stored[3:8] == bytes(5)
    assert len(stored) < 150_000


def test_from_file_to_encoded_rows() -> None:
    table = read_table(coupon_path())
    labels = label_values(table, COUPON_LABEL)
    assert len(labels) == 12_684 and labels.sum() == 7_210
    typed = guess(table, COUPON_LABEL)
    assert [type(field) for field in typed.schema.fields] == [Categorical] * 25
    training, _, test = stratified(labels, seed=0)
    encoder = Encoder.fit(table, typed.schema, training)
    encoded = encoder.transform(table, labels)
    assert encoded.ids.shape == (12_684, 25) and encoded.offsets is None and encoded.values is None
    assert max(encoder.unseen_share(encoded.unknown_counts(test)).values()) < 0.01


def test_respondents_stay_on_one_side() -> None:
    table = read_table(coupon_path())
    columns = [table[name] for name in COUPON_RESPONDENT]
    parts = grouped(columns, seed=0)
    names = np.array(["\t".join(cells) for cells in zip(*columns, strict=True)])
    assert not set(names[parts[0]]) & set(names[parts[2]])
    assert 500 < len(set(names)) < 600
