"""The kernel contract: what every backend offers, the one authority on signatures, shapes, dtypes and formulas.

Letters: B samples, F fields, D dims, V table rows, N entries (ids), M = B*F slots, U distinct rows, H features,
I raw numbers, C logits of a group.

An *entry* i is one id with a value x_i. A *slot* s is one field of one sample, s = b*F + f; it pools its entries with
coefficients c_i into e_s. Single-id input has one entry per slot.

Strides: tables, optimizer states and ``slot_grad`` may have any outer strides (the inner one is one element), the
samples of ``vectors`` may lie any stride of 0 or more apart, ``linear`` and row-wise states any stride, matrix operands
may be transposed; so a first-order weight kept as one more float of the row is simply ``table[:, D]``. All other arrays
are C-contiguous. Nothing is copied to make it so.

Formulas: Rendle, "Factorization Machines", ICDM 2010 (the sum-square identity is his Lemma 3.1);
Guo et al., "DeepFM", IJCAI 2017; He & Chua, "Neural Factorization Machines", SIGIR 2017 (bi-interaction).

Determinism: every kernel sums in an order that depends on shapes and data alone, never on the number of threads.
Dtypes: float32 is tuned, float64 exists everywhere (untuned); ids are int32 or int64. All float arrays of one call
share one dtype, but for tables of halves. Backends do not check ids or shapes: ``fastfm_core.kernels`` does, and
whoever builds a batch, once.

A backend on a device takes and returns the arrays of its own module, ``Backend.xp``; it returns scalars, such as
losses, as 0-d arrays on it: whoever wants the number reads it. Its plans are its own, too: they have ``order``,
``touched``, and ``rows`` and ``segments`` as RowPlan has, which may make the host wait.

Tables of halves, for reading: ``embedding_gather``, ``embedding_bag`` and ``embedding_fm``, but not under max pooling,
take ``table`` and ``linear`` both as float16 or both as bfloat16 (of the package ml_dtypes). All other floats and all
results are float32 then, the bits those of ``table.astype(float32)``. Such a table is not trained: steps below half a
unit in the last place would be lost. The backends native, cuda and reference have it.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

Array = np.ndarray
Pooling = Literal["sum", "mean", "sqrtn", "max", "none"]
Product = Literal["inner", "elementwise", "outer"]
PRODUCTS: tuple[Product, ...] = ("inner", "elementwise", "outer")
POOLINGS: tuple[Pooling, ...] = ("sum", "mean", "sqrtn", "max", "none")


class Entries(NamedTuple):
    """The sparse input of one batch: which rows of one table are looked up, and which slot each of them feeds.

    ids      [N] int32 or int64, row numbers of one table
    fields   F; the batch has M = B*F slots, sample-major
    offsets  [M+1] int64, slot s pools entries offsets[s]:offsets[s+1]; None: one entry per slot, N = M
    values   [N] float, x_i; None: every x_i is 1
    pooling  coefficients c_i of a slot with n entries: sum x_i, mean x_i/n, sqrtn x_i/sqrt(n); an empty slot is 0.
             max: per dim the largest x_i v_i, the first position wins.
             none: nothing is pooled, every entry is an FM term of its own; then fields = 1 and offsets is [B+1].
    """

    ids: Array
    fields: int
    offsets: Array | None = None
    values: Array | None = None
    pooling: Pooling = "sum"

    @property
    def slots(self) -> int:
        """M, the number of slots."""
        return len(self.ids) if self.offsets is None else len(self.offsets) - 1

    @property
    def samples(self) -> int:
        """B, the number of samples."""
        return self.slots // self.fields


class Batch(NamedTuple):
    """What a model is given: the sparse entries, raw numbers for the deep part, and what training needs beside them.

    entries       the looked-up ids, checked against the table's rows when the batch was made
    dense         [B, I] raw numbers that enter the deep part only; None: none
    labels        [B] float; None when predicting
    weights       [B] float sample weights; None: all 1
    plan          of the entries' ids, where it was made ahead; None: whoever needs it makes it
    host_offsets  the entries' offsets on the host, from where the batch was moved to a device; None: whoever needs to
                  know there how many entries some fields have waits for the device
    """

    entries: Entries
    dense: Array | None = None
    labels: Array | None = None
    weights: Array | None = None
    plan: RowPlan | None = None
    host_offsets: Array | None = None


class RowPlan(NamedTuple):
    """The dedup of a batch's ids: its distinct rows and where each of them occurs.

    rows      [U] distinct row numbers, ascending, dtype of the ids
    segments  [U+1] int64; row u occurs at entries order[segments[u]:segments[u+1]]
    order     [N] int32 entry positions, ascending within a row
    """

    rows: Array
    segments: Array
    order: Array

    @property
    def touched(self) -> Any:
        """What picks the plan's rows out of a table, ascending; the plans of a device may name a row repeatedly."""
        return self.rows


