#include "xla_call.hpp"
#include "fastfm/linkage.hpp"
#include <atomic>
#include <exception>

namespace fastfm::xla {
namespace {

Error* error_of(const Frame* frame, Code code, const char* message) {
    ErrorText text{sizeof text, nullptr, message, code};
    return frame->api->make_error(&text);
}

std::atomic<int> answered_minor{newest_minor};

// These handlers are good for every version whose layout is known, and answer with the one that they were told of: an
// older XLA takes no other than its own, and does not say which that is when it asks.
void tell(Metadata& metadata) {
    metadata.version = {sizeof(Version), nullptr, known_major, answered_minor};
    metadata.traits = 0;
}

bool is_known(const Frame* frame) {
    const Version& theirs = frame->api->version;
    return theirs.major == known_major && theirs.minor >= oldest_minor && theirs.minor <= newest_minor;
}

} // namespace

Error* answer(const Frame* frame, void (*work)(Call&)) noexcept {
    if (frame->extension && frame->extension->type == metadata_extension) {
        tell(*reinterpret_cast<MetadataRequest*>(frame->extension)->metadata);
        return nullptr;
    }
    if (!is_known(frame)) return error_of(frame, unimplemented, "fastfm_jax does not know this version of XLA's FFI");
    if (frame->size < sizeof(Frame) || frame->stage != execute)
        return error_of(frame, internal, "fastfm_jax: a call that its handlers are not for");
    try {
        Call call(*frame);
        work(call);
        return nullptr;
    } catch (const std::invalid_argument& error) {
        return error_of(frame, invalid_argument, error.what());
    } catch (const std::exception& error) {
        return error_of(frame, internal, error.what());
    } catch (...) {
        return error_of(frame, internal, "fastfm_jax: unknown error");
    }
}

extern "C" {

// The minor version of the XLA that is here, to be told before a handler is registered.
FASTFM_API void fastfm_xla_version(int minor) { answered_minor = minor; }

// What is registered for platforms that are no CPU.
FASTFM_API Error* fastfm_xla_refuse(const Frame* frame) {
    if (frame->extension && frame->extension->type == metadata_extension) return answer(frame, nullptr);
    return error_of(frame, unimplemented,
                    "fastfm_jax has kernels for the CPU alone: put table and ids there, as with "
                    "jax.device_put(x, jax.devices('cpu')[0]), or set JAX_PLATFORMS=cpu");
}

} // extern "C"

} // namespace fastfm::xla
