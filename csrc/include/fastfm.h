/* fastfm's kernels for C, and for every language that calls C. Link libfastfm; nothing here needs Python.
 *
 * Letters: B samples, F fields, D dims, V table rows, N entries (ids), M = B*F slots, U distinct rows, I raw numbers.
 * An entry i is one id with a value x_i. A slot s = b*F + f is one field of one sample: it pools its entries with
 * coefficients c_i. Formulas, orders of sums and sources: docs/contract.md, under the same names.
 *
 * Errors     Every function returns FASTFM_OK or another of the codes below, and then fastfm_last_error() is one line
 *            that names the argument. Nothing is thrown, nothing is printed. Arguments are checked before anything is
 *            written; ids and offsets as well, unless the structure says `unchecked`.
 * Memory     Arrays are the caller's and are neither kept nor copied. Memory of a call's own is freed when it returns.
 * Numbers    float. (double is there in Python and in the C++ headers.) Ids are int32_t or int64_t: `id_bits` says so.
 * Layout     C order. Where there is a stride, it counts elements.
 * Structures All members have eight bytes. Zero is the default of each that may be absent: begin with = {0}.
 * Threads    A call runs on fastfm_set_threads threads, one until set; small work on the caller's alone. Calls from
 *            several threads at once are fine: one has the pool, the others run alone. The bits of a result depend on
 *            neither. A name that ends in _ writes to its tables: not two at a time on the same rows.
 */
#ifndef FASTFM_H
#define FASTFM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTFM_VERSION "0.1.0"
#define FASTFM_ABI 1 /* changes with every change that a program built before would not survive */

#if defined(__GNUC__)
#define FASTFM_PUBLIC __attribute__((visibility("default")))
#else
#define FASTFM_PUBLIC
#endif

enum {
    FASTFM_OK = 0,
    FASTFM_BAD_ARGUMENT = 1, /* the caller's mistake */
    FASTFM_NO_MEMORY = 2,
    FASTFM_BAD_FILE = 3, /* a scorer's file that cannot be read, or is none */
    FASTFM_FAILED = 4    /* anything else */
};

/* ---- the library ------------------------------------------------------------------------------------------------ */

/* The library's version, "0.1.0", and its ABI: compare the latter with FASTFM_ABI before any other call. */
FASTFM_PUBLIC const char* fastfm_version(void);
FASTFM_PUBLIC int64_t fastfm_abi(void);

/* One line about the latest error in this thread; "" before the first. Valid until the thread's next error. */
FASTFM_PUBLIC const char* fastfm_last_error(void);

/* Use at most `count` threads, 1 to 256, the caller included. A process has one pool, Python's kernels have it too. */
FASTFM_PUBLIC int fastfm_set_threads(int64_t count);
FASTFM_PUBLIC int64_t fastfm_threads(void);

/* The instruction set whose kernels are used: "avx512", "avx2" or "baseline", the best of this CPU until set. */
FASTFM_PUBLIC const char* fastfm_isa(void);
FASTFM_PUBLIC int fastfm_use_isa(const char* name);

/* ---- what kernels are given ------------------------------------------------------------------------------------- */

/* Rows of floats: a table [V, D], an optimizer's state, or one number a row, [V, 1]. With a first-order weight as one
 * more number of the row, lookups take {rows, V, D, D + 1} and {rows + D, V, 1, D + 1}, updates {rows, V, D + 1}. */
typedef struct fastfm_matrix {
    float* data; /* functions whose name does not end in _ only read it */
    int64_t rows;
    int64_t columns;
    int64_t stride; /* from row to row; 0: columns */
} fastfm_matrix;

enum {
    FASTFM_SUM = 0,   /* c_i = x_i */
    FASTFM_MEAN = 1,  /* c_i = x_i / n, n the number of the slot's entries */
    FASTFM_SQRTN = 2, /* c_i = x_i / sqrt(n) */
    FASTFM_MAX = 3,   /* per dim the largest x_i v_i, the first wins */
    FASTFM_NONE = 4   /* nothing is pooled, each entry is a term of its own; fields is 1, offsets are [B+1] */
};

/* Which rows of one table a batch looks up, and which slot each of them feeds. */
typedef struct fastfm_entries {
    const void* ids;        /* [N] */
    int64_t id_bits;        /* 32 or 64 */
    int64_t count;          /* N */
    int64_t fields;         /* F */
    int64_t slots;          /* M, read where there are offsets */
    const int64_t* offsets; /* [M+1], slot s has the entries offsets[s] .. offsets[s+1] - 1; NULL: one entry a slot */
    const float* values;    /* [N] x_i; NULL: 1 */
    int64_t pooling;
    int64_t unchecked; /* not 0: ids and offsets were checked before and are not checked again */
} fastfm_entries;

/* The distinct rows of a batch, ascending; row u occurs at the entries order[segments[u]] .. order[segments[u+1] - 1].
 * The arrays are the caller's, of N, N + 1 and N elements; U of the rows are used. */
