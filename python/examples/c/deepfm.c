/* DeepFM in C on fastfm's kernels: lookup, FM, their gradient and the rows' update are libfastfm's, the layers are
 * loops of this file. Trains on the folder that python/examples/curve.py writes and reproduces the losses in it:
 *
 *     cc -O2 deepfm.c -I$(python -m fastfm_core --includes) -L$(python -m fastfm_core --libdir) \
 *         -Wl,-rpath,$(python -m fastfm_core --libdir) -lfastfm -lm -o deepfm
 *     ./deepfm FOLDER [SCORER]     SCORER: a file of `model.scorer().save(path)`, which scores the first batch
 */
#include <fastfm.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LR = 0.05, INITIAL = 0.1, EPS = 1e-10, TOLERANCE = 1e-5;

static void stop(const char* words) {
    fprintf(stderr, "deepfm: %s\n", words);
    exit(2);
}

static void check(int code) {
    if (code != FASTFM_OK) stop(fastfm_last_error());
}

static float* floats(int64_t count) { /* zeros */
    float* made = calloc((size_t)count + 1, sizeof *made);
    if (!made) stop("no memory");
    return made;
}

static float* filled(int64_t count, double value) {
    float* made = floats(count);
    for (int64_t i = 0; i < count; i++) made[i] = (float)value;
    return made;
}

static void* read_file(const char* folder, const char* name, int64_t bytes) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE* file = fopen(path, "rb");
    void* data = malloc((size_t)bytes);
    if (!file || !data || fread(data, 1, (size_t)bytes, file) != (size_t)bytes) stop(path);
    fclose(file);
    return data;
}

static int64_t size_of(const char* folder, const char* name) {
    char path[4096], word[64];
    long long number;
    snprintf(path, sizeof path, "%s/sizes.txt", folder);
    FILE* file = fopen(path, "r");
    if (!file) stop(path);
    while (fscanf(file, "%63s %lld", word, &number) == 2)
        if (strcmp(word, name) == 0) {
            fclose(file);
            return number;
        }
    stop(path);
    return 0;
}

/* A dense parameter with its gradient and Adagrad's state. */
typedef struct {
    float *value, *gradient, *summed;
    int64_t count;
} parameter;

static parameter read_parameter(const char* folder, const char* name, int64_t count) {
    parameter made = {read_file(folder, name, count * 4), floats(count), filled(count, INITIAL), count};
    return made;
}

static void adagrad(parameter* p) { /* and the gradient is 0 again */
    for (int64_t i = 0; i < p->count; i++) {
        const float g = p->gradient[i];
        p->summed[i] += g * g;
        p->value[i] -= (float)LR * g / (sqrtf(p->summed[i]) + (float)EPS);
        p->gradient[i] = 0;
    }
}

