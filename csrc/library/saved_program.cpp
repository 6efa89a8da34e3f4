#include "saved_program.hpp"
#include "abi.hpp"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace fastfm::scoring {

using abi::BadFile;

MappedFile::MappedFile(const char* path) {
    const auto fail = [&] { throw BadFile(std::string(path) + ": " + std::strerror(errno)); };
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) fail();
    struct stat found;
    const bool known = fstat(file, &found) == 0;
    const bool regular = known && S_ISREG(found.st_mode);
    void* mapping = MAP_FAILED;
    if (regular && found.st_size > 0) mapping = mmap(nullptr, size_t(found.st_size), PROT_READ, MAP_SHARED, file, 0);
    const int error = errno;
    close(file);
    errno = error;
    if (!known) fail();
    if (!regular || found.st_size == 0) throw BadFile(std::string(path) + " is no scorer's file");
    if (mapping == MAP_FAILED) fail();
    data_ = static_cast<const char*>(mapping), size_ = found.st_size;
}

MappedFile::~MappedFile() {
    if (data_) munmap(const_cast<char*>(data_), size_t(size_));
}

namespace {

constexpr char magic[] = "FASTFMSC";
constexpr int64_t version = 1, header_bytes = 64;
constexpr int64_t most_columns = 1 << 24; // of a sample

enum Code : int64_t {
    ALLOCATE = 1,
    CONSTANT,
    LOOKUP,
    DENSE,
    ADD,
    MULTIPLY,
    INNER,
    LARGEST,
    BI_INTERACTION,
    PAIR_INTERACTION,
    PAIR_PRODUCTS,
    RESULT
};

struct Header {
    char magic[8];
    int64_t version, bytes, fields, numbers, words, checksum, reserved;
};
static_assert(sizeof(Header) == header_bytes);

// CRC-32 as zlib has it.
uint32_t checksum_of(const unsigned char* bytes, int64_t count) {
    uint32_t sum = ~0u;
    for (int64_t i = 0; i < count; ++i) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    return ~sum;
}

// Reads the words of a file's program and tells the program what they say. A file whose checksum is right was written
// by saved.py; what is checked beyond that keeps reads inside of the file and of the block's columns.
class Reader {
  public:
    Reader(const char* path, SavedProgram& into) : path_(path), into_(into) {
        const auto header = header_of();
        into.fields = header.fields, into.numbers = header.numbers;
        const char* const begin = into.file.data() + header_bytes;
        words_ = reinterpret_cast<const int64_t*>(begin), count_ = header.words;
        if (header.checksum != checksum_of(reinterpret_cast<const unsigned char*>(begin), 8 * count_)) damaged();
        while (at_ < count_) instruction();
        if (into.program.result_width() != 1) damaged();
    }

  private:
    [[noreturn]] void damaged() const { throw BadFile(path_ + ": the file is damaged"); }
    void require(bool holds) const {
        if (!holds) damaged();
    }

    Header header_of() const {
        const auto& file = into_.file;
        Header header;
        if (file.size() < header_bytes || std::memcmp(file.data(), magic, sizeof header.magic) != 0)
            throw BadFile(path_ + " is no scorer's file");
        std::memcpy(&header, file.data(), sizeof header);
        if (header.version != version)
            throw BadFile(path_ + ": has format " + std::to_string(header.version) + ", this library reads format " +
                          std::to_string(version));
        if (header.bytes != file.size())
            throw BadFile(path_ + ": has " + std::to_string(file.size()) + " bytes of " + std::to_string(header.bytes) +
                          ", it was cut short");
        require(header.fields >= 0 && header.numbers >= 0 && header.words >= 0);
        require(header.words <= (file.size() - header_bytes) / 8);
        return header;
    }

    int64_t next() {
        require(at_ < count_);
        return words_[at_++];
    }
    int64_t size() { // a number that is not negative
        const int64_t found = next();
        require(found >= 0 && found < int64_t(1) << 40);
        return found;
    }
    int64_t product(int64_t a, int64_t b) const {
        int64_t made;
        require(!__builtin_mul_overflow(a, b, &made));
        return made;
    }
    template <class T> std::vector<T> list(int64_t count) {
        require(count <= count_ - at_);
        std::vector<T> found;
        for (int64_t i = 0; i < count; ++i) found.push_back(T(next()));
        return found;
    }
    // Floats in the file, on a cache line; null at offset 0.
    const float* floats(int64_t offset, int64_t count) {
        if (offset == 0) return nullptr;
        require(offset > 0 && offset % 64 == 0 && offset <= into_.file.size() && count >= 0 &&
                count <= (into_.file.size() - offset) / 4);
        return reinterpret_cast<const float*>(into_.file.data() + offset);
    }
    void require_columns(int64_t column, int64_t width, int64_t of) const {
        const int64_t known = of == -1 ? columns_ : of == -2 ? constants_ : of == 0 ? into_.numbers : 0;
        require(column >= 0 && width >= 0 && column <= known && width <= known - column);
        require(of != -1 || has_buffers_);
    }
    Operand operand() {
        const int64_t of = next();
        return {of, next()};
    }
    Operand reading(Operand from, int64_t width) const {
        require_columns(from.column, width, from.of);
        return from;
    }
    int64_t written(int64_t column, int64_t width) const {
        require_columns(column, width, -1);
        return column;
    }