typedef struct fastfm_plan {
    void* rows; /* [U] of the ids' type */
    int64_t id_bits;
    int64_t* segments; /* [U+1] */
    int32_t* order;    /* [N] */
    int64_t count;     /* U, which fastfm_plan_rows writes */
    int64_t entries;   /* N */
    int64_t unchecked; /* not 0: rows are known to be rows of the table */
} fastfm_plan;

/* Where the gradient of each entry's row comes from; nothing of size [N, D] is stored. With s the slot of entry i and b
 * its sample:
 *
 *     dv_i = c_i (pair_grad_b (sums_b - e_s) + slot_grad_s)        dw_i = c_i first_grad_b
 *
 * With first_grad the table's last column is the first-order weight: it has D + 1 columns, and so have its states. */
typedef struct fastfm_source {
    int64_t fields;             /* F */
    int64_t samples;            /* B */
    const int32_t* entry_slots; /* [N], see fastfm_entry_slots; NULL: s = i */
    const float* coefficients;  /* [N] c_i, see fastfm_pooling_coefficients; NULL: 1 */
    const float* pair_grad;     /* [B]; NULL: no FM */
    const float* sums;          /* [B, D]; NULL exactly when pair_grad is */
    const float* slot_values;   /* [M, D] pooled e_s; NULL: e_s is c_i v_i (single ids, or FASTFM_NONE) */
    const float* slot_grad;     /* [B, F, D]; NULL: 0 */
    int64_t sample_stride;      /* of slot_grad: F*D, or F*D + I for the gradient of embedding_fm's deep */
    int64_t field_stride;       /* of slot_grad: D */
    const int64_t* winners;     /* [M, columns of the table], under FASTFM_MAX; else NULL */
    const float* first_grad;    /* [B]; NULL: the table has D columns */
} fastfm_source;

/* ---- lookup ----------------------------------------------------------------------------------------------------- */

/* out [N, D] = the table's rows by id. Of the entries only ids, id_bits, count and unchecked are read. */
FASTFM_PUBLIC int fastfm_embedding_gather(const fastfm_matrix* table, const fastfm_entries* entries, float* out);

/* out [M, D] = pooled slots; winners [M, D], under FASTFM_MAX, the entry that won each dim (-1: none), else NULL.
 * FASTFM_NONE is refused. */
FASTFM_PUBLIC int fastfm_embedding_bag(const fastfm_matrix* table, const fastfm_entries* entries, float* out,
                                       int64_t* winners);

/* What fastfm_embedding_fm writes. */
typedef struct fastfm_fm {
    float* first;            /* [B] sum of c_i w_i; 0 without a first order */
    float* pair;             /* [B] 1/2 (|sum_s e_s|^2 - sum_s |e_s|^2) */
    float* sums;             /* [B, D] sum_s e_s, for the backward pass */
    float* deep;             /* [B, F*D + I] all e_s of a sample, then its raw numbers; NULL: not asked for */
    int64_t deep_stride;     /* from sample to sample; 0: F*D + I */
    int64_t* winners;        /* [M, D] and */
    int64_t* linear_winners; /* [M], under FASTFM_MAX alone */
} fastfm_fm;

/* Lookup, first order, FM and concatenation in one pass. linear [V, 1] or NULL; dense [B, I] raw numbers or NULL, used
 * for deep only, stride I. Under FASTFM_NONE there is no deep. */
FASTFM_PUBLIC int fastfm_embedding_fm(const fastfm_matrix* table, const fastfm_matrix* linear,
                                      const fastfm_entries* entries, const fastfm_matrix* dense, const fastfm_fm* out);

/* What a source has of entries with offsets: out [N], the slot of each; and [N], c_i of any entries. */
FASTFM_PUBLIC int fastfm_entry_slots(const fastfm_entries* entries, int32_t* out);
FASTFM_PUBLIC int fastfm_pooling_coefficients(const fastfm_entries* entries, float* out);

/* ---- interaction of given field vectors e [B, F, D] ------------------------------------------------------------- */

/* out [B] = 1/2 sum_d ((sum_f e_fd)^2 - sum_f e_fd^2);  grad [B] -> out [B, F, D] = grad_b (sum_f e_f - e_f) */
FASTFM_PUBLIC int fastfm_fm_interaction(const float* fields, int64_t samples, int64_t count, int64_t dim, float* out);
FASTFM_PUBLIC int fastfm_fm_interaction_backward(const float* grad, const float* fields, int64_t samples, int64_t count,
                                                 int64_t dim, float* out);

/* The same kept per dim: out [B, D];  grad [B, D] -> out [B, F, D] */
FASTFM_PUBLIC int fastfm_bi_interaction(const float* fields, int64_t samples, int64_t count, int64_t dim, float* out);
FASTFM_PUBLIC int fastfm_bi_interaction_backward(const float* grad, const float* fields, int64_t samples, int64_t count,
                                                 int64_t dim, float* out);

/* ---- rows: plans, gradients, updates in place ------------------------------------------------------------------- */

/* The plan of the entries' ids, into its arrays. Of the entries only ids, id_bits, count and unchecked are read.
 * Tables of more than 2^31 rows are refused. */