class EveryRow(RowPlan):
    """The plan in which each row of a table occurs once, as entry number row: a dense gradient's. Backends know it by
    its class."""

    @property
    def touched(self) -> Any:
        """All of them."""
        return slice(None)


def is_half(dtype: np.dtype) -> bool:
    """Whether it is float16 or bfloat16. NumPy has no bfloat16, so it is known by its name."""
    return dtype.itemsize == 2 and dtype.name in ("float16", "bfloat16")


@functools.lru_cache(maxsize=64)
def every_row(count: int) -> EveryRow:
    """Of ``count`` rows."""
    return EveryRow(np.arange(count, dtype=np.int32), np.arange(count + 1), np.arange(count, dtype=np.int32))


class RowSource(NamedTuple):
    """A lazy row gradient: where the gradient of each entry's row comes from. Nothing of size [N, D] is stored.

    With s the slot of entry i, b = s // fields its sample, and v_i its row:

        dv_i = c_i * (pair_grad_b * (sums_b - e_s) + slot_grad_s)

    fields        F
    entry_slots   [N] int32 slot of each entry; None: s = i
    coefficients  [N] c_i; None: 1
    pair_grad     [B] dL/d(pair) of the FM; None: no FM term
    sums          [B, D] S_b = sum of the sample's terms; None exactly when pair_grad is
    slot_values   [M, D] pooled e_s; None: e is the entry's own term c_i v_i (single ids, or pooling="none").
                  Then the sum over a row needs no saved embeddings: sum c_i(g S + G) - (sum g c_i^2) v
    slot_grad     [B, F, D] dL/de, any strides of samples and fields (0 included), inner stride one element; None: 0
    winners       [M, D] int64 entry that won each dim under max pooling (-1: empty slot): other entries get 0 there.
                  None: no max pooling
    first_grad    [B] dL/d(first order); then the rows have D + 1 columns, the last one is the first-order weight w, and
                  dw_i = c_i * first_grad_b: D + 1 columns in table, states, row gradients and winners, D in the others.
                  None: the rows have D columns
    """

    fields: int
    entry_slots: Array | None = None
    coefficients: Array | None = None
    pair_grad: Array | None = None
    sums: Array | None = None
    slot_values: Array | None = None
    slot_grad: Array | None = None
    winners: Array | None = None
    first_grad: Array | None = None


class EmbeddingFM(NamedTuple):
    """Outputs of ``embedding_fm``.

    first           [B] sum of c_i w_i; zeros when there is no first order
    pair            [B] 1/2 (|sum_s e_s|^2 - sum_s |e_s|^2)
    sums            [B, D] sum_s e_s, saved for the backward pass
    deep            [B, F*D + I] all e_s of a sample side by side, then its I raw numbers; None unless asked for
    winners         [M, D] int64, linear_winners [M, 1] int64: winning entries under max pooling, else None
    """

    first: Array
    pair: Array
    sums: Array
    deep: Array | None
    winners: Array | None
    linear_winners: Array | None


class DropoutKey(NamedTuple):
    """Names one dropout mask: element j of it is kept by a Philox draw of (seed, step, layer, j) alone.

    On a device seed and step may be arrays there, of one int64; a learning rate likewise, of one float64, and the step
    of ``update_rows_adam_`` and ``update_rows_adamw_``: a captured CUDA graph then reads them anew at each replay.
    """

    seed: int
    step: int
    layer: int