int main(int argc, char** argv) {
    if (argc < 2) stop("usage: deepfm FOLDER [SCORER]");
    if (fastfm_abi() != FASTFM_ABI) stop("libfastfm has another interface than fastfm.h");
    check(fastfm_set_threads(2));
    const char* folder = argv[1];
    const int64_t steps = size_of(folder, "steps"), B = size_of(folder, "batch"), F = size_of(folder, "fields"),
                  V = size_of(folder, "rows"), D = size_of(folder, "dim"), H = size_of(folder, "hidden"), K = F * D,
                  N = B * F;
    const int32_t* ids = read_file(folder, "ids.bin", steps * N * 4);
    const float* labels = read_file(folder, "labels.bin", steps * B * 4);
    const double* expected = read_file(folder, "losses.bin", steps * 8);

    /* The table's rows: D numbers and, as one more, the first-order weight. */
    const float *table = read_file(folder, "table.bin", V * D * 4), *linear = read_file(folder, "linear.bin", V * 4);
    float* rows = floats(V * (D + 1));
    for (int64_t v = 0; v < V; v++) {
        memcpy(rows + v * (D + 1), table + v * D, (size_t)D * 4);
        rows[v * (D + 1) + D] = linear[v];
    }
    const fastfm_matrix vectors = {rows, V, D, D + 1}, first_order = {rows + D, V, 1, D + 1},
                        whole = {rows, V, D + 1, 0}, state = {filled(V * (D + 1), INITIAL), V, D + 1, 0};
    parameter weight1 = read_parameter(folder, "weight1.bin", K * H), bias1 = read_parameter(folder, "bias1.bin", H),
              weight2 = read_parameter(folder, "weight2.bin", H), bias2 = read_parameter(folder, "bias2.bin", 1),
              bias = read_parameter(folder, "bias.bin", 1);

    /* Memory of a step, used again by the next one. */
    const fastfm_fm out = {floats(B), floats(B), floats(B * D), floats(B * K), 0, NULL, NULL};
    float *hidden = floats(B * H), *logits = floats(B), *grad = floats(B), *deep_grad = floats(B * K);
    fastfm_plan plan = {floats(N), 32, malloc((size_t)(N + 1) * 8), malloc((size_t)N * 4), 0, 0, 0};

    double first = 0, loss = 0, furthest = 0;
    for (int64_t step = 0; step < steps; step++) {
        const fastfm_entries entries = {ids + step * N, 32, N, F, 0, NULL, NULL, FASTFM_SUM, 0};
        check(fastfm_embedding_fm(&vectors, &first_order, &entries, NULL, &out));
        for (int64_t b = 0; b < B; b++) {
            float* h = hidden + b * H;
            memcpy(h, bias1.value, (size_t)H * 4);
            for (int64_t k = 0; k < K; k++)
                for (int64_t j = 0; j < H; j++) h[j] += out.deep[b * K + k] * weight1.value[k * H + j];
            logits[b] = bias.value[0] + bias2.value[0] + out.first[b] + out.pair[b];
            for (int64_t j = 0; j < H; j++) logits[b] += (h[j] = h[j] > 0 ? h[j] : 0) * weight2.value[j];
        }
        check(fastfm_bce_with_logits(logits, labels + step * B, NULL, B, &loss, grad));
        if (step == 0) first = loss;
        furthest = fmax(furthest, fabs(loss - expected[step]) / expected[step]);

        memset(deep_grad, 0, (size_t)(B * K) * 4);
        for (int64_t b = 0; b < B; b++) {
            bias.gradient[0] += grad[b], bias2.gradient[0] += grad[b];
            for (int64_t j = 0; j < H; j++) {
                const float h = hidden[b * H + j], g = h > 0 ? grad[b] * weight2.value[j] : 0;
                weight2.gradient[j] += grad[b] * h;
                bias1.gradient[j] += g;
                for (int64_t k = 0; k < K; k++) {
                    weight1.gradient[k * H + j] += out.deep[b * K + k] * g;
                    deep_grad[b * K + k] += weight1.value[k * H + j] * g;
                }
            }
        }
        const fastfm_source source = {.fields = F,
                                      .samples = B,
                                      .pair_grad = grad,
                                      .sums = out.sums,
                                      .slot_grad = deep_grad,
                                      .sample_stride = K,
                                      .field_stride = D,
                                      .first_grad = grad};
        check(fastfm_plan_rows(&entries, V, &plan));
        check(fastfm_update_rows_adagrad_(&whole, &state, &plan, &source, LR, EPS, 0, 1));
        parameter* const all[] = {&weight1, &bias1, &weight2, &bias2, &bias};
        for (int p = 0; p < 5; p++) adagrad(all[p]);
    }
    printf("loss %.6f -> %.6f; furthest from the library's: %.1e (allowed %g)\n", first, loss, furthest, TOLERANCE);

    if (argc > 2) {
        fastfm_scorer* scorer;
        check(fastfm_scorer_open(argv[2], &scorer));
        const fastfm_entries entries = {ids, 32, N, F, 0, NULL, NULL, FASTFM_SUM, 0};
        check(fastfm_scorer_score(scorer, &entries, NULL, B, logits));
        fastfm_scorer_close(scorer);
        check(fastfm_bce_with_logits(logits, labels, NULL, B, &loss, grad));
        printf("the scorer's loss of the first batch: %.6f\n", loss);
    }
    return furthest <= TOLERANCE ? 0 : 1; /* the system takes the memory back */
}
