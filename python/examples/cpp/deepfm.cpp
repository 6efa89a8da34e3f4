// DeepFM in C++ on fastfm's headers: kernels are templates over a range of samples or rows, which run in pieces on the
// pool; the layers are loops of this file, in pieces on the same pool. Trains on the folder that
// python/examples/curve.py writes and reproduces the losses in it:
//
//     deepfm FOLDER [SCORER]     SCORER: a file of `model.scorer().save(path)`, which scores the first batch
#include <fastfm.h>
#include <fastfm/fastfm.hpp>
#include <fastfm/planning.hpp>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Floats = std::vector<float>;
constexpr float LR = 0.05f, INITIAL = 0.1f, EPS = 1e-10f;
constexpr double TOLERANCE = 1e-5;

// What is in the folder.
struct Curve {
    std::string folder;
    std::map<std::string, int64_t> sizes;

    explicit Curve(const std::string& folder) : folder(folder) {
        std::ifstream file(folder + "/sizes.txt");
        std::string name;
        for (int64_t number; file >> name >> number;) sizes[name] = number;
    }
    template <class T> std::vector<T> read(const std::string& name, int64_t count) const {
        std::vector<T> numbers(static_cast<size_t>(count));
        std::ifstream file(folder + "/" + name + ".bin", std::ios::binary);
        if (!file.read(reinterpret_cast<char*>(numbers.data()), count * int64_t(sizeof(T))))
            throw std::runtime_error(folder + "/" + name + ".bin cannot be read");
        return numbers;
    }
};

// A dense parameter and Adagrad's state.
struct Parameter {
    Floats value, summed;

    explicit Parameter(Floats start) : value(std::move(start)), summed(value.size(), INITIAL) {}
    float operator[](int64_t i) const { return value[size_t(i)]; }
    void adagrad(int64_t i, float g) {
        float& sum = summed[size_t(i)];
        sum += g * g;
        value[size_t(i)] -= LR * g / (std::sqrt(sum) + EPS);
    }
};

class DeepFM {
  public:
    explicit DeepFM(const Curve& curve)
        : B(curve.sizes.at("batch")), F(curve.sizes.at("fields")), V(curve.sizes.at("rows")), D(curve.sizes.at("dim")),
          H(curve.sizes.at("hidden")), K(F * D), rows_(size_t(V * (D + 1))), state_(rows_.size(), INITIAL),
          weight1_(curve.read<float>("weight1", K * H)), bias1_(curve.read<float>("bias1", H)),
          weight2_(curve.read<float>("weight2", H)), bias2_(curve.read<float>("bias2", 1)),
          bias_(curve.read<float>("bias", 1)), first_(B), pair_(B), sums_(B * D), deep_(B * K), hidden_(B * H),
          logits_(B), grad_(B), hidden_grad_(B * H), deep_grad_(B * K), planned_(B * F), segments_(B * F + 1),
          order_(B * F), keys_(B * F), spare_(B * F) {
        const auto table = curve.read<float>("table", V * D), linear = curve.read<float>("linear", V);
        for (int64_t v = 0; v < V; ++v) { // a row is D numbers and, as one more, the first-order weight
            std::copy_n(&table[v * D], D, &rows_[v * (D + 1)]);
            rows_[v * (D + 1) + D] = linear[v];
        }
    }

    // One step on ids [B, F] and labels [B]; the loss before it.
    double step(const int32_t* ids, const float* labels) {
        forward(ids);
        const double loss = fastfm::bce_with_logits<float>(logits_.data(), labels, nullptr, B, grad_.data(), 0, B) / B;
        backward();
        update_rows(ids);
        return loss;
    }

    const int64_t B, F, V, D, H, K;

  private:
    void forward(const int32_t* ids) {
        const fastfm::Table<float> table{rows_.data(), D + 1, D, rows_.data() + D, D + 1};
        const fastfm::Entries<float, int32_t> entries{ids, B * F, F, nullptr, nullptr};
        const fastfm::Interaction<float> out{first_.data(), pair_.data(), sums_.data(), deep_.data(), K, nullptr, 0};
        fastfm::in_pieces(B, 4 * K, [&](int64_t low, int64_t high) {
            fastfm::embedding_fm(fastfm::SingleIds<float, int32_t>{table, entries}, out, low, high);
            for (int64_t b = low; b < high; ++b) layers(b);
        });
    }

    void layers(int64_t b) {
        float* const h = &hidden_[b * H];
        std::copy_n(bias1_.value.data(), H, h);
        for (int64_t k = 0; k < K; ++k)
            for (int64_t j = 0; j < H; ++j) h[j] += deep_[b * K + k] * weight1_[k * H + j];
        float logit = bias_[0] + bias2_[0] + first_[b] + pair_[b];
        for (int64_t j = 0; j < H; ++j) logit += (h[j] = std::max(h[j], 0.0f)) * weight2_[j];
        logits_[b] = logit;
    }

