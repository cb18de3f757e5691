/* LiteRT's C API, as far as it is used: own declarations, looked up in a library when the run begins. */
#ifndef LADING_LITERT_H
#define LADING_LITERT_H

#include "facts.h"

/* The releases whose functions these declarations describe: LiteRT's C interface moves between releases. */
#define LITERT_RELEASES "2.2. 2.3."

/* The library that is loaded when the first model is; NULL, or why it cannot be used. One that turns out to be of no use
 * ends the run then. */
const char *litert_expect(const char *path, const char *version, int threads);

/* One tensor's memory: guarded by pages that nobody may touch. */
struct buffer {
    unsigned char *data;
    size_t bytes;
    void *mapping; /* NULL when another tensor's memory is shared */
    size_t mapped;
    int32_t shape[8]; /* as the interpreter has it */
    uint32_t rank;
};

/* An interpreter with its tensors allocated: what stands behind an execution context. */
struct inference {
    void *compiled;
    size_t signature;
    size_t input_count, output_count;
    struct buffer *inputs, *outputs;
    void **input_handles, **output_handles;
};

enum compiled { COMPILED, NOT_BUILT, NOT_PREPARED };

/* A model over bytes that stay where they are; NULL and an error when LiteRT cannot read it. */
void *litert_model(const unsigned char *data, size_t size, struct text *error);
/* An interpreter for it. NOT_BUILT: the model cannot be read after all; NOT_PREPARED: it can, but not be run. */
enum compiled litert_compile(void *model, void **compiled, struct text *error);

/* Whether a model's inputs, by its file, have no more bytes together; false and an error when they have. */
bool litert_takes(const struct facts *facts, uint64_t most, struct text *error);
/* Allocate, zero the inputs and warm up. Inputs and outputs may have so many bytes together. The compiled model belongs
 * to the result, or is gone when that is NULL. A model that keeps something between runs is not run before the guest
 * does. */
struct inference *inference_new(void *model, void *compiled, const struct facts *facts, uint64_t most, struct text *error);
void inference_free(struct inference *inference);
/* False and an error when the interpreter says no. */
bool inference_run(struct inference *inference, struct text *error);
/* Real zeros: a quantized tensor gets its zero point. */
void fill_zero(const struct tensor *facts, struct buffer *buffer);

#endif
