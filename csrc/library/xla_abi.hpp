// XLA's foreign function interface as handlers see it: those parts of its C structs that libfastfm reads or writes.
//
// XLA calls a handler with a frame: buffers of arguments and results, attributes, and functions to answer with. Every
// struct begins with its size and a chain of extensions. The layout is that of jaxlib's include/xla/ffi/api/c_api.h,
// versions 0.1 to 0.3, where these parts are the same (OpenXLA, Apache License 2.0); python/tests/jax/abi.cpp holds
// them against an installed jaxlib's header.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastfm::xla {

constexpr int known_major = 0, oldest_minor = 1, newest_minor = 3;

enum Type : uint32_t { type_bool = 1, type_int32 = 4, type_int64 = 5, type_float32 = 11, type_float64 = 12 };
enum Code : uint32_t { invalid_argument = 3, unimplemented = 12, internal = 13 };
enum Stage : uint32_t { instantiate = 0, prepare = 1, initialize = 2, execute = 3 };
constexpr uint32_t metadata_extension = 1, scalar_attribute = 3;

struct Extension {
    size_t size;
    uint32_t type;
    Extension* next;
};

struct Version {
    size_t size;
    Extension* extension;
    int major, minor;
};

struct Error; // XLA's own

struct ErrorText {
    size_t size;
    Extension* extension;
    const char* message;
    Code code;
};

struct Api {
    size_t size;
    Extension* extension;
    Version version;
    const void* internal;
    Error* (*make_error)(ErrorText*);
};

struct Buffer {
    size_t size;
    Extension* extension;
    Type type;
    void* data;
    int64_t rank;
    int64_t* dims;
};

struct Text {
    const char* data;
    size_t size;
};

struct Scalar {
    Type type;
    void* value;
};

struct Buffers {
    size_t size;
    Extension* extension;
    int64_t count;
    uint32_t* kinds;
    Buffer** buffers;
};

struct Attributes {
    size_t size;
    Extension* extension;
    int64_t count;
    uint32_t* kinds;
    Text** names;
    void** values;
};

struct Frame {
    size_t size;
    Extension* extension;
    const Api* api;
    void* context;
    Stage stage;
    Buffers arguments, results;
    Attributes attributes;
};

// What a handler is asked for when it is registered.
struct Metadata {
    size_t size;
    Version version;
    uint32_t traits;
};

struct MetadataRequest {
    Extension extension;
    Metadata* metadata;
};

} // namespace fastfm::xla