    void backward() {
        fastfm::in_pieces(B, 4 * K, [&](int64_t low, int64_t high) { // gradients of samples
            for (int64_t b = low; b < high; ++b) {
                for (int64_t j = 0; j < H; ++j)
                    hidden_grad_[b * H + j] = hidden_[b * H + j] > 0 ? grad_[b] * weight2_[j] : 0;
                for (int64_t k = 0; k < K; ++k) {
                    float sum = 0;
                    for (int64_t j = 0; j < H; ++j) sum += weight1_[k * H + j] * hidden_grad_[b * H + j];
                    deep_grad_[b * K + k] = sum;
                }
            }
        });
        fastfm::in_pieces(K, 4 * B * H, [&](int64_t low, int64_t high) { // then of weights, which move at once
            for (int64_t k = low; k < high; ++k) {
                Floats sums(static_cast<size_t>(H));
                for (int64_t b = 0; b < B; ++b)
                    for (int64_t j = 0; j < H; ++j) sums[j] += deep_[b * K + k] * hidden_grad_[b * H + j];
                for (int64_t j = 0; j < H; ++j) weight1_.adagrad(k * H + j, sums[j]);
            }
        });
        float whole = 0;
        for (int64_t j = 0; j < H; ++j) {
            float of_bias = 0, of_weight = 0;
            for (int64_t b = 0; b < B; ++b)
                of_bias += hidden_grad_[b * H + j], of_weight += grad_[b] * hidden_[b * H + j];
            bias1_.adagrad(j, of_bias), weight2_.adagrad(j, of_weight);
        }
        for (const float g : grad_) whole += g;
        bias_.adagrad(0, whole), bias2_.adagrad(0, whole);
    }

    // The gradient of rows is never stored: it is summed row by row while Adagrad consumes it.
    void update_rows(const int32_t* ids) {
        const fastfm::Planning<int32_t> planning(ids, B * F, V, keys_.data(), spare_.data(), order_.data());
        planning.write(planned_.data(), segments_.data());
        fastfm::RowSource<float> source{};
        source.fields = F, source.dim = D;
        source.pair_grad = grad_.data(), source.sums = sums_.data(), source.first_grad = grad_.data();
        source.slot_grad = deep_grad_.data(), source.sample_stride = K, source.field_stride = D;
        const fastfm::RowGradients<float, int32_t> gradients{
            rows_.data(),
            D + 1,
            {planned_.data(), segments_.data(), order_.data(), planning.distinct(), B * F},
            source};
        const fastfm::Adagrad<float> rule{{rows_.data(), D + 1}, {state_.data(), D + 1}, EPS};
        fastfm::over_rows(gradients, [&](int64_t low, int64_t high) {
            fastfm::for_each_row(gradients, fastfm::update(rule, LR, fastfm::Rate<float>{LR, 0, 1}), low, high);
        });
    }

    Floats rows_, state_;
    Parameter weight1_, bias1_, weight2_, bias2_, bias_;
    Floats first_, pair_, sums_, deep_, hidden_, logits_, grad_, hidden_grad_, deep_grad_;
    std::vector<int32_t> planned_;
    std::vector<int64_t> segments_;
    std::vector<int32_t> order_;
    std::vector<uint64_t> keys_, spare_;
};

void check(int code) {
    if (code != FASTFM_OK) throw std::runtime_error(fastfm_last_error());
}

// The loss of ids [B, F] by a scorer's file.
double scored(const char* path, const int32_t* ids, const float* labels, int64_t B, int64_t F) {
    fastfm_scorer* scorer;
    check(fastfm_scorer_open(path, &scorer));
    fastfm_entries entries{};
    entries.ids = ids, entries.id_bits = 32, entries.count = B * F, entries.fields = F;
    Floats logits(static_cast<size_t>(B)), grad(static_cast<size_t>(B));
    const int code = fastfm_scorer_score(scorer, &entries, nullptr, B, logits.data());
    fastfm_scorer_close(scorer);
    check(code);
    return fastfm::bce_with_logits<float>(logits.data(), labels, nullptr, B, grad.data(), 0, B) / B;
}

int run(const Curve& curve, const char* scorer) {
    DeepFM model(curve);
    const int64_t steps = curve.sizes.at("steps"), B = model.B, F = model.F;
    const auto ids = curve.read<int32_t>("ids", steps * B * F);
    const auto labels = curve.read<float>("labels", steps * B);
    const auto expected = curve.read<double>("losses", steps);
    std::vector<double> losses;
    double furthest = 0;
    for (int64_t step = 0; step < steps; ++step) {
        losses.push_back(model.step(&ids[step * B * F], &labels[step * B]));
        furthest = std::max(furthest, std::abs(losses.back() - expected[step]) / expected[step]);
    }
    std::printf("loss %.6f -> %.6f; furthest from the library's: %.1e (allowed %g)\n", losses.front(), losses.back(),
                furthest, TOLERANCE);
    if (scorer)
        std::printf("the scorer's loss of the first batch: %.6f\n", scored(scorer, ids.data(), labels.data(), B, F));
    return furthest <= TOLERANCE ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 2) throw std::runtime_error("usage: deepfm FOLDER [SCORER]");
        fastfm::pool::set_threads(2); // the library's and the headers' alike, for this program links both
        return run(Curve(argv[1]), argc > 2 ? argv[2] : nullptr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "deepfm: %s\n", error.what());
        return 2;
    }
}