FASTFM_PUBLIC int fastfm_plan_rows(const fastfm_entries* entries, int64_t table_rows, fastfm_plan* plan);

/* out [U, columns of the table] = the summed gradient of each distinct row */
FASTFM_PUBLIC int fastfm_materialize_rows(const fastfm_matrix* table, const fastfm_plan* plan,
                                          const fastfm_source* source, float* out);

/* |summed row gradients|^2, for clipping by grad_scale */
FASTFM_PUBLIC int fastfm_row_gradient_norm2(const fastfm_matrix* table, const fastfm_plan* plan,
                                            const fastfm_source* source, double* out);

/* In place on the plan's rows, with g = grad_scale * gradient + l2 * w (grad_scale is 1 where nothing is scaled):
 * w -= lr g */
FASTFM_PUBLIC int fastfm_update_rows_sgd_(const fastfm_matrix* table, const fastfm_plan* plan,
                                          const fastfm_source* source, double lr, double l2, double grad_scale);

/* accumulator [V, columns]: a += g^2;  w -= lr g / (sqrt(a) + eps) */
FASTFM_PUBLIC int fastfm_update_rows_adagrad_(const fastfm_matrix* table, const fastfm_matrix* accumulator,
                                              const fastfm_plan* plan, const fastfm_source* source, double lr,
                                              double eps, double l2, double grad_scale);

/* accumulator [V, 1]: a += mean(g^2) over the row;  w -= lr g / (sqrt(a) + eps) */
FASTFM_PUBLIC int fastfm_update_rows_rowwise_adagrad_(const fastfm_matrix* table, const fastfm_matrix* accumulator,
                                                      const fastfm_plan* plan, const fastfm_source* source, double lr,
                                                      double eps, double l2, double grad_scale);

/* moments [V, columns], step counted from 1: m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w is (1 - lr weight_decay) w
 * before lr / (1 - b1^step) m / (sqrt(v) / sqrt(1 - b2^step) + eps) is taken from it. weight_decay 0 is Adam, else
 * AdamW. Rows outside of the plan stay as they are, see fastfm_catch_up_rows_adam_. */
FASTFM_PUBLIC int fastfm_update_rows_adam_(const fastfm_matrix* table, const fastfm_matrix* moment1,
                                           const fastfm_matrix* moment2, const fastfm_plan* plan,
                                           const fastfm_source* source, int64_t step, double lr, double beta1,
                                           double beta2, double eps, double weight_decay, double l2, double grad_scale);

/* FTRL-Proximal, dual and accumulator [V, columns] */
FASTFM_PUBLIC int fastfm_update_rows_ftrl_(const fastfm_matrix* table, const fastfm_matrix* dual,
                                           const fastfm_matrix* accumulator, const fastfm_plan* plan,
                                           const fastfm_source* source, double lr, double beta, double l1, double ridge,
                                           double l2, double grad_scale);

/* Rows that have missed steps, before they are read: takes Adam's steps with g = l2 w on the plan's rows (NULL: on
 * every row) from last[row] + 1 to step, and sets last[row] to step. last [V] int32. rates [known]: the learning rates
 * of the latest steps, up to `step`; no row has missed more. */
FASTFM_PUBLIC int fastfm_catch_up_rows_adam_(const fastfm_matrix* table, const fastfm_matrix* moment1,
                                             const fastfm_matrix* moment2, int32_t* last, const fastfm_plan* plan,
                                             int64_t step, const double* rates, int64_t known, double beta1,
                                             double beta2, double eps, double weight_decay, double l2);

/* ---- loss ------------------------------------------------------------------------------------------------------- */

/* Mean of weight (softplus(z) - y z) over the sum of weights, and its gradient [B] by z. weights [B] or NULL. */
FASTFM_PUBLIC int fastfm_bce_with_logits(const float* logits, const float* labels, const float* weights, int64_t count,
                                         double* loss, float* grad);

/* ---- scorer ----------------------------------------------------------------------------------------------------- */

/* A trained model's logits from a file that `model.scorer().save(path)` or `fastfm-core export DIR --scorer path`
 * wrote. Tables stay in the file, which is mapped: processes share its pages. */
typedef struct fastfm_scorer fastfm_scorer;

FASTFM_PUBLIC int fastfm_scorer_open(const char* path, fastfm_scorer** scorer);
FASTFM_PUBLIC void fastfm_scorer_close(fastfm_scorer* scorer); /* NULL is fine; not while it scores */

/* F and I of its samples; 0 for NULL. */
FASTFM_PUBLIC int64_t fastfm_scorer_fields(const fastfm_scorer* scorer);
FASTFM_PUBLIC int64_t fastfm_scorer_numbers(const fastfm_scorer* scorer);

/* out [samples] = logits. entries: ids of the model's fields (always checked); NULL for a model without fields.
 * numbers [samples, I]; NULL where I is 0. A call changes nothing in the scorer: any number of threads may score. */
FASTFM_PUBLIC int fastfm_scorer_score(const fastfm_scorer* scorer, const fastfm_entries* entries, const float* numbers,
                                      int64_t samples, float* out);

#ifdef __cplusplus
}
#endif

#endif
