// All kernels. A program of your own includes this and calls fastfm::<kernel> on ranges of samples, rows or elements.
#pragma once
#include "fastfm/catch_up.hpp"
#include "fastfm/dense.hpp"
#include "fastfm/gradient.hpp"
#include "fastfm/interaction.hpp"
#include "fastfm/lookup.hpp"
#include "fastfm/loss.hpp"
#include "fastfm/pair.hpp"
#include "fastfm/plan.hpp"
#include "fastfm/scoring.hpp"
#include "fastfm/update.hpp"
