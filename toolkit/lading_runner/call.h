/* One wasi-nn call, decoded: what the guest passed, as far as it could be read. Nothing that it says is believed. */
#ifndef LADING_CALL_H
#define LADING_CALL_H

#include "text.h"

enum function {
    LOAD,
    LOAD_BY_NAME,
    LOAD_BY_NAME_WITH_CONFIG,
    INIT_EXECUTION_CONTEXT,
    SET_INPUT,
    COMPUTE,
    GET_OUTPUT,
    COMPUTE_SINGLE,
    GET_OUTPUT_SINGLE,
    FINI_SINGLE,
    UNLOAD,
    FINALIZE_EXECUTION_CONTEXT,
    FUNCTION_COUNT
};

extern const struct function_facts {
    const char *name;
    int params; /* all i32, and so is the result */
} FUNCTIONS[FUNCTION_COUNT];

/* Pieces of guest memory that a call refers to. */
enum range { BUILDERS, MODEL, EVERY_MODEL, NAME, CONFIG, GRAPH_OUT, CONTEXT_OUT, TENSOR, DIMS, DATA, OUTPUT, OUTPUT_FIRST_BYTE, SIZE_OUT, RANGE_COUNT };

extern const struct range_facts {
    const char *name;  /* in profiles */
    const char *words; /* in messages */
} RANGES[RANGE_COUNT];

enum { MOST_DIMS = 64, MOST_NAME_BYTES = 4096 };

struct range_at {
    bool found;
    uint64_t at;
    uint64_t size;
};

struct call {
    enum function function;
    uint32_t args[5];
    bool has_memory;
    unsigned char *memory;
    uint64_t memory_size;
    struct range_at ranges[RANGE_COUNT];
    uint32_t builders;
    bool models_readable; /* the bytes of every builder, not only the first one's, lie inside memory */
    bool has_name;
    struct slice name; /* at most one byte more than a name may have */
    uint32_t type_code;
    uint32_t dims[MOST_DIMS];
    uint32_t shown; /* how many of them */
    uint64_t dims_length;
    uint32_t dims_count; /* their product modulo 2**32, over all of them */
    uint32_t data_length;
    bool has_data_length;
    uint32_t capacity;
};

/* Indices into args. */
enum { ARG_HANDLE = 0, ARG_INDEX = 1, ARG_ENCODING = 2, ARG_TARGET = 3 };

void call_decode(struct call *call, enum function function, const uint32_t *args, unsigned char *memory, uint64_t size);
bool call_readable(const struct call *call, enum range what);
void say_dims(struct text *to, const struct call *call);

#endif
