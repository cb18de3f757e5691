/* What a TFLite model is made of, read from its flatbuffer; no offset is followed out of the file.
 *
 * The same facts, with the same words when there are none, as the Python host reads (lading_agent/nn/facts.py).
 */
#ifndef LADING_FACTS_H
#define LADING_FACTS_H

#include "text.h"

enum { MOST_RANK = 64 };

struct tensor {
    uint32_t number; /* among the main graph's tensors */
    struct slice name;
    char dtype[16]; /* numpy's name */
    size_t element;  /* bytes; 0: not a plain array of elements */
    uint32_t rank;
    int32_t shape[MOST_RANK]; /* unknown dimensions count 1 */
    uint64_t count;           /* elements; UINT64_MAX when there are more */
    uint64_t bytes;
    double scale;
    int64_t zero_point;
    bool per_channel;
    bool scaled;
    bool quantized; /* an integer tensor with one scale */
    bool by_data;   /* an output whose size only the model's own data tell */
};

/* A name in the model's first signature for a position among inputs or outputs. */
struct alias {
    struct slice name;
    size_t position;
};

struct tensors {
    struct tensor *items;
    size_t count;
    struct alias *aliases;
    size_t alias_count;
};

/* A place that LiteRT's loader refuses, though its interpreter runs it: see models.c. */
struct hidden {
    size_t at;
    size_t size;
};

/* An operator that a model uses, in the version that it asks for. */
struct operator {
    int code;
    int version;
};

enum { CUSTOM_OPERATOR = 32 };

struct facts {
    char *error; /* why it cannot be loaded; NULL if it can */
    struct tensors inputs;
    struct tensors outputs;
    struct operator *operators; /* by their index in the model's list of codes */
    size_t operator_count;
    bool stateful;       /* running it changes what the next run sees */
    bool shaped_by_data; /* the size of some tensor comes from other tensors' data */
    char *unsafe;        /* what LiteRT's loader would stumble over; NULL if nothing */
    bool unsafe_late;    /* the interpreter says so only when it is prepared: the model can be loaded */
    struct hidden *hidden;
    size_t hidden_count;
};

struct facts facts_read(const unsigned char *data, size_t size);
void facts_free(struct facts *facts);

size_t dtype_bytes(const char *dtype);

/* Position of the tensor of that name, the signature's names first; -1 when there is none. */
long tensor_named(const struct tensors *tensors, struct slice name);
/* The name that the user knows a tensor by. */
struct slice tensor_label(const struct tensors *tensors, size_t position);
/* int8 1x8x8x1 */
void say_tensor(struct text *to, const struct tensor *tensor);
void say_shape(struct text *to, const int32_t *shape, size_t rank);
/* 'a', 'b': the first eight names. */
void say_names(struct text *to, const struct tensors *tensors);

#endif
