// The pool of all that link libfastfm.
#include "fastfm/pool.hpp"

namespace fastfm::pool::detail {

Pool& the_pool = make();
std::atomic<int> width{1};

} // namespace fastfm::pool::detail
