/* The wasi-nn host: decides each call by the profile's steps and carries it out. */
#ifndef LADING_NN_H
#define LADING_NN_H

#include "profile.h"

struct nn_limits {
    int64_t graphs;
    int64_t contexts;
    int64_t model_bytes;
};

void nn_begin(const struct profile *profile, struct nn_limits limits);
/* One call; memory is NULL when the guest exports none. Returns the errno, or ends the run. */
uint32_t nn_call(enum function function, const uint32_t *args, unsigned char *memory, uint64_t memory_size);

#endif
