/* One guest in one wasm engine: linking it, running it, and saying how it ended. */
#ifndef LADING_GUEST_H
#define LADING_GUEST_H

#include "profile.h"
#include "spec.h"

_Noreturn void guest_run(const struct spec *spec, const struct profile *profile, const struct engines *engines);

#endif
