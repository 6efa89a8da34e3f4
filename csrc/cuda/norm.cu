// Batch norm of x [B, H] by the batch's own statistics, and its backward. Ioffe & Szegedy, ICML 2015.
//
//     y = gamma n + beta,  n = (x - mean) / sqrt(variance + eps)
//     dx = gamma / sqrt(variance + eps) (grad - mean(grad) - n mean(grad n))
//
// Mean and variance are taken in one pass over x, row by row (Welford, Technometrics 1962), and parts of the rows are
// merged in a fixed order (Chan, Golub & LeVeque, COMPSTAT 1982). The number of pieces of rows depends on the shape
// alone, so results are the same bits.
#include "columns.cuh"
#include "common.cuh"

// How many numbers, their mean, and the sum of squared distances from it.
template <class T> struct Moments {
    T count, mean, squares;

    __device__ __forceinline__ void add(T x, T inverse_count) {
        const T distance = x - mean;
        mean += distance * inverse_count;
        squares += distance * (x - mean);
    }
};

template <class T> __device__ __forceinline__ Moments<T> merged(const Moments<T>& left, const Moments<T>& right) {
    if (right.count == T(0)) return left;
    if (left.count == T(0)) return right;
    const T count = left.count + right.count, distance = right.mean - left.mean, share = right.count / count;
    return {count, left.mean + distance * share,
            left.squares + right.squares + distance * distance * left.count * share};
}

// Moments of the columns of each piece of rows: [pieces, H]
template <class T, int V>
__global__ void batch_norm_pieces(const T* __restrict__ x, Moments<T>* __restrict__ pieces, int64 rows, int64 columns,
                                  int64 across, int64 piece_rows) {
    SHARED(Moments<T>, held, 256 * V);
    const ColumnTile<V> tile(rows, columns, across, piece_rows);
    Moments<T> parts[V] = {};
    T count = T(0);
    tile.walk([&](int64 row) { return load<V>(x + row * columns + tile.column); },
              [&](int64, const Vector<T, V>& values) {
                  count += T(1);
                  const T inverse = T(1) / count;
                  for (int k = 0; k < V; ++k) parts[k].add(values.at[k], inverse);
              });
    for (int k = 0; k < V; ++k) parts[k].count = count;
    tile.join(
        parts, held, [](const Moments<T>& left, const Moments<T>& right) { return merged(left, right); },
        [&](int64 column, const Moments<T>& part) { pieces[tile.piece * columns + column] = part; });
}

// pieces [count, H] -> mean, variance [H]
template <class T>
__global__ void batch_norm_moments(const Moments<T>* __restrict__ pieces, T* __restrict__ mean,
                                   T* __restrict__ variance, int64 count, int64 columns, int64 across) {
    SHARED(Moments<T>, held, 256);
    const ColumnTile<1> tile(count, columns, across, count);
    Moments<T> part[1] = {};
    for (int64 piece = tile.low; piece < tile.high; piece += tile.apart)
        part[0] = merged(part[0], pieces[piece * columns + tile.column]);
    tile.join(
        part, held, [](const Moments<T>& left, const Moments<T>& right) { return merged(left, right); },
        [&](int64 column, const Moments<T>& all) {
            mean[column] = all.mean, variance[column] = all.squares / all.count;
        });
}

// A thread's columns of mean and of 1 / sqrt(variance + eps).
template <class T, int V> struct Normal {
    Vector<T, V> mean, scale;

    __device__ __forceinline__ Normal(const T* means, const T* variances, double eps, const ColumnTile<V>& tile)
        : mean(), scale() {
        if (tile.low >= tile.high) return;
        mean = load<V>(means + tile.column);
        const Vector<T, V> variance = load<V>(variances + tile.column);
        for (int k = 0; k < V; ++k) scale.at[k] = T(1) / sqrt(variance.at[k] + T(eps));
    }
};

template <class T, int V>
__global__ void batch_norm(const T* __restrict__ x, const T* __restrict__ gamma, const T* __restrict__ beta,
                           const T* __restrict__ mean, const T* __restrict__ variance, T* __restrict__ out, int64 rows,
                           int64 columns, int64 across, int64 piece_rows, double eps) {
    const ColumnTile<V> tile(rows, columns, across, piece_rows);
    if (tile.low >= tile.high) return;
    const Normal<T, V> normal(mean, variance, eps, tile);
    const Vector<T, V> factor = load<V>(gamma + tile.column), added = load<V>(beta + tile.column);
    tile.walk([&](int64 row) { return load<V>(x + row * columns + tile.column); },
              [&](int64 row, Vector<T, V> values) {
                  for (int k = 0; k < V; ++k)
                      values.at[k] =
                          (values.at[k] - normal.mean.at[k]) * (factor.at[k] * normal.scale.at[k]) + added.at[k];
                  store<V>(out + row * columns + tile.column, values);
              });
}

// Partial sums [pieces, 2, H] of the columns of grad * n, and of grad
template <class T, int V>
__global__ void batch_norm_backward_sums(const T* __restrict__ grad, const T* __restrict__ x,
                                         const T* __restrict__ mean, const T* __restrict__ variance,
                                         T* __restrict__ partial, int64 rows, int64 columns, int64 across,
                                         int64 piece_rows, double eps) {
    SHARED(T, held, 256 * V);
    const ColumnTile<V> tile(rows, columns, across, piece_rows);
    const Normal<T, V> normal(mean, variance, eps, tile);
    T products[V] = {}, sums[V] = {};
    tile.walk([&](int64 row) { return load_both<V>(grad, x, row * columns + tile.column); },
              [&](int64, const Both<T, V>& read) {
                  for (int k = 0; k < V; ++k) {
                      products[k] += read.first.at[k] * ((read.second.at[k] - normal.mean.at[k]) * normal.scale.at[k]);
                      sums[k] += read.first.at[k];
                  }
              });
    const auto add = [](T left, T right) { return left + right; };
    T* const to = partial + tile.piece * 2 * columns;
    tile.join(products, held, add, [&](int64 column, T sum) { to[column] = sum; });
    tile.join(sums, held, add, [&](int64 column, T sum) { to[columns + column] = sum; });
}

// sums [2, H]: dgamma, dbeta
template <class T, int V>
__global__ void batch_norm_backward(const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ gamma,
                                    const T* __restrict__ mean, const T* __restrict__ variance,
                                    const T* __restrict__ sums, T* __restrict__ dx, int64 rows, int64 columns,
                                    int64 across, int64 piece_rows, double eps) {
    const ColumnTile<V> tile(rows, columns, across, piece_rows);
    if (tile.low >= tile.high) return;
    const Normal<T, V> normal(mean, variance, eps, tile);
    const Vector<T, V> factor = load<V>(gamma + tile.column);
    Vector<T, V> by_product = load<V>(sums + tile.column), by_sum = load<V>(sums + columns + tile.column);
    for (int k = 0; k < V; ++k) by_product.at[k] /= T(rows), by_sum.at[k] /= T(rows);
    tile.walk([&](int64 row) { return load_both<V>(grad, x, row * columns + tile.column); },
              [&](int64 row, const Both<T, V>& read) {
                  Vector<T, V> out;
                  for (int k = 0; k < V; ++k) {
                      const T n = (read.second.at[k] - normal.mean.at[k]) * normal.scale.at[k];
                      const T centred = read.first.at[k] - by_sum.at[k] - n * by_product.at[k];
                      out.at[k] = factor.at[k] * normal.scale.at[k] * centred;
                  }
                  store<V>(dx + row * columns + tile.column, out);
              });
}
