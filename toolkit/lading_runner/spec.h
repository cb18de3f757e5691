/* What a run is told: lading_agent.runs.spec, as it comes on the spec descriptor, and the command line. */
#ifndef LADING_SPEC_H
#define LADING_SPEC_H

#include "json.h"

struct spec {
    const struct json *document;
    const char *module; /* empty when only golden vectors are compared */
    struct slice module_digest; /* sha256:HEX; empty when nobody knows it yet */
    const struct json *personality;
    const struct json *args;
    const struct json *env;
    const struct json *dirs;
    const struct json *models;
    const struct json *golden;
    int64_t time_ns;      /* -1: no limit */
    int64_t memory_bytes; /* -1: no limit */
    int64_t graphs, contexts, model_bytes;
    int64_t threads; /* 1 to MOST_THREADS, or what nobody can have */
    bool no_backend;
    struct slice backend;
};

enum { MOST_THREADS = 1024 };

#define ENGINES_REMEDY "install wasmtime and ai-edge-litert again, or run with the Python host"

/* Where the engines are, and which they are. */
struct engines {
    const char *wasmtime, *wasmtime_version;
    const char *wasmtime_digest; /* sha256:HEX of the library; NULL when no code is kept */
    const char *code;            /* the folder of compiled code; NULL: none */
    const char *litert, *litert_version;
};

/* NULL, or what is wrong. */
const char *spec_read(struct spec *spec, int fd);
/* Everything in a descriptor; false when it cannot be read. */
bool read_all_of(int fd, struct text *into);

#endif
