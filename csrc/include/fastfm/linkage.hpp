// What libfastfm shows to those who link it; all else in it is hidden.
#pragma once

#define FASTFM_API __attribute__((visibility("default")))
