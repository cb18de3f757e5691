/* Golden vectors: the bare model, given inputs, expected outputs. */
#ifndef LADING_GOLDEN_H
#define LADING_GOLDEN_H

#include "json.h"

/* Compare every vector and tell each result; ends the run when one fails. */
void golden_compare(const struct json *vectors, int64_t most_bytes);

#endif