    void instruction() {
        switch (next()) {
        case ALLOCATE:
            return allocate();
        case CONSTANT:
            return constant();
        case LOOKUP:
            return lookup();
        case DENSE:
            return dense();
        case ADD:
            return add();
        case MULTIPLY:
            return two(&Program::multiply, false);
        case INNER:
            return two(&Program::inner, true);
        case LARGEST:
            return largest();
        case BI_INTERACTION:
            return bi_interaction();
        case PAIR_INTERACTION:
            return pair_interaction();
        case PAIR_PRODUCTS:
            return pair_products();
        case RESULT:
            return result();
        default:
            damaged();
        }
    }

    void allocate() {
        const int64_t begin = size(), width = size();
        require(into_.program.allocate(width) == begin);
        columns_ = begin + width, has_buffers_ = true;
        require(columns_ <= most_columns);
    }
    void constant() {
        const int64_t offset = size(), count = size();
        const float* numbers = floats(offset, count);
        require(numbers || count == 0);
        into_.program.constant(numbers, count);
        constants_ += count;
    }
    void lookup() {
        const int64_t offset = size(), rows = size(), dim = size(), stride = size();
        const int64_t linear_offset = size(), lane = size(), linear_stride = size();
        const int64_t first = next(), pair = next(), sums = next(), vectors = next(), count = size();
        require(stride >= dim && dim <= most_columns && lane < std::max<int64_t>(linear_stride, 1));
        const float* table = floats(offset, product(rows, stride));
        const float* linear = floats(linear_offset, product(rows, linear_stride));
        require(table || rows == 0 || dim == 0);
        const auto fields = list<int64_t>(count), shifts = list<int64_t>(count);
        for (const int64_t shift : shifts) require(shift >= 0);
        for (const int64_t field : fields) require(field >= 0 && field < into_.fields);
        const std::pair<int64_t, int64_t> written[] = {
            {first, 1}, {pair, 1}, {sums, dim}, {vectors, product(dim, count)}};
        for (const auto& [column, width] : written)
            if (column >= 0) require_columns(column, width, -1);
        const Table<float> of{table, stride, dim, linear ? linear + lane : nullptr, linear_stride};
        into_.program.lookup({of, rows, fields, shifts, first, pair, sums, vectors});
        into_.looks_up = true;
    }
    void dense() {
        const Operand x = operand();
        const int64_t inner = size(), columns = size();
        const float* weights = floats(size(), product(inner, columns));
        require(weights || inner == 0 || columns == 0);
        const Operand start = operand();
        const bool relu = next();
        into_.program.dense(reading(x, inner), inner, columns, weights, reading(start, columns), relu,
                            written(next(), columns));
    }
    void add() {
        const int64_t width = size();
        const bool relu = next();
        const int64_t out = written(next(), width), count = size();
        require(count > 0 && count <= count_ - at_);
        std::vector<Operand> terms;
        std::vector<float> factors;
        for (int64_t t = 0; t < count; ++t) {
            terms.push_back(reading(operand(), width));
            const auto bits = uint32_t(next());
            factors.emplace_back();
            std::memcpy(&factors.back(), &bits, sizeof bits);
        }
        into_.program.add(std::move(terms), std::move(factors), width, relu, out);
    }
    void two(void (Program::*call)(Operand, Operand, int64_t, int64_t), bool to_one) {
        const Operand a = operand(), b = operand();
        const int64_t width = size();
        (into_.program.*call)(reading(a, width), reading(b, width), width, written(next(), to_one ? 1 : width));
    }
    void largest() {
        const Operand x = operand();
        const int64_t count = size(), width = size();
        into_.program.largest(reading(x, product(count, width)), count, width, written(next(), width));
    }
    void bi_interaction() {
        const Operand vectors = operand();
        const int64_t fields = size(), dim = size();
        into_.program.bi_interaction(reading(vectors, product(fields, dim)), fields, dim, written(next(), dim));
    }
    std::vector<int32_t> pairs(Operand vectors, int64_t dim, int64_t count) {
        auto found = list<int32_t>(product(2, count));
        for (const int32_t field : found) {
            require(field >= 0);
            reading(vectors, product(int64_t(field) + 1, dim));
        }
        return found;
    }
    void pair_interaction() {
        const Operand vectors = operand();
        const int64_t dim = size(), count = size();
        const float* weights = floats(size(), count);
        const int64_t out = written(next(), 1);
        std::vector<float> copied(weights, weights ? weights + count : nullptr);
        into_.program.pair_interaction(vectors, dim, pairs(vectors, dim, count), std::move(copied), out);
    }
    void pair_products() {
        const Operand vectors = operand();
        const int64_t dim = size(), kind = size(), count = size();
        require(kind <= int64_t(Product::outer) && dim < int64_t(1) << 20);
        const int64_t width = FieldPairs<float>{nullptr, 0, 0, dim, nullptr, count, nullptr}.width(Product(kind));
        const int64_t out = written(next(), product(count, width));
        into_.program.pair_products(vectors, dim, pairs(vectors, dim, count), Product(kind), out);
    }
    void result() {
        const Operand from = operand();
        const int64_t width = size();
        into_.program.result(reading(from, width), width);
    }

    const std::string path_;
    SavedProgram& into_;
    const int64_t* words_ = nullptr;
    int64_t count_ = 0, at_ = 0;
    int64_t columns_ = 0, constants_ = 0;
    bool has_buffers_ = false;
};

} // namespace

SavedProgram::SavedProgram(const char* path) : file(path) { Reader(path, *this); }

} // namespace fastfm::scoring
