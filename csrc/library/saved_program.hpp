// Scorers in files: what fastfm_core/serving/saved.py writes, which describes the format, read and run here.
#pragma once
#include "program.hpp"
#include <cstdint>
#include <string>

namespace fastfm::scoring {

// A file's bytes, mapped: pages are read when they are first used, and shared by all processes.
class MappedFile {
  public:
    explicit MappedFile(const char* path); // abi::BadFile says why it cannot be read
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const char* data() const { return data_; }
    int64_t size() const { return size_; }

  private:
    const char* data_ = nullptr;
    int64_t size_ = 0;
};

// A program whose tables lie in a mapped file.
struct SavedProgram {
    explicit SavedProgram(const char* path); // abi::BadFile names the file

    MappedFile file;
    Program program;
    int64_t fields = 0, numbers = 0; // of its samples
    bool looks_up = false;
};

} // namespace fastfm::scoring
