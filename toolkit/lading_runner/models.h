/* The models of one run: named ones from the spec, and those that the guest hands over, each held once. */
#ifndef LADING_MODELS_H
#define LADING_MODELS_H

#include "facts.h"
#include "json.h"
#include "litert.h"

/* One model's bytes, shared by every graph that is made of them. */
struct held {
    size_t size;
    const char *path;        /* NULL for one that the guest handed over */
    unsigned char *data;     /* mapped from the file, or a copy; NULL until they are needed */
    const struct json *spec; /* NULL for one that the guest handed over */
    bool read;
    struct facts facts;
    void *model;      /* LiteRT's */
    void *spare;      /* an interpreter that was made to look whether it can be built, and is not yet anybody's */
    char *unprepared; /* why there is none, though the model can be read */
};

/* Which output feeds which input. */
struct pair {
    size_t source;
    size_t target;
};

struct live {
    struct held *held;
    struct inference *inference;
    struct pair *pairs;
    size_t pair_count;
    int64_t steps;
};

/* Take the run's models; ends the run when one has no file. A limit of -1 is none. */
void models_begin(const struct json *specs, int64_t most_bytes, int64_t memory_bytes, bool backend);
/* The model of these bytes; what could not be read is the caller's own copy, and is not found again. */
struct held *models_given(const unsigned char *data, size_t size);
/* Let such a copy go. */
void models_release(struct held *held);
/* The named model; NULL when there is none. */
struct held *models_find(struct slice name);
/* Its facts, read when they are first asked for. */
const struct facts *models_facts(struct held *held);
struct slice models_int8(const struct held *held);
bool models_has_state(const struct held *held);

/* An interpreter of its own for a model; false and an error when it cannot be read or prepared. */
bool models_live(struct held *held, struct live *into, struct text *error);
void live_free(struct live *live);

#endif