class Kernels(Protocol):
    """Every kernel, in the order lookup, interaction, rows, dense. Each backend module has these functions."""

    name: str

    # ---- lookup -----------------------------------------------------------------------------------------------

    def embedding_gather(self, table: Array, ids: Array) -> Array:
        """table [V, D], ids any shape -> table[ids], shape ids.shape + (D,)."""
        ...

    def embedding_bag(self, table: Array, entries: Entries) -> tuple[Array, Array | None]:
        """Pooled lookup -> (e [M, D], winners [M, D] int64 under max pooling else None). Pooling "none" is refused."""
        ...

    def embedding_fm(
        self, table: Array, linear: Array | None, entries: Entries, dense: Array | None, *, deep: bool
    ) -> EmbeddingFM:
        """Lookup, first order, FM and concatenation in one pass; each row is read once.

        table [V, D] (D = 0 is logistic regression), linear [V] any stride or None, dense [B, I] raw numbers or None
        (used only with deep=True). Under max pooling the first order is one more dim: first = sum_s max_i x_i w_i.
        With pooling="none": S_b = sum_i x_i v_i, pair = 1/2(|S|^2 - sum_i |x_i v_i|^2), and deep must be False.
        """
        ...

    def entry_slots(self, entries: Entries) -> Array | None:
        """Slot of each entry, [N] int32; None where the slot is the entry itself (no offsets)."""
        ...

    def pooling_coefficients(self, entries: Entries, dtype: Any) -> Array | None:
        """c_i of each entry, [N]; None where all are 1. Under max and none c_i = x_i."""
        ...

    def value_gradient(self, table: Array, entries: Entries, source: RowSource) -> Array:
        """dL/dx_i = p_i * <pair_grad_b (S_b - e_s) + slot_grad_s, v_i>, [N], with p_i = c_i / x_i (1, 1/n, 1/sqrt n),
        plus p_i * first_grad_b * w_i where the source has it; under max pooling only the columns won by i count."""
        ...

    # ---- interaction of given field vectors ---------------------------------------------------------------------

    def fm_interaction(self, fields: Array) -> Array:
        """e [B, F, D] -> 1/2 sum_d ((sum_f e_fd)^2 - sum_f e_fd^2), [B]."""
        ...

    def fm_interaction_backward(self, grad: Array, fields: Array) -> Array:
        """grad [B] -> de_f = grad_b (S_b - e_f), [B, F, D]."""
        ...

    def bi_interaction(self, fields: Array) -> Array:
        """e [B, F, D] -> 1/2 ((sum_f e_f)^2 - sum_f e_f^2) kept per dim, [B, D]."""
        ...

    def bi_interaction_backward(self, grad: Array, fields: Array) -> Array:
        """grad [B, D] -> de_f = grad_b * (S_b - e_f), [B, F, D]."""
        ...

    def pair_interaction(self, vectors: Array, pairs: Array, weights: Array | None) -> Array:
        """e [B, F, D], pairs [P, 2] int32 of two different fields (f, g), weights r [P] or None for ones
        -> sum over p of r_p <e_f, e_g>, [B]. A pair that is not listed costs nothing. FwFM: Pan et al., WWW 2018."""
        ...

    def pair_interaction_backward(
        self, grad: Array, vectors: Array, pairs: Array, weights: Array | None
    ) -> tuple[Array, Array | None]:
        """grad [B] -> (de [B, F, D], dr [P] or None): de_f = grad_b * sum over the pairs of f of r_p e_g,
        dr_p = sum_b grad_b <e_f, e_g>."""
        ...

    def pair_products(self, vectors: Array, pairs: Array, product: Product) -> Array:
        """e [B, F, D], pairs [P, 2] -> each pair's product, [B, P, W]. inner: W = 1, <e_f, e_g>; elementwise: W = D,
        e_f * e_g; outer: W = D^2, e_f[i] e_g[j] at i*D + j. Qu et al., ICDM 2016; He & Chua, SIGIR 2017."""
        ...

    def pair_products_backward(self, grad: Array, vectors: Array, pairs: Array, product: Product) -> Array:
        """grad [B, P, W] -> de [B, F, D]."""
        ...

    # ---- rows: dedup, lazy gradients, in-place updates ------------------------------------------------------------

    def plan_rows(self, ids: Array, table_rows: int) -> RowPlan:
        """ids [N] in 0..table_rows-1 -> their RowPlan."""
        ...

    def merge_plans(self, plans: list[RowPlan]) -> tuple[Array, list[Array]]:
        """Union of the plans' rows: (rows [U] ascending, per plan the position in it of each of its rows, int64)."""
        ...

    def materialize_rows(self, table: Array, plan: RowPlan, source: RowSource) -> Array:
        """The summed gradient of each distinct row, [U, D], entries added in the plan's order."""
        ...

    def row_gradient_norm2(self, table: Array, plan: RowPlan, source: RowSource) -> float:
        """|summed row gradients|^2 (a pass of its own over the sources; used by clipping)."""
        ...

    def update_rows_sgd_(
        self, table: Array, plan: RowPlan, source: RowSource, *, lr: float, l2: float = 0.0, grad_scale: float = 1.0
    ) -> None:
        """In place on the plan's rows: g = grad_scale * gradient + l2 * w;  w -= lr g."""
        ...

    def update_rows_adagrad_(
        self, table: Array, accumulator: Array, plan: RowPlan, source: RowSource,
        *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
    ) -> None:  # fmt: skip
        """accumulator [V, D]: a += g^2;  w -= lr g / (sqrt(a) + eps). Duchi et al., JMLR 2011."""
        ...

    def update_rows_rowwise_adagrad_(
        self, table: Array, accumulator: Array, plan: RowPlan, source: RowSource,
        *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
    ) -> None:  # fmt: skip
        """accumulator [V], one number a row: a += mean(g^2) over the row;  w -= lr g / (sqrt(a) + eps)."""
        ...

    def update_rows_adam_(
        self, table: Array, moment1: Array, moment2: Array, plan: RowPlan, source: RowSource,
        *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
        l2: float = 0.0, grad_scale: float = 1.0,
    ) -> None:  # fmt: skip
        """moments [V, D], step counted from 1: m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
        w -= lr / (1 - b1^step) * m / (sqrt(v) / sqrt(1 - b2^step) + eps). Kingma & Ba, ICLR 2015.
        Rows outside the plan keep weights and moments: the lazy variant, unless the plan names every row, or
        ``catch_up_rows_adam_`` brings rows to the present before they are read."""
        ...

    def update_rows_adamw_(
        self, table: Array, moment1: Array, moment2: Array, plan: RowPlan, source: RowSource,
        *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
        weight_decay: float = 0.01, l2: float = 0.0, grad_scale: float = 1.0,
    ) -> None:  # fmt: skip
        """As Adam, with the weights decayed beside the gradient: w is (1 - lr weight_decay) w before Adam's step is
        taken from it. Loshchilov & Hutter, ICLR 2019 (weight_decay is multiplied with lr, their schedule eta is 1)."""
        ...

    def update_rows_ftrl_(
        self, table: Array, dual: Array, accumulator: Array, plan: RowPlan, source: RowSource,
        *, lr: float, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0, grad_scale: float = 1.0,
    ) -> None:  # fmt: skip
        """FTRL-Proximal, dual (z) and accumulator (n) [V, D]: n += g^2;  r = (beta + sqrt(n)) / lr;
        z = u + g - r w, where u is -sign(w) l1 - ridge w where w is not 0, else z;
        w = -(z - sign(z) l1) / (r + ridge) where |z| > l1, else exactly 0.
        McMahan et al., KDD 2013, with alpha = lr, lambda_1 = l1, lambda_2 = ridge: u is their z plus the r of the step
        before times w, which holds for any start of w and any schedule of lr. Without l2 a gradient of 0 moves no
        weight. ``l2`` is a term of the loss as for all rules; ridge is the paper's, once and not at every step."""
        ...

    # ---- rows: steps that they have missed ------------------------------------------------------------------------

    # catch_up_rows_* bring rows to the present in place: each replays the rule, in its own arithmetic and step by step,
    # with a data gradient of 0, g = l2 * w, for the steps last[row] + 1 .. step. In two parts it makes the same bits.
    #
    # last   [V] int32, the step up to which each row is current; becomes ``step`` on the rows
    # rows   [U] int32 or int64, ascending and distinct, on a device [N] with repeats; None: every row
    # rates  [K] float64, of NumPy on a device, too: the learning rates of steps step - K + 1 .. step; no row has missed
    #        more than K
    #
    # Table, states and the rules' constants are those of update_rows_*.

    def catch_up_rows_sgd_(
        self, table: Array, last: Array, rows: Array | None, *, step: int, rates: Array, l2: float = 0.0
    ) -> None:
        """w -= lr l2 w for each missed step."""
        ...

    def catch_up_rows_adagrad_(
        self, table: Array, accumulator: Array, last: Array, rows: Array | None,
        *, step: int, rates: Array, eps: float = 1e-10, l2: float = 0.0,
    ) -> None:  # fmt: skip
        """Adagrad's steps with g = l2 w."""
        ...

    def catch_up_rows_rowwise_adagrad_(
        self, table: Array, accumulator: Array, last: Array, rows: Array | None,
        *, step: int, rates: Array, eps: float = 1e-10, l2: float = 0.0,
    ) -> None:  # fmt: skip
        """Row-wise Adagrad's steps with g = l2 w; accumulator [V]."""
        ...

    def catch_up_rows_adam_(
        self, table: Array, moment1: Array, moment2: Array, last: Array, rows: Array | None,
        *, step: int, rates: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, l2: float = 0.0,
    ) -> None:  # fmt: skip
        """Adam's steps with g = l2 w: moments decay and still move the weights. Numbers too small to be normal may be
        taken as 0."""
        ...

    def catch_up_rows_adamw_(
        self, table: Array, moment1: Array, moment2: Array, last: Array, rows: Array | None,
        *, step: int, rates: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
        weight_decay: float = 0.01, l2: float = 0.0,
    ) -> None:  # fmt: skip
        """AdamW's steps with g = l2 w."""
        ...

    def catch_up_rows_ftrl_(
        self, table: Array, dual: Array, accumulator: Array, last: Array, rows: Array | None,
        *, step: int, rates: Array, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0,
    ) -> None:  # fmt: skip
        """FTRL's steps with g = l2 w."""
        ...

    # ---- dense helpers ----------------------------------------------------------------------------------------------

    def matmul(self, left: Array, right: Array, out: Array | None = None, *, spacing: int = 0) -> Array:
        """[M, K] @ [K, N] -> [M, N]; transposed views are taken as they are.

        spacing  at least so many elements from row to row of a result that is made here: the gradient of rows that
                 start on cache lines does so, too"""
        ...

    def bias_relu_dropout_(self, x: Array, bias: Array, rate: float, key: DropoutKey | None) -> None:
        """In place on x [B, H]: relu(x + bias), then dropout (kept with probability 1-rate, scaled by 1/(1-rate)) when
        rate > 0 and a key is given. The draw for element (b, h) is number b*H + h."""
        ...

    def bias_relu_dropout_backward(self, grad: Array, output: Array, rate: float) -> tuple[Array, Array]:
        """grad [B, H] and the forward's output -> (dx [B, H], dbias [H]): grad/(1-rate) passes where the output is > 0.
        rate is 0 when no dropout was applied."""
        ...

    def dropout(self, x: Array, rate: float, key: DropoutKey) -> Array:
        """x of any shape, kept elements scaled by 1/(1-rate), the others 0. Linear: its backward is itself."""
        ...

    def batch_norm(self, x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
        """x [B, H] -> (y, mean [H], variance [H] biased); y = gamma (x - mean) / sqrt(variance + eps) + beta. B >= 1.
        Ioffe & Szegedy, ICML 2015."""
        ...

    def batch_norm_backward(
        self, grad: Array, x: Array, gamma: Array, mean: Array, variance: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        """-> (dx [B, H], dgamma [H], dbeta [H]) with the batch's own statistics differentiated through."""
        ...

    def bce_with_logits(self, logits: Array, labels: Array, weights: Array | None) -> tuple[float, Array]:
        """Mean over samples of weight * (softplus(z) - y z), and its gradient by z, [B]:
        weight (sigmoid(z) - y) / mass, where mass is the sum of the weights (B without them).
        A batch without mass has loss 0 and gradient 0."""
        ...

    def mean_squared_error(self, predictions: Array, labels: Array, weights: Array | None) -> tuple[float, Array]:
        """Mean of weight * (p - y)^2 over the sum of weights, and its gradient by p, [B]."""
        ...

    def softmax_cross_entropy(self, logits: Array, weights: Array | None) -> tuple[float, Array]:
        """logits [B, C], C >= 1, of groups whose first column is the positive and whose others are negatives, weights
        [B] -> mean of weight * (log sum_c exp(z_c) - z_0) over the sum of weights, and its gradient by z, [B, C]:
        weight (softmax(z)_c - [c = 0]) / mass. Sampled softmax without correction: Covington et al., RecSys 2016."""
        ...

    def bpr(self, logits: Array, weights: Array | None) -> tuple[float, Array]:
        """The same shapes -> mean of weight * mean over c > 0 of softplus(z_c - z_0), and its gradient, [B, C]; 0 where
        there is no negative. Bayesian personalized ranking without its regularization: Rendle et al., UAI 2009."""
        ...


KERNELS: tuple[str, ...] = tuple(n for n in vars(Kernels) if not n.startswith("_") and callable(vars(Kernels)[n]))
